"""The janitor waits for Kafka after each conversation, and for nothing else."""

from __future__ import annotations

import time

from janitor.producer import AckedProducer
from mirror.conversation.event import Event, identity
from mirror.settings import load

AT = "2026-11-23T10:00:00.000Z"


def test_a_conversation_does_not_wait_for_more_records() -> None:
    """`linger.ms` is for the listeners' stream. The broker is librdkafka's own."""
    settings = load({"KAFKA_CONF_TEST_MOCK_NUM_BROKERS": "1", "KAFKA_CONF_LINGER_MS": "3000"})
    event = Event(
        event_id=identity("c", "1"),
        event_type="answer",
        conversation_id="c",
        state="connected",
        occurred_at=AT,
        received_at=AT,
    )
    producer = AckedProducer(settings)
    producer.send([event])  # connects
    began = time.monotonic()
    producer.send([event])
    assert time.monotonic() - began < 2.0
    producer.close()
