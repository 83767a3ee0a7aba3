"""How many frames a listener process takes, and what each costs: `python -m bench.listener`.

A process of its own pushes frames over real sockets, plain and TLS; the contenders of
`bench.parts.contenders` read them in turn, each run in a fresh process, and produce to an Apache
Kafka that is started beside them. `--sizes`, `--transports`, `--traffic` and `--contenders` choose,
and `--channels 1,20,100` shares the frames out over so many channels of `ours`.

CPU is that of the whole contender, librdkafka's threads included. Source and broker run on the same
machine, so frames/s are of the machine, CPU a frame of the contender. Ratios are to `raw` of the
same transport and size: what Kafka and the socket cost in any case. The number of records is
checked against the topic's own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from confluent_kafka import Consumer, TopicPartition

from bench.parts.contenders import OURS, Outcome, Task
from bench.report import conditions, interleaved, middle, spread, table
from harness.kafka import KafkaCluster
from harness.kafka_topics import create_topic
from harness.process import free_ports
from harness.traffic import KINDS, Lap, build

RUN_SECONDS: Final = 120.0
PARTITIONS: Final = 12
# Runs before the first that counts: until then the broker's Java has compiled what matters.
WARM_UPS: Final = 3
TRANSPORTS: Final = ("plain", "TLS")
# By name: the program that keeps to the protocol of `bench.parts.contenders`.
CONTENDERS: Final[dict[str, Sequence[str]]] = {
    name: (sys.executable, "-m", "bench.parts.contenders", name) for name in OURS
}


LISTENERS: Final = frozenset({"ours", "native"})  # those that read many channels


class Setting(NamedTuple):
    """One line of the table."""

    contender: str
    transport: str
    traffic: str
    size: int
    channels: int = 1


class Grounds:
    """What the runs share: certificates, the broker, the laps."""

    def __init__(self, stack: ExitStack, options: argparse.Namespace) -> None:
        self.options = options
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.certificate = write_certificate(self.folder)
        self.kafka: str = options.kafka
        if not self.kafka:
            cluster = stack.enter_context(KafkaCluster.to_measure(self.folder / "kafka"))
            self.kafka = cluster.bootstrap_servers
        self._laps: dict[tuple[str, int], tuple[Lap, Path]] = {}

    def lap(self, kind: Any, size: int) -> tuple[Lap, Path]:
        """A lap and the file that it is in; built once."""
        if (kind, size) not in self._laps:
            lap = build(kind, size)
            path = self.folder / f"{kind}-{size}"
            lap.write(path)
            self._laps[(kind, size)] = lap, path
        return self._laps[(kind, size)]

    def measure(self, setting: Setting) -> Outcome:
        """One run of one contender of `CONTENDERS`."""
        return self.race(CONTENDERS[setting.contender], setting, self.options.frames)

    def race(self, argv: Sequence[str], setting: Setting, frames: int) -> Outcome:
        """One run of a program over so many frames."""
        _, lap = self.lap(setting.traffic, setting.size)
        topic = f"bench-{time.time_ns()}"
        if setting.contender != "floor":
            create_topic(self.kafka, topic, partitions=PARTITIONS)
            create_topic(self.kafka, f"{topic}.dlq")
        is_tls = setting.transport == "TLS"
        certificate = self.certificate[:2] if is_tls else ()
        with source(lap, frames, setting.channels, certificate) as port:
            task = Task(
                uri=f"{'wss' if is_tls else 'ws'}://127.0.0.1:{port}/",
                connections=setting.channels,
                frames=frames,
                kafka=self.kafka,
                topic=topic,
                ca=self.certificate[2] if is_tls else "",
            )
            outcome = run(argv, task)
        if outcome.records:
            stored = records_in(self.kafka, topic)
            assert stored == outcome.records, f"{stored} of {outcome.records} records are in Kafka"
        return outcome


def warm_ups(settings: Sequence[Setting]) -> list[Setting]:
    """The runs before the first that counts. They are of `raw`, which waits for a broker that is
    slow while it is cold; the mirror would spool, and count the records that Kafka has so far."""
    return [settings[0]._replace(contender="raw", channels=1)] * WARM_UPS


def run(argv: Sequence[str], task: Task) -> Outcome:
    """A contender in a process of its own, so that none warms or burdens the next."""
    environment = {**os.environ, "BENCH_TASK": msgspec.json.encode(task).decode()}
    done = subprocess.run(
        argv, env=environment, stdout=subprocess.PIPE, check=True, timeout=RUN_SECONDS
    )
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Outcome)


@contextmanager
def source(lap: Path, frames: int, connections: int, certificate: Sequence[str]) -> Iterator[int]:
    """The pushing process; its port."""
    (port,) = free_ports(1)
    argv = [sys.executable, "-m", "bench.parts.source", str(port), str(lap), str(frames)]
    argv += [str(connections), *certificate]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield port
        finally:
            process.kill()


def write_certificate(folder: Path) -> tuple[str, str, str]:
    """The files of a certificate for loopback, its key, and its CA."""
    import trustme

    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key, ca = (folder / name for name in ("cert.pem", "key.pem", "ca.pem"))
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(ca))
    return str(certificate), str(key), str(ca)


def records_in(servers: str, topic: str) -> int:
    """How many records a topic holds, by its offsets."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "bench"})
    try:
        return sum(
            consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30.0)[1]
            for partition in range(PARTITIONS)
        )
    finally:
        consumer.close()


