"""Topics of a Kafka for tests: made, and read whole."""

from __future__ import annotations

import logging
import time
import uuid
from typing import Any, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from harness.process import ServiceError, wait_until

ADMIN_SECONDS = 10.0

#: librdkafka reports each refused connection while a broker starts.
SILENT = logging.getLogger("tests.kafka.admin")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False


def admin_client(bootstrap_servers: str) -> AdminClient:
    """Return an administration client that keeps quiet about refused connections."""
    settings: dict[str, Any] = {"bootstrap.servers": bootstrap_servers, "logger": SILENT}
    return AdminClient(settings)


def create_topic(
    bootstrap_servers: str,
    name: str,
    *,
    partitions: int = 1,
    replication: int = 1,
    config: dict[str, str] | None = None,
) -> str:
    """Create a topic and wait until every partition has a leader; returns the name."""
    admin = admin_client(bootstrap_servers)
    # Wait until librdkafka knows the brokers. It then drops its first handle, and a request that
    # was sent through that handle would fail.
    admin.list_topics(timeout=ADMIN_SECONDS)
    topic = NewTopic(name, partitions, replication, config=config or {})
    admin.create_topics([topic], operation_timeout=ADMIN_SECONDS)[name].result(ADMIN_SECONDS)

    def led() -> bool:
        found = admin.list_topics(name, timeout=ADMIN_SECONDS).topics[name]
        leaders = [partition.leader for partition in found.partitions.values()]
        return found.error is None and len(leaders) == partitions and min(leaders) >= 0

    wait_until(led, ADMIN_SECONDS, f"topic {name} has leaders")
    return name


def read_topic(
    bootstrap_servers: str, topic: str, *, count: int | None = None, timeout: float = 20.0
) -> list[Message]:
    """Read a topic from its beginning, without a group.

    With `count`, it reads until there are this many records, and raises `ServiceError` after
    `timeout` seconds. Without `count`, it reads up to the end offsets at the time of the call.
    Records of one partition keep their order; partitions are mixed.
    """
    settings: dict[str, Any] = {
        "bootstrap.servers": bootstrap_servers,
        "group.id": f"read-{uuid.uuid4()}",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "logger": SILENT,
    }
    if count is None:
        settings["enable.partition.eof"] = True
    consumer = Consumer(settings)
    try:
        known = consumer.list_topics(topic, timeout=ADMIN_SECONDS).topics[topic]
        partitions = [TopicPartition(topic, number, 0) for number in known.partitions]
        consumer.assign(partitions)
        if count is None:
            ends = {
                place.partition: consumer.get_watermark_offsets(place, timeout=ADMIN_SECONDS)[1]
                for place in partitions
            }
            return _to_the_ends(consumer, ends, timeout)
        return _take(consumer, count, timeout)
    finally:
        consumer.close()


def _to_the_ends(consumer: Consumer, ends: dict[int, int], timeout: float) -> list[Message]:
    """Read until each partition was read to the offset in `ends`, or to its end.

    The last record before an offset may be the marker of a transaction, which consumers do not get,
    or may be compacted away. Then the end of the partition counts, if nothing is written meanwhile.
    """
    records: list[Message] = []
    partitions = {number for number, end in ends.items() if end}
    deadline = time.monotonic() + timeout
    while partitions:
        if time.monotonic() >= deadline:
            raise ServiceError(f"{len(partitions)} partitions not read within {timeout:g} s")
        for record in consumer.consume(1000, timeout=0.5):
            error = record.error()
            number, offset = cast("int", record.partition()), record.offset()
            if error is None:
                records.append(record)
                if offset is not None and offset + 1 >= ends[number]:
                    partitions.discard(number)
            elif error.code() == KafkaError._PARTITION_EOF:
                partitions.discard(number)
            else:
                raise KafkaException(error)
    return records


def _take(consumer: Consumer, count: int, timeout: float) -> list[Message]:
    records: list[Message] = []
    deadline = time.monotonic() + timeout
    while len(records) < count:
        if time.monotonic() >= deadline:
            raise ServiceError(f"{len(records)} of {count} records within {timeout:g} s")
        for record in consumer.consume(min(1000, count - len(records)), timeout=0.5):
            error = record.error()
            if error is not None:
                raise KafkaException(error)
            records.append(record)
    return records
