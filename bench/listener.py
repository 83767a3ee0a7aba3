"""How many frames a listener process takes, and what each costs: `python -m bench.listener`.

A process of its own pushes frames over one real socket (plain, or TLS with `--tls`); the listener's
own loop reads, normalises and produces to a real Kafka. Stages show where the time goes: `read`
only takes bytes from the socket, `cut` also cuts frames, `decode` also normalises, `all` also
produces and waits for every acknowledgement. CPU is of the whole process, librdkafka's threads
included; source and broker run beside it on the same machine.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import platform
import pstats
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

from listeners.channel import Channel
from listeners.connection import Connection, open_socket
from listeners.counters import Counters
from listeners.loop import Loop
from listeners.publisher import Publisher
from listeners.session import Held, Session, Step
from mirror.fleet import Grant, Handle
from mirror.normaliser import Normaliser
from mirror.settings import load
from tests.services.kafka import KafkaCluster, create_topic
from tests.services.process import free_ports

RUN_SECONDS = 90.0
STAGES = ("read", "cut", "decode", "all")


class Deaf:
    """A publisher that drops what it is given."""

    mode = "direct"
    reason = ""
    refusing_since = None
    pending = 0

    def events(self, events: list[Any]) -> None:
        """Drop them."""

    def tick(self, now: float) -> None:
        """Nothing to do."""

    def durable_at(self) -> float:
        """All is well."""
        return time.monotonic()


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=4200)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--kafka", default="", help="bootstrap servers; one broker is started else")
    parser.add_argument("--profile", action="store_true", help="cProfile of the last stage")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(*measure(options, options.one))
        return
    transport = "TLS" if options.tls else "plain"
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}; {options.frames} frames of {options.size} B, {transport}"
    )
    with ExitStack() as stack:
        if not options.kafka and "all" in options.stages:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            options.kafka = stack.enter_context(KafkaCluster(folder)).bootstrap_servers
        results: dict[str, list[tuple[float, ...]]] = {}
        for _ in range(options.runs):  # interleaved: what disturbs one disturbs all
            for stage in options.stages.split(","):
                results.setdefault(stage, []).append(_spawn(options, stage))
    print(
        f"{'stage':8}{'frames/s':>10}{'spread':>9}{'µs CPU/frame':>14}{'records':>9}{'RSS MB':>8}"
    )
    for stage, rows in results.items():
        rates = [row[0] for row in rows]
        middle = statistics.median(rates)
        spread = (max(rates) - min(rates)) / middle
        cpu, records, memory = (statistics.median(row[i] for row in rows) for i in (1, 2, 3))
        print(f"{stage:8}{middle:10.0f}{spread:9.0%}{cpu:14.1f}{records:9.2f}{memory:8.0f}")


def _spawn(options: argparse.Namespace, stage: str) -> tuple[float, ...]:
    """One run in a process of its own, so that none warms or burdens the next."""
    argv = [sys.executable, "-m", "bench.listener", "--one", stage, "--kafka", options.kafka]
    argv += ["--frames", str(options.frames), "--size", str(options.size)]
    argv += [
        flag for flag, is_set in (("--tls", options.tls), ("--profile", options.profile)) if is_set
    ]
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True, timeout=RUN_SECONDS)
    *notes, last = done.stdout.splitlines()
    if notes:
        print("\n".join(notes))
    return tuple(float(value) for value in last.split())


@contextmanager
def source(options: argparse.Namespace) -> Iterator[tuple[str, ssl.SSLContext]]:
    """The pushing process; its URI and the context to reach it with."""
    context = ssl.create_default_context()
    with tempfile.TemporaryDirectory() as folder:
        certificate = []
        if options.tls:
            import trustme

            authority = trustme.CA()
            issued = authority.issue_cert("127.0.0.1")
            certificate = [f"{folder}/cert.pem", f"{folder}/key.pem"]
            issued.private_key_pem.write_to_path(certificate[1])
            with Path(certificate[0]).open("wb") as file:
                file.writelines(blob.bytes() for blob in issued.cert_chain_pems)
            authority.configure_trust(context)
        (port,) = free_ports(1)
        argv = [sys.executable, "-m", "bench.listener_source", str(port), str(options.size)]
        argv += [str(options.frames), *certificate]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                yield f"{'wss' if options.tls else 'ws'}://127.0.0.1:{port}/", context
            finally:
                process.kill()


def measure(options: argparse.Namespace, stage: str) -> tuple[float, float, float, float]:
    """Frames a second, CPU microseconds a frame, records a frame, and peak RSS in MB."""
    with ExitStack() as stack:
        uri, context = stack.enter_context(source(options))
        connection = Connection(open_socket(uri, context, "bench"))
        if stage in {"read", "cut"}:
            return _bare(connection, options.frames, cut=stage == "cut")
        counters = Counters()
        publisher: Any = Deaf()
        if stage == "all":
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            publisher = _publisher(options.kafka, folder, counters)
        session = Session("bench", silence=3600.0, rng=Random(1))
        loop = Loop(session, Normaliser(), publisher, counters)
        loop.actions = Mock()  # the end of the stream is a loss, which nothing is done about
        grant = Grant("1", "a", 1, "client", 1)
        now = time.monotonic()
        channel = Channel(grant, (), now, holder="bench", silence=3600.0, rng=Random(1))
        channel.handle = Handle("streaming-0-bench", uri)
        channel.phase = "connecting"
        session.seats[grant.seat] = Held(channel)
        loop.opened(channel, connection, 0)
        channel.phase = "live"
        done = _Done(loop, counters, publisher, options.frames)
        profile = cProfile.Profile() if options.profile else None
        connection.sock.send(b"x")
        started, cpu = time.perf_counter(), time.process_time()
        if profile:
            profile.enable()
        session.tick = done  # type: ignore[assignment,method-assign]  # called every pass
        loop.run()
        if profile:
            profile.disable()
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
        loop.close()
        if stage == "all":
            publisher.stop(5.0)
        if profile and stage == "all":
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        return (
            counters.frames / wall,
            cpu / counters.frames * 1e6,
            counters.events / counters.frames,
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        )


class _Done:
    """Stands in for the session's tick: stops the loop when all is read and acknowledged."""

    def __init__(self, loop: Loop, counters: Counters, publisher: Any, frames: int) -> None:
        self._loop, self._counters = loop, counters
        self._publisher, self._frames = publisher, frames

    def __call__(self, _now: float) -> list[Step]:
        if self._counters.frames > self._frames and not self._publisher.pending:
            self._loop.stop()
        return []


