"""Read the topics of `mirror projector`: each event once, or the state of each conversation.

    pip install confluent-kafka
    KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092 python projected.py once
    KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092 python projected.py conversations

Both topics are written in transactions. `isolation.level` leaves out uncommitted records.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

BATCH = 1_000
POLL_SECONDS = 1.0


def consumer(group: str) -> Consumer:
    """A consumer of committed records."""
    return Consumer(
        {
            "bootstrap.servers": os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092"),
            "group.id": group,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 10_000,
        }
    )


def messages(source: Consumer) -> list[Message]:
    """The next messages. Raises `KafkaException` if one of them is an error."""
    found = source.consume(BATCH, POLL_SECONDS)
    for message in found:
        if error := message.error():
            raise KafkaException(error)
    return found


def once(until: Callable[[], bool]) -> None:
    """Print each event. It drops and remembers nothing."""
    source = consumer("transitions-printer")
    source.subscribe([os.environ.get("MIRROR_ONCE_TOPIC", "genesys-interactions.once")])
    while not until():
        found = messages(source)
        for message in found:
            event = json.loads(message.value() or b"")
            print(event["occurred_at"], event["conversation_id"], event["event_type"], flush=True)
        if found:
            source.commit(asynchronous=False)
    source.close()


def conversations(until: Callable[[], bool]) -> None:
    """Print how many conversations are active and how many of them wait, whenever that changes.

    It reads from the beginning each time, without a group: the topic has the whole state.
    """
    source = consumer("wallboard")
    topic = os.environ.get("MIRROR_CONVERSATIONS_TOPIC", "genesys-conversations")
    numbers = source.list_topics(topic, timeout=10).topics[topic].partitions
    source.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in numbers])
    known: dict[str, Any] = {}
    shown = ""
    while not until():
        for message in messages(source):
            key, value = (message.key() or b"").decode(), message.value()
            if value is None:  # it ended a day ago
                known.pop(key, None)
            else:
                known[key] = json.loads(value)
        active = [view for view in known.values() if view["state"] == "active"]
        waiting = sum(
            any(leg["purpose"] == "acd" and leg["ended_at"] is None for leg in view["legs"])
            for view in active
        )
        line = f"{len(active)} active, {waiting} waiting, {len(known)} known"
        if line != shown:
            print(line, flush=True)
        shown = line
    source.close()


if __name__ == "__main__":
    stopping: list[int] = []
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda number, _frame: stopping.append(number))
    read = {"once": once, "conversations": conversations}[sys.argv[1]]
    read(lambda: bool(stopping))
