"""Copy the topics of `mirror projector` to Postgres: all events, and the state of conversations.

    pip install confluent-kafka "psycopg[binary]"
    DATABASE_URL=postgresql://… KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092 \\
        python projected_to_postgres.py

Rows and offsets are written in one transaction of Postgres. So each event is one row, whatever is
killed. That needs no upsert and no `event_id`. Run only one copy of this program.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import psycopg
from confluent_kafka import Message, TopicPartition
from projected import consumer, messages

TABLES = Path(__file__).with_name("projected.sql")
ONCE = os.environ.get("MIRROR_ONCE_TOPIC", "genesys-interactions.once")
CONVERSATIONS = os.environ.get("MIRROR_CONVERSATIONS_TOPIC", "genesys-conversations")
APPEND = "INSERT INTO transitions VALUES (%s, %s, %s, %s, %s, %s)"
FORGET = "DELETE FROM conversations WHERE conversation_id = %s"
KEEP = """
    INSERT INTO conversations VALUES (%s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (conversation_id) DO UPDATE SET
        (state, queue_id, started_at, ended_at, events, legs) =
        (excluded.state, excluded.queue_id, excluded.started_at, excluded.ended_at,
         excluded.events, excluded.legs)
"""
FACTS = ("conversation_id", "state", "queue_id", "started_at", "ended_at", "events")
MOVE = """
    INSERT INTO consumed VALUES (%s, %s, %s)
    ON CONFLICT (topic, partition) DO UPDATE SET following = excluded.following
"""


def main() -> None:
    """Copy until Ctrl-C."""
    stopping: list[int] = []
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda number, _frame: stopping.append(number))
    with psycopg.connect(os.environ["DATABASE_URL"]) as database:
        database.execute(TABLES.read_bytes())
        database.commit()
        copy(database, until=lambda: bool(stopping))


def copy(database: psycopg.Connection, until: Callable[[], bool]) -> None:
    """Copy both topics, from the offsets in the database."""
    source = consumer("projected-to-postgres")
    rows = database.execute("SELECT topic, partition, following FROM consumed")
    known = {(topic, partition): following for topic, partition, following in rows}
    source.assign(
        [
            TopicPartition(topic, partition, known.get((topic, partition), 0))
            for topic in (ONCE, CONVERSATIONS)
            for partition in source.list_topics(topic, timeout=10).topics[topic].partitions
        ]
    )
    while not until():
        found = messages(source)
        with database.cursor() as cursor:
            for message in found:
                write(cursor, message)
        database.commit()
    source.close()


def write(cursor: psycopg.Cursor, message: Message) -> None:
    """One record."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    value = message.value()
    if value is None:  # of a conversation that ended a day ago
        cursor.execute(FORGET, ((message.key() or b"").decode(),))
    elif topic == ONCE:
        event = json.loads(value)
        facts = [event[name] for name in ("conversation_id", "event_type", "occurred_at")]
        cursor.execute(APPEND, (partition, offset, *facts, value.decode()))
    else:
        view = json.loads(value)
        facts = [view[name] for name in FACTS]
        cursor.execute(KEEP, (*facts, json.dumps(view["legs"])))
    cursor.execute(MOVE, (topic, partition, (offset or 0) + 1))


if __name__ == "__main__":
    main()