def _publisher(servers: str, folder: str, counters: Counters) -> Publisher:
    environment = {name: value for name, value in os.environ.items() if "KAFKA_CONF" in name}
    environment |= {"KAFKA_BOOTSTRAP_SERVERS": servers, "MIRROR_SPOOL_DIR": f"{folder}/spool"}
    topics = SimpleNamespace(events=f"bench-{time.time_ns()}", letters=f"letters-{time.time_ns()}")
    create_topic(servers, topics.events, partitions=12)
    create_topic(servers, topics.letters)
    environment |= {"MIRROR_TOPIC": topics.events, "MIRROR_DEAD_LETTER_TOPIC": topics.letters}
    return Publisher(load(environment), "bench", counters)


def _bare(connection: Connection, frames: int, *, cut: bool) -> tuple[float, float, float, float]:
    """Reads, and with `cut` cuts frames, without anything behind it."""
    view = memoryview(bytearray(256 * 1024))
    connection.sock.setblocking(True)
    connection.sock.send(b"x")
    started, cpu = time.perf_counter(), time.process_time()
    count = 0
    while True:
        start = connection.cutter.restore(view)
        size = connection.sock.recv_into(view[start:])
        if not size:
            break
        if cut:
            count += len(connection.cutter.cut(view, start + size))
    assert not cut or count == frames + 1
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return frames / wall, cpu / frames * 1e6, 0.0, memory


if __name__ == "__main__":
    main()
