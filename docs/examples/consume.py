"""Follow the stream: every transition once, in the order of its conversation.

    pip install confluent-kafka
    KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092 python consume.py

Offsets are committed after the work, so a crash repeats a few events and loses none. Repeats, and
the second copies of events, are dropped by `event_id`.
"""

from __future__ import annotations

import json
import os
import signal
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from confluent_kafka import Consumer, KafkaException

# The copies of a transition come within seconds of each other, from two sockets. A back-fill may
# repeat events that are hours old. Remember as many ids as fit, 100 bytes each. If a late repeat
# would do harm, make the work itself idempotent (see the Postgres guide).
REMEMBERED = 500_000
BATCH = 500
POLL_SECONDS = 1.0

Event = dict[str, Any]


def main() -> None:
    """Print a line for each transition until Ctrl-C."""
    stopping: list[int] = []
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda number, _frame: stopping.append(number))
    consumer = connect("interaction-printer")
    for event in transitions(consumer, until=lambda: bool(stopping)):
        when = event["occurred_at"] + ("~" if event["estimated"] else "")
        leg = f"{event['media_type']} {event['purpose']}" if event["media_type"] else ""
        print(when, event["conversation_id"], event["event_type"], leg, event["state"], flush=True)
    consumer.close()


def connect(group: str) -> Consumer:
    """A consumer of the interaction topic; a new group begins with the oldest event kept."""
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092"),
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 10_000,
        }
    )
    consumer.subscribe([os.environ.get("MIRROR_TOPIC", "genesys-interactions")])
    return consumer


def transitions(consumer: Consumer, until: Callable[[], bool]) -> Iterator[Event]:
    """Events without repeats. An event counts as done when the next one is requested."""
    seen: OrderedDict[str, None] = OrderedDict()
    while not until():
        messages = consumer.consume(BATCH, POLL_SECONDS)
        for message in messages:
            if error := message.error():
                raise KafkaException(error)
            event = json.loads(message.value() or b"")
            if event["event_id"] in seen:
                continue
            seen[event["event_id"]] = None
            if len(seen) > REMEMBERED:
                seen.popitem(last=False)
            yield event
        if messages:
            consumer.commit(asynchronous=False)


if __name__ == "__main__":
    main()
