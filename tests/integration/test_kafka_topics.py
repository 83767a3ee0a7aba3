"""Topics, reachability and the reader, on a real Kafka."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from harness.kafka import KafkaCluster
from harness.process import wait_until
from mirror.base.errors import KafkaUnavailable
from mirror.base.log import capture_logs
from mirror.conversation.event import Event, identity
from mirror.kafka.admin import check, check_topics, ensure_topics
from mirror.kafka.client import ClientLog
from mirror.kafka.config import producer_config
from mirror.kafka.consume import EventStream
from mirror.kafka.record import Recorder
from mirror.settings import Settings, load


def configure(servers: str, topic: str, **more: str) -> Settings:
    """Settings with topics of this test's own."""
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": servers,
        "MIRROR_TOPIC": topic,
        "MIRROR_DEAD_LETTER_TOPIC": f"{topic}.dlq",
        "MIRROR_ONCE_TOPIC": f"{topic}.once",
        "MIRROR_CONVERSATIONS_TOPIC": f"{topic}.conversations",
    }
    return load(environment | more)


def event(number: int) -> Event:
    """One of many events."""
    return Event(
        event_id=identity(f"c{number}", "start"),
        event_type="start",
        conversation_id=f"c{number}",
        state="active",
        occurred_at="2026-11-23T10:00:00.000Z",
        received_at="2026-11-23T10:00:00.000Z",
    )


def produce(settings: Settings, numbers: range) -> None:
    """Put events there as a listener does."""
    recorder = Recorder(settings.topic, settings.region, settings.encoding)
    producer = Producer(producer_config(settings, "test"), **ClientLog("test").options())
    for number in numbers:
        record = recorder.record(event(number))
        producer.produce(record.topic, record.value, record.key, headers=record.headers)
    assert producer.flush(10.0) == 0


def read(stream: EventStream, count: int) -> set[str]:
    """Conversations of the next `count` events."""
    found: set[str] = set()
    deadline = time.monotonic() + 15.0
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count}"
        found |= {got.conversation_id for got in stream.read(0.2)}
    return found


def test_topics_are_made_once(kafka: str, topic_name: str) -> None:
    """`mirror init` twice: created, then found; replication is capped at the number of brokers."""
    settings = configure(kafka, topic_name, MIRROR_PARTITIONS="5")
    first = ensure_topics(settings)
    assert [(state.outcome, state.replication_factor) for state in first] == [("created", 1)] * 4
    assert first[0].partitions == 5
    assert "asked for 3; the cluster has 1 broker" in first[0].note
    assert [state.outcome for state in ensure_topics(settings)] == ["exists"] * 4
    assert check_topics(settings, 5.0).topics[topic_name] == (5, 1)


def test_fewer_partitions_are_said_and_left_alone(kafka: str, topic_name: str) -> None:
    """Partitions are never added behind somebody's back: conversations would move."""
    ensure_topics(configure(kafka, topic_name, MIRROR_PARTITIONS="2"))
    state = ensure_topics(configure(kafka, topic_name, MIRROR_PARTITIONS="4"))[0]
    assert state.outcome == "fewer_partitions"
    assert "2 partitions" in str(state)
    assert state.partitions == 2


def test_a_missing_topic_names_its_cure(kafka: str, topic_name: str) -> None:
    """A listener that starts before `mirror init` says so."""
    with pytest.raises(KafkaUnavailable, match=f"{topic_name}.*mirror init"):
        check_topics(configure(kafka, topic_name), 1.0)


def test_a_start_waits_for_the_topics(kafka: str, topic_name: str) -> None:
    """A process that starts while `mirror init` runs finds them as soon as they are there."""
    settings = configure(kafka, topic_name)
    found: list[object] = []
    with capture_logs() as told:
        waiting = threading.Thread(target=lambda: found.append(check_topics(settings, 30.0)))
        waiting.start()
        wait_until(lambda: bool(told), 10.0, "the wait is told")
        ensure_topics(settings)
        waiting.join(10.0)
    assert len(found) == 1
    assert {line["event"] for line in told} == {"waiting_for_topics"}


def test_a_start_right_behind_init_finds_the_topics_at_every_broker(
    kafka_cluster_factory: Callable[[int], KafkaCluster], topic_name: str
) -> None:
    """`mirror init` returns when each broker knows them, whichever one a process asks."""
    cluster = kafka_cluster_factory(3)
    for round_ in range(5):
        settings = configure(cluster.bootstrap_servers, f"{topic_name}-{round_}")
        ensure_topics(settings)
        for broker in cluster.bootstrap_servers.split(","):
            single = configure(broker, settings.topic)
            assert settings.topic in check(single, 5.0).topics


def test_no_broker_is_one_clear_line(topic_name: str) -> None:
    """Within the time-out, naming the address and the setting."""
    started = time.monotonic()
    with pytest.raises(
        KafkaUnavailable, match=r"127\.0\.0\.1:9 .*KAFKA_BOOTSTRAP_SERVERS"
    ) as raised:
        check(configure("127.0.0.1:9", topic_name), 1.0)
    assert time.monotonic() - started < 3.0
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_the_reader_sees_what_listeners_produce(kafka: str, topic_name: str, encoding: str) -> None:
    """From the beginning, from the end, and from a time, in either encoding."""
    settings = configure(kafka, topic_name, MIRROR_ENCODING=encoding)
    ensure_topics(settings)
    produce(settings, range(20))
    with EventStream(settings, "beginning") as stream:
        assert read(stream, 20) == {f"c{number}" for number in range(20)}
    with EventStream(settings, "end") as stream:
        stream.read(1.0)  # where the end is, is asked for with the first read
        middle = round(time.time() * 1000)
        produce(settings, range(20, 30))
        assert read(stream, 10) == {f"c{number}" for number in range(20, 30)}
    with EventStream(settings, since_ms=middle) as stream:
        assert read(stream, 10) == {f"c{number}" for number in range(20, 30)}


def test_foreign_records_are_passed_over(kafka: str, make_topic: Callable[..., str]) -> None:
    """A record that holds no event is counted and hides nothing."""
    settings = configure(kafka, make_topic(partitions=1))
    producer = Producer(producer_config(settings, "test"), **ClientLog("test").options())
    producer.produce(settings.topic, b"not an event")
    producer.flush(10.0)
    produce(settings, range(3))
    with EventStream(settings, "beginning") as stream:
        assert len(read(stream, 3)) == 3
        assert stream.unreadable == 1