def rows(results: dict[Setting, list[Outcome]]) -> Iterator[tuple[str, ...]]:
    """The table's lines."""
    for setting, outcomes in results.items():
        rates = [outcome.rate for outcome in outcomes]
        costs = [outcome.cpu_us for outcome in outcomes]
        passthrough = results.get(setting._replace(contender="raw", channels=1))
        ratio = "-"
        if passthrough is not None:
            ratio = f"{middle(costs) / middle(o.cpu_us for o in passthrough):.2f}"
        yield (
            setting.contender,
            setting.transport,
            setting.traffic,
            f"{setting.size}",
            f"{setting.channels}",
            f"{middle(rates):,.0f}",
            spread(rates),
            f"{middle(costs):.1f}",
            f"{min(costs):.1f}",
            spread(costs),
            ratio,
            f"{middle(o.records / o.frames for o in outcomes):.2f}",
            f"{middle(o.rss_mb for o in outcomes):.0f}",
        )


HEAD: Final = (
    *("contender", "socket", "traffic", "bytes", "channels"),
    *("frames/s", "", "µs CPU/frame", "least", ""),
    *("to raw", "records/frame", "RSS MB"),
)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--sizes", default="2000,4200,6000")
    parser.add_argument("--transports", default=",".join(TRANSPORTS))
    parser.add_argument("--traffic", default=",".join(KINDS))
    parser.add_argument("--contenders", default=",".join(CONTENDERS))
    parser.add_argument("--channels", default="1", help="the others read one socket")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--kafka", default="", help="bootstrap servers; one broker is started else")
    options = parser.parse_args()
    settings = [
        Setting(contender, transport, traffic, int(size), int(channels))
        for size in options.sizes.split(",")
        for traffic in options.traffic.split(",")
        for transport in options.transports.split(",")
        for contender in options.contenders.split(",")
        for channels in (options.channels.split(",") if contender in LISTENERS else ["1"])
    ]
    with ExitStack() as stack:
        grounds = Grounds(stack, options)
        print(conditions())
        print(f"{options.frames} frames a run, {options.runs} runs in turn, medians")
        for traffic, size in dict.fromkeys((s.traffic, s.size) for s in settings):
            print(f"{size} B, {grounds.lap(traffic, size)[0]}")
        results = interleaved(settings, options.runs, grounds.measure, warm_up=warm_ups(settings))
    print(table(HEAD, rows(results)))


if __name__ == "__main__":
    main()
