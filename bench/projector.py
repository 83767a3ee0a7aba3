"""How late events are projected, what one costs, and how long a restore takes.

    python -m bench.projector [--conversations 10000] [--rate 2000] [--restored 100000]

A real Kafka of one broker with 12 partitions, and `mirror projector` as a process. Each event is
produced twice, as two replicas do, so records come at twice the rate. An independent consumer reads
the once topic (`read_committed`) and takes the lag from the record's time, which is when the first
copy was produced, to its own clock; it counts what is missing and what stands twice.

CPU and memory are those of the projector, librdkafka's threads included. `--restored` conversations
that are active are then written, and the time is taken from the start of a new projector until it
is ready for all partitions.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition

from bench.report import conditions
from bench.tracker import conversation_events
from harness.kafka import KafkaCluster
from harness.kafka_topics import create_topic
from harness.process import ManagedProcess, wait_until
from mirror.conversation.event import Event
from mirror.conversation.times import show_epoch
from mirror.kafka.kept import KEPT_HEADER
from mirror.kafka.partition import partition as partition_of
from mirror.kafka.record import Recorder
from mirror.settings import Settings, load
from projector.projection import Draft, Partition

PARTITIONS: Final = 12
ONCE: Final = "bench.once"
VIEWS: Final = "bench.conversations"
TICK_SECONDS: Final = 0.01
SETTLE_SECONDS: Final = 5.0
WARM_CONVERSATIONS: Final = 200
READY_WITHIN_SECONDS: Final = 180.0
DAY_MS: Final = 24 * 3_600_000


def events_of(conversations: int, live: int, seed: int) -> Iterator[Event]:
    """The events of so many calls, `live` at a time, each once."""
    chance = random.Random(seed)
    lives = [conversation_events(chance) for _ in range(min(live, conversations))]
    begun = len(lives)
    while lives:
        index = chance.randrange(len(lives))
        following = next(lives[index], None)
        if following is not None:
            yield following
        elif begun < conversations:
            lives[index] = conversation_events(chance)
            begun += 1
        else:
            lives[index] = lives[-1]
            lives.pop()


def feed(settings: Settings, servers: str, events: Iterator[Event], rate: int) -> int:
    """Produce each event twice, `rate` events a second. How many there were."""
    recorder = Recorder(settings.topic, settings.region, "json")
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "partitioner": "murmur2_random",
            "linger.ms": 5,
            "enable.idempotence": True,
        }
    )
    began, count = time.monotonic(), 0
    for event in events:
        now = show_epoch(time.time())
        record = recorder.record(msgspec.structs.replace(event, occurred_at=now, received_at=now))
        for _ in range(2):
            producer.produce(record.topic, record.value, record.key, headers=list(record.headers))
        producer.poll(0)
        count += 1
        while count > (time.monotonic() - began) * rate:
            time.sleep(TICK_SECONDS)
    producer.flush(60)
    return count


class Reader(threading.Thread):
    """Reads the once topic as any consumer would."""

    def __init__(self, servers: str) -> None:
        super().__init__(daemon=True)
        self.lags: list[float] = []
        self.seen: dict[bytes, int] = {}
        self.stopped = threading.Event()
        self._consumer: Any = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": "bench-reader",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 10,
                "enable.auto.commit": False,
            }
        )
        self._consumer.assign([TopicPartition(ONCE, number, 0) for number in range(PARTITIONS)])

    def run(self) -> None:
        """Until it is stopped."""
        while not self.stopped.is_set():
            messages = self._consumer.consume(1, timeout=0.1)
            if messages:
                messages += self._consumer.consume(999, timeout=0)
            now = time.time() * 1000
            for message in messages:
                if message.error() is None:
                    identity = dict(message.headers())["ce_id"]
                    self.seen[identity] = self.seen.get(identity, 0) + 1
                    self.lags.append(now - message.timestamp()[1])
        self._consumer.close()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Its memory in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def ready(process: ManagedProcess) -> bool:
    """Whether all partitions are projected."""
    return process.stderr.count("partition_ready") >= PARTITIONS


def projecting(env: dict[str, str], folder: Path, conversations: int, rate: int) -> None:
    """Lag, CPU and exactness at `rate` events a second."""
    settings, servers = load(env), env["KAFKA_BOOTSTRAP_SERVERS"]
    with ManagedProcess.mirror("projector", folder=folder, env=env, name="projector") as process:
        process.wait_for(lambda: ready(process), READY_WITHIN_SECONDS, "is ready")
        reader = Reader(servers)
        reader.start()
        # The broker's first transactions wait for its own topics; they are not what is measured.
        warm = feed(settings, servers, events_of(WARM_CONVERSATIONS, WARM_CONVERSATIONS, 3), rate)
        wait_until(lambda: len(reader.seen) >= warm, READY_WITHIN_SECONDS, "is warm")
        warm_lags = len(reader.lags)
        before, used, began = resident(process.pid), cpu_seconds(process.pid), time.monotonic()
        count = feed(settings, servers, events_of(conversations, conversations // 2, 1), rate)
        seconds = time.monotonic() - began
        wait_until(
            lambda: len(reader.seen) >= warm + count, READY_WITHIN_SECONDS, "all is projected"
        )
        time.sleep(SETTLE_SECONDS)  # for what stands twice
        used = cpu_seconds(process.pid) - used
        after = resident(process.pid)
        reader.stopped.set()
        reader.join()
    measured = reader.lags[warm_lags:]
    lags = statistics.quantiles(measured, n=100)
    missing = warm + count - len(reader.seen)
    twice = sum(number - 1 for number in reader.seen.values())
    print(
        f"{conversations:,} conversations, {count:,} events in {2 * count:,} records, "
        f"{count / seconds:,.0f} events/s: missing {missing}, twice {twice}\n"
        f"lag to a consumer: p50 {lags[49]:.0f} ms, p99 {lags[98]:.0f} ms, "
        f"most {max(measured):.0f} ms\n"
        f"CPU {used / count * 1e6:.0f} µs an event (two records), "
        f"memory {(after - before) / conversations / 1024:.1f} KiB a conversation "
        f"(ended ones included), {after / 2**20:.0f} MiB in all"
    )


def restoring(env: dict[str, str], folder: Path, count: int) -> None:
    """How long a projector takes to restore so many active conversations."""
    servers = env["KAFKA_BOOTSTRAP_SERVERS"]
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 20, "compression.type": "lz4"})
    partitions = [Partition(number, DAY_MS) for number in range(PARTITIONS)]
    chance, size = random.Random(2), 0
    for _ in range(count):
        events = list(conversation_events(chance))[:6]  # answered, and not over
        number = partition_of(events[0].conversation_id, PARTITIONS)
        draft = Draft(partitions[number])
        for event in events:
            draft.take(0, msgspec.json.encode(event), 0)
        for view in draft.views():
            size += len(view.value or b"") + len(view.kept)
            headers: Any = [("content-type", b"application/json"), (KEPT_HEADER, view.kept)]
            producer.produce(VIEWS, view.value, view.key, number, headers=headers)
        producer.poll(0)
    producer.flush(120)
    with ManagedProcess.mirror("projector", folder=folder, env=env, name="restored") as process:
        began = time.monotonic()
        wait_until(
            lambda: "partitions_assigned" in process.stderr, READY_WITHIN_SECONDS, "is assigned"
        )
        assigned = time.monotonic()
        before = resident(process.pid)
        wait_until(lambda: ready(process), READY_WITHIN_SECONDS, "has restored", interval=0.01)
        done = time.monotonic()
        kept = sum(
            json.loads(line)["conversations"]
            for line in process.stderr.splitlines()
            if "partition_ready" in line
        )
        grown = resident(process.pid) - before
    print(
        f"restored {kept:,} conversations ({size / 2**20:.0f} MiB of views) "
        f"in {done - assigned:.1f} s, {done - began:.1f} s after the start of the process; "
        f"memory {grown / max(1, kept) / 1024:.1f} KiB a conversation"
    )


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--conversations", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=2_000)
    parser.add_argument("--restored", type=int, default=100_000)
    asked = parser.parse_args()
    print(conditions())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with KafkaCluster.to_measure(folder / "kafka") as cluster:
            servers = cluster.bootstrap_servers
            env = {
                "KAFKA_BOOTSTRAP_SERVERS": servers,
                "MIRROR_NAMESPACE": "bench",
                "MIRROR_TOPIC": "bench",
                "MIRROR_ONCE_TOPIC": ONCE,
                "MIRROR_CONVERSATIONS_TOPIC": VIEWS,
            }
            for topic in ("bench", ONCE):
                create_topic(servers, topic, partitions=PARTITIONS)
            compacted = {"cleanup.policy": "compact"}
            create_topic(servers, VIEWS, partitions=PARTITIONS, config=compacted)
            projecting(env, folder, asked.conversations, asked.rate)
            restoring(env, folder, asked.restored)


if __name__ == "__main__":
    main()
