"""Keep every transition in Postgres, once, whatever is repeated or restarted.

    pip install confluent-kafka "psycopg[binary]"
    DATABASE_URL=postgresql://… KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092 python to_postgres.py

The primary key is `event_id`, so a repeated event changes nothing: no ids are kept in memory, and
a batch that was written but not committed to Kafka is simply written again.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psycopg
from confluent_kafka import Consumer, KafkaException
from consume import BATCH, POLL_SECONDS, connect

TABLES = Path(__file__).with_name("postgres.sql")
INSERT = """
    INSERT INTO interaction_events
    SELECT event_id, event_type, conversation_id, participant_id, media_type, communication_id,
           purpose, agent_id, queue_id, direction, state, disconnect_type, wrapup_code,
           occurred_at, estimated, received_at, origin
    FROM jsonb_populate_record(NULL::interaction_events, %s::jsonb)
    ON CONFLICT (event_id) DO NOTHING
"""


def main() -> None:
    """Copy until Ctrl-C."""
    stopping: list[int] = []
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda number, _frame: stopping.append(number))
    consumer = connect("interaction-postgres")
    with psycopg.connect(os.environ["DATABASE_URL"]) as database:
        database.execute(TABLES.read_bytes())
        database.commit()
        copy(consumer, database, until=lambda: bool(stopping))
    consumer.close()


def copy(consumer: Consumer, database: psycopg.Connection, until: Callable[[], bool]) -> None:
    """Write to Postgres first, then commit Kafka's offsets. A crash in between repeats a batch."""
    while not until():
        messages = consumer.consume(BATCH, POLL_SECONDS)
        for message in messages:
            if error := message.error():
                raise KafkaException(error)
        if not messages:
            continue
        with database.cursor() as cursor:
            values = [value.decode() for message in messages if (value := message.value())]
            cursor.executemany(INSERT, [(value,) for value in values])
        database.commit()
        consumer.commit(asynchronous=False)


if __name__ == "__main__":
    main()
