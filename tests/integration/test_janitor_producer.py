"""The janitor's way to Kafka: what is refused for good must not hold up the rest."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.kafka_topics import read_topic
from janitor.producer import AckedProducer, PartitionUnavailable
from mirror.base.errors import KafkaUnavailable
from mirror.base.log import capture_logs
from mirror.conversation.event import Event, identity
from mirror.kafka.record import read_event
from mirror.settings import load

AT = "2026-11-23T10:00:00.000Z"
BROKER_LIMIT = 20_000


def event(number: int, size: int = 0) -> Event:
    """One of a conversation's events, with so many bytes that do not compress."""
    noise = random.Random(number).randbytes(size // 2).hex()
    return Event(
        event_id=identity("c", str(number)),
        event_type="answer",
        conversation_id="c",
        state="connected",
        occurred_at=AT,
        received_at=AT,
        attributes={"noise": noise} if size else None,
    )


@pytest.mark.parametrize(
    ("topic_limit", "size"),
    [(1_048_588, 2_000_000), (BROKER_LIMIT, 3 * BROKER_LIMIT)],
    ids=["librdkafka refuses", "the broker refuses"],
)
def test_a_record_that_kafka_never_takes_becomes_a_dead_letter(
    kafka: str, make_topic: Callable[..., str], topic_limit: int, size: int
) -> None:
    """The others arrive in their order, under their ids; the letter says what happened, cut to what
    Kafka takes; the next call goes on as if nothing had been."""
    topic = make_topic(config={"max.message.bytes": str(topic_limit)})
    letters = make_topic(config={"max.message.bytes": str(topic_limit)})
    settings = load(
        {
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "MIRROR_TOPIC": topic,
            "MIRROR_DEAD_LETTER_TOPIC": letters,
        }
    )
    producer = AckedProducer(settings)
    producer.send([event(1), event(2, size), event(3)])
    producer.send([event(4)])
    producer.close()
    got = [read_event(message.value()) for message in read_topic(kafka, topic)]
    ids = list(dict.fromkeys(produced.event_id for produced in got))
    assert ids == [event(number).event_id for number in (1, 3, 4)]
    (letter,) = read_topic(kafka, letters)
    headers: Any = letter.headers()
    reason = {name: value.decode() for name, value in headers}
    assert reason["mirror.errors.topic"] == "conversations/c"
    assert reason["mirror.errors.stage"] == "produce"
    assert reason["mirror.errors.exception.class.name"] == "MSG_SIZE_TOO_LARGE"
    assert int(reason["mirror.errors.truncated-bytes"]) > size
    assert 0 < len(letter.value() or b"") < topic_limit
    assert producer.dead_letters == 1


def test_a_dead_letter_that_cannot_be_written_holds_up_nothing(
    kafka: str, make_topic: Callable[..., str]
) -> None:
    """The dead-letter topic is gone: the refused record is logged, the others arrive."""
    topic = make_topic(config={"max.message.bytes": str(BROKER_LIMIT)})
    settings = load(
        {
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "MIRROR_TOPIC": topic,
            "MIRROR_DEAD_LETTER_TOPIC": f"{topic}-gone",
        }
    )
    producer = AckedProducer(settings)
    with capture_logs() as lines:
        producer.send([event(1), event(2, 3 * BROKER_LIMIT), event(3)])
    producer.send([event(4)])
    producer.close()
    got = [read_event(message.value()) for message in read_topic(kafka, topic)]
    ids = list(dict.fromkeys(produced.event_id for produced in got))
    assert ids == [event(number).event_id for number in (1, 3, 4)]
    assert any(line["event"] == "dead_letter_write_failed" for line in lines)
    assert producer.dead_letters == 0


def test_a_partition_that_takes_nothing_is_told_from_a_kafka_that_is_away(
    kafka: str, make_topic: Callable[..., str]
) -> None:
    """It does not exist, and the brokers answer. Events of other partitions are taken."""
    topic = make_topic(partitions=1)
    settings = load({"KAFKA_BOOTSTRAP_SERVERS": kafka, "MIRROR_TOPIC": topic})
    producer = AckedProducer(settings, partitions={topic: 8})
    missing = producer.partition_of("c")
    assert missing > 0
    with pytest.raises(PartitionUnavailable) as caught:
        producer.send([event(1)])
    assert caught.value.partition == missing
    there = next(f"c{n}" for n in range(100) if producer.partition_of(f"c{n}") == 0)
    producer.send([msgspec.structs.replace(event(2), conversation_id=there)])
    assert producer.problem == ""
    producer.close()


def test_a_producer_that_cannot_be_made_is_work_to_do_again(tmp_path: Path) -> None:
    """The CA's file is away: the error is one that the janitor outlives."""
    settings = load(
        {
            "KAFKA_SECURITY_PROTOCOL": "SSL",
            "KAFKA_CONF_SSL_CA_LOCATION": str(tmp_path / "away.pem"),
        }
    )
    with pytest.raises(KafkaUnavailable, match="cannot be used now"):
        AckedProducer(settings).send([event(1)])
