"""Today's figures after a restart: read again from what Kafka kept, or said since when."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from dashboard.hub import Hub
from dashboard.reader import reader as reading
from dashboard.reader.past import Past
from dashboard.reader.reader import Reader
from harness.dashboard import conversation, produce
from harness.kafka import KafkaCluster
from harness.process import wait_until
from mirror.settings import Settings, load

CALLS = 40


@pytest.fixture
def settings(kafka: str, redis_url: str, make_topic: Callable[..., str]) -> Settings:
    """Topics of their own."""
    return load(
        {
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "REDIS_URL": redis_url,
            "MIRROR_TOPIC": make_topic(partitions=2),
            "MIRROR_DEAD_LETTER_TOPIC": make_topic(),
        }
    )


@contextmanager
def opened(settings: Settings) -> Iterator[Reader]:
    """The threads of a dashboard that read Kafka, once they have read the past of the day."""
    stop = threading.Event()
    with redis.Redis.from_url(settings.redis_url, decode_responses=True) as client:
        reader = Reader(settings, client, Hub())
        past = Past(settings, reader)
        threads = [threading.Thread(target=part.run, args=(stop,)) for part in (reader, past)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: reader.feed.counts_from_ms, 30, "the past is read")
            yield reader
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def sums(reader: Reader) -> tuple[int, int]:
    """How many were offered and answered today, in all queues."""
    with reader.lock:
        rows = list(reader.today.queues.values())
        return sum(row.offered for row in rows), sum(row.answered for row in rows)


def test_the_day_is_read_again_from_kafka(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However little of the past the floor needs: each conversation of the day counts once, also
    one that goes on after the start."""
    monkeypatch.setattr(reading, "BACKLOG", 20)
    produce(settings, [e for n in range(CALLS) for e in conversation(n, "talking", 3.0)])
    with opened(settings) as reader:
        assert sum(reader.beginnings.values()) > 5 * CALLS, "the floor began near the end"
        assert sums(reader) == (CALLS, CALLS)
        assert reader.feed.counts_from_ms == reader.today.day_ms
        produce(settings, conversation(CALLS, "waiting", 3.0))
        wait_until(lambda: sums(reader) == (CALLS + 1, CALLS), 10, "the stream goes on")


def test_a_partition_without_a_leader_is_read_once_it_has_one(
    kafka_cluster_factory: Callable[[int], KafkaCluster], redis_url: str
) -> None:
    """The page opens with the others and says so; then the rest of the day is read too."""
    cluster = kafka_cluster_factory(3)
    brokers = cluster.bootstrap_servers
    topics = [("interactions", [[1], [3]]), ("letters", [[3]])]
    admin = AdminClient({"bootstrap.servers": brokers})
    for name, placed in topics:
        topic = NewTopic(name, len(placed), replica_assignment=placed)
        admin.create_topics([topic])[name].result(20)
    settings = load(
        {
            "KAFKA_BOOTSTRAP_SERVERS": brokers,
            "REDIS_URL": redis_url,
            "MIRROR_TOPIC": "interactions",
            "MIRROR_DEAD_LETTER_TOPIC": "letters",
        }
    )
    produce(settings, [e for n in range(CALLS) for e in conversation(n, "talking", 3.0)])
    cluster.brokers[2].kill()

    def is_without() -> bool:
        found = admin.list_topics("letters", timeout=10).topics["letters"].partitions
        return all(partition.leader < 0 for partition in found.values())

    wait_until(is_without, 60, "the broker's partitions have no leader")
    with opened(settings) as reader:
        assert 0 < sums(reader)[0] < CALLS
        assert reader.reasons() == [
            "partition 1 of interactions has no leader: its records are not shown",
            "partition 0 of letters has no leader: its records are not shown",
        ]
        cluster.brokers[2].start()
        wait_until(lambda: sums(reader) == (CALLS, CALLS), 60, "all is read")
        wait_until(lambda: not reader.reasons(), 30, "nothing is missing")
        produce(settings, conversation(CALLS, "waiting", 3.0))
        wait_until(lambda: sums(reader) == (CALLS + 1, CALLS), 10, "the stream goes on")


def test_it_says_since_when_kafka_has_the_day(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where retention has taken a part of it away."""
    monkeypatch.setattr(reading, "BACKLOG", 20)
    produce(settings, [e for n in range(CALLS) for e in conversation(n, "talking", 3.0)])
    admin = AdminClient({"bootstrap.servers": settings.kafka.properties["bootstrap.servers"]})
    gone = [TopicPartition(settings.topic, partition, 40) for partition in (0, 1)]
    for future in admin.delete_records(gone).values():
        future.result(10)
    with opened(settings) as reader:
        assert sums(reader)[0] < CALLS
        assert reader.feed.counts_from_ms > reader.today.day_ms
