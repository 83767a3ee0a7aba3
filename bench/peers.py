"""Ours beside what others write: `python -m bench.peers`.

Each run reads the same frames from the same kind of socket (`bench.listener_source`) into the same
Apache Kafka, and ends when every record is acknowledged. The peers, in `bench/peer_programs/`, are:
(a) the tutorials' Node script on `ws` and `kafkajs` that awaits each send, (b) the same tuned,
(c) Node on librdkafka, (d) asyncio Python. Runs are interleaved, so that what disturbs one disturbs
all; the ratio is of medians. Peers make one short record a change; ours makes the contract's
events, with ids, headers, and an account of what is not yet acknowledged.

Needs Node 18 or newer, what bench/peer_programs/package.json lists, and the extra `bench`:
`make bench-peers` sees to it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.services.kafka import KafkaCluster, create_topic
from tests.services.process import free_ports

PEERS = Path(__file__).parent / "peer_programs"
RUN_SECONDS = 180.0
PARTITIONS = 12
# Frames of a run: slow peers get fewer, so that the whole call stays short.
PLANS = {
    "ours": ("the listener", 1.0),
    "a": ("Node, ws + kafkajs, awaits each send", 0.1),
    "b": ("the same, tuned: batches, LZ4", 0.25),
    "c": ("Node, ws + Confluent's client on librdkafka", 0.4),
    "d": ("Python, asyncio websockets + aiokafka + orjson", 0.25),
}


@dataclass(frozen=True)
class Run:
    """What one run took."""

    rate: float  # frames a second
    cpu: float  # microseconds of CPU a frame, all threads
    records: float  # a frame
    rss: float  # peak, MB


def main() -> None:
    """Measure and print a table for plain sockets and one for TLS."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=90_000)
    parser.add_argument("--size", type=int, default=4200)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default=",".join(PLANS), help="of " + ",".join(PLANS))
    parser.add_argument("--transports", default="plain,TLS")
    options = parser.parse_args()
    names = options.only.split(",")
    if shutil.which("node") is None or not (PEERS / "node_modules").is_dir():
        sys.exit("bench.peers: the Node programs are not installed; run `make bench-peers`")
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"commit {commit}; frames of {options.size} B, {options.runs} interleaved runs"
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = stack.enter_context(KafkaCluster(folder / "kafka")).bootstrap_servers
        for transport in options.transports.split(","):
            results: dict[str, list[Run]] = {name: [] for name in names}
            for _ in range(options.runs):
                for name in names:
                    frames = int(options.frames * PLANS[name][1])
                    results[name].append(measure(name, transport, servers, frames, options.size))
            show(transport, results)


def show(transport: str, results: dict[str, list[Run]]) -> None:
    """One table: medians, spread, and how many times better ours is."""
    print(f"\n{transport}")
    print(
        f"{'':50}{'frames/s':>10}{'spread':>8}{'µs CPU':>8}{'records':>9}{'RSS MB':>8}"
        f"{'x rate':>8}{'x CPU':>8}"
    )
    best = results.get("ours")
    for name, runs in results.items():
        rate, cpu, records, rss = (
            statistics.median(getattr(run, field) for run in runs)
            for field in ("rate", "cpu", "records", "rss")
        )
        spread = (max(run.rate for run in runs) - min(run.rate for run in runs)) / rate
        ratios = ""
        if best and name != "ours":
            ratios = f"{statistics.median(run.rate for run in best) / rate:8.1f}"
            ratios += f"{cpu / statistics.median(run.cpu for run in best):8.1f}"
        label = PLANS[name][0] if name == "ours" else f"({name}) {PLANS[name][0]}"
        print(f"{label:50}{rate:10.0f}{spread:8.0%}{cpu:8.1f}{records:9.2f}{rss:8.0f}{ratios}")


def measure(name: str, transport: str, servers: str, frames: int, size: int) -> Run:
    """One run of one contestant in a process of its own."""
    if name == "ours":
        argv = [sys.executable, "-m", "bench.listener", "--one", "all", "--kafka", servers]
        argv += ["--frames", str(frames), "--size", str(size)]
        argv += ["--tls"] if transport == "TLS" else []
        rate, cpu, records, rss = (float(word) for word in _output(argv, {}).split())
        return Run(rate, cpu, records, rss)
    topic = f"peers-{time.time_ns()}"
    create_topic(servers, topic, partitions=PARTITIONS)
    with _source(transport, frames, size) as (uri, authority):
        script = {"a": "naive.mjs", "b": "tuned.mjs", "c": "librdkafka.mjs", "d": "with_asyncio.py"}
        runner = sys.executable if name == "d" else "node"
        argv = [runner, str(PEERS / script[name]), uri, servers, topic, str(frames)]
        argv += [authority] if name == "d" and authority else []
        answer = json.loads(_output(argv, {"NODE_EXTRA_CA_CERTS": authority} if authority else {}))
    return Run(
        answer["frames"] / answer["wall"],
        answer["cpu"] / answer["frames"] * 1e6,
        answer["records"] / answer["frames"],
        answer["rss"] / 1e6,
    )


def _output(argv: list[str], environment: dict[str, str]) -> str:
    """The last line that a command prints."""
    done = subprocess.run(
        argv,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        timeout=RUN_SECONDS,
        env=os.environ | environment | {"KAFKAJS_NO_PARTITIONER_WARNING": "1"},
    )
    return done.stdout.splitlines()[-1]


@contextmanager
def _source(transport: str, frames: int, size: int) -> Iterator[tuple[str, str]]:
    """The pushing process: its URI, and the file of its authority where it speaks TLS."""
    with tempfile.TemporaryDirectory() as folder:
        certificate, authority_file = [], ""
        if transport == "TLS":
            authority = trustme.CA()
            issued = authority.issue_cert("127.0.0.1")
            certificate = [f"{folder}/cert.pem", f"{folder}/key.pem"]
            issued.private_key_and_cert_chain_pem.write_to_path(certificate[0])
            issued.private_key_pem.write_to_path(certificate[1])
            authority_file = f"{folder}/ca.pem"
            authority.cert_pem.write_to_path(authority_file)
        (port,) = free_ports(1)
        argv = [sys.executable, "-m", "bench.listener_source", str(port), str(size), str(frames)]
        with subprocess.Popen([*argv, *certificate], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                scheme = "wss" if certificate else "ws"
                yield f"{scheme}://127.0.0.1:{port}/", authority_file
            finally:
                process.kill()


if __name__ == "__main__":
    main()
