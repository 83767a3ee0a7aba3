"""How long an event takes from Genesys' socket to a consumer of Kafka: `python -m bench.latency`.

A source sends frames at a steady rate and stamps each with the time at which it is due; the
listener's loop turns them into events; a consumer in a process of its own takes the difference
when it has the record. `--contenders ours,native,raw` compares readers (`bench.parts.contenders`).
Source, listener, Apache Kafka and consumer share this machine. The first
seconds, in which connections, code and the broker warm up, do not count.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from confluent_kafka import Consumer, TopicPartition

from bench.listener import CONTENDERS, PARTITIONS, TRANSPORTS, WARM_UPS, Grounds, run
from bench.parts.contenders import Task
from bench.report import conditions, interleaved, middle, table
from harness.kafka_topics import create_topic
from harness.process import free_ports

WARM_UP_SECONDS: Final = 3.0
IDLE_SECONDS: Final = 10.0
HEAD: Final = (
    *("frames/s", "socket", "contender", "records", "p50 ms", "p99 ms", "p99.9 ms", "max ms"),
    "µs CPU/frame",
)


class Setting(NamedTuple):
    """One line of the table."""

    rate: int
    transport: str
    contender: str


class Latencies(msgspec.Struct):
    """What the consumer saw, milliseconds, sorted; and what the listener spent a frame."""

    sorted_ms: list[float]
    cpu_us: float = 0.0

    def at(self, share: float) -> float:
        """The latency that this share of the events kept within."""
        return self.sorted_ms[min(len(self.sorted_ms) - 1, int(share * len(self.sorted_ms)))]


def main() -> None:
    """Measure and print a table."""
    if len(sys.argv) > 1 and sys.argv[1] == "consume":
        servers, topic, warm_up = sys.argv[2:]
        consume(servers, topic, float(warm_up))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rates", default="1000,5000,10000")
    parser.add_argument("--transports", default=",".join(TRANSPORTS))
    parser.add_argument("--contenders", default="ours")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--size", type=int, default=4200)
    parser.add_argument("--traffic", default="changes")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--kafka", default="", help="bootstrap servers; one broker is started else")
    options = parser.parse_args()
    settings = [
        Setting(int(rate), transport, contender)
        for transport in options.transports.split(",")
        for rate in options.rates.split(",")
        for contender in options.contenders.split(",")
    ]
    with ExitStack() as stack:
        grounds = Grounds(stack, options)
        print(conditions())
        print(
            f"{options.size} B, {grounds.lap(options.traffic, options.size)[0]}\n"
            f"{options.runs} runs of {options.seconds:g} s in turn; medians, max of all"
        )
        results = interleaved(
            settings,
            options.runs,
            lambda setting: measure(grounds, setting),
            warm_up=settings[-1:] * WARM_UPS,
        )
    print(table(HEAD, rows(results)))


def rows(results: dict[Setting, list[Latencies]]) -> Iterator[tuple[str, ...]]:
    """The table's lines."""
    for setting, runs in results.items():
        yield (
            f"{setting.rate:,}",
            setting.transport,
            setting.contender,
            f"{sum(len(measured.sorted_ms) for measured in runs):,}",
            *(
                f"{middle(measured.at(share) for measured in runs):.1f}"
                for share in (0.5, 0.99, 0.999)
            ),
            f"{max(measured.sorted_ms[-1] for measured in runs):.0f}",
            f"{middle(measured.cpu_us for measured in runs):.1f}",
        )


def measure(grounds: Grounds, setting: Setting) -> Latencies:
    """One run."""
    options = grounds.options
    frames = int(setting.rate * (options.seconds + WARM_UP_SECONDS))
    topic = create_topic(grounds.kafka, f"latency-{time.time_ns()}", partitions=PARTITIONS)
    create_topic(grounds.kafka, f"{topic}.dlq")
    _, lap = grounds.lap(options.traffic, options.size)
    is_tls = setting.transport == "TLS"
    certificate = grounds.certificate[:2] if is_tls else ()
    argv = [sys.executable, "-m", "bench.latency", "consume", grounds.kafka, topic]
    with subprocess.Popen([*argv, str(WARM_UP_SECONDS)], stdout=subprocess.PIPE) as consumer:
        assert consumer.stdout is not None
        consumer.stdout.readline()
        with _source(lap, setting.rate, frames, certificate) as port:
            uri = f"{'wss' if is_tls else 'ws'}://127.0.0.1:{port}/"
            ca = grounds.certificate[2] if is_tls else ""
            outcome = run(
                CONTENDERS[setting.contender], Task(uri, 1, frames, grounds.kafka, topic, ca)
            )
        seen = msgspec.json.decode(consumer.stdout.read(), type=Latencies)
    seen.cpu_us = outcome.cpu_us
    return seen


@contextmanager
def _source(lap: Path, rate: int, frames: int, certificate: Sequence[str]) -> Iterator[int]:
    (port,) = free_ports(1)
    argv = [sys.executable, "-m", "bench.parts.paced", str(port), str(lap), str(rate), str(frames)]
    with subprocess.Popen([*argv, *certificate], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield port
        finally:
            process.kill()


class _Metadata(msgspec.Struct):
    stamp: str = msgspec.field(name="CorrelationId")


class _Stamped(msgspec.Struct):
    """An event, or a frame that was passed through."""

    correlation_id: str | None = None
    metadata: _Metadata | None = None

    @property
    def at(self) -> int:
        """When the frame was due, in nanoseconds of the machine's monotonic clock; 0 if unknown."""
        return int(self.correlation_id or (self.metadata.stamp if self.metadata else 0))


def consume(servers: str, topic: str, warm_up: float) -> None:
    """Read the topic until nothing more comes; print `Latencies` as JSON."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "latency"})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    print("ready", flush=True)
    decoder = msgspec.json.Decoder(_Stamped)
    latencies: list[float] = []
    first = 0
    last = time.monotonic()
    while not first or time.monotonic() - last < IDLE_SECONDS:
        message = consumer.poll(0.2)
        if message is None:
            continue
        now = time.monotonic_ns()
        value = message.value()
        assert value is not None, message.error()
        stamp = decoder.decode(value).at
        first = first or stamp
        last = now / 1e9
        if stamp - first > warm_up * 1e9:
            latencies.append((now - stamp) / 1e6)
    consumer.close()
    print(msgspec.json.encode(Latencies(sorted(latencies))).decode())


if __name__ == "__main__":
    main()
