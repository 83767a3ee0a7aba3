"""What Kafka knows of `mirror projector`: its names, to which rights are given, and how many
partitions its views were made with.

A conversation is in the partition of its key, of so many. Where the topics grow, conversations move
and leave what was counted of them behind. So each record of the topic of conversations says in the
header `PARTITIONS_HEADER` how many partitions there were when it was written: a projector or a
doctor that starts later sees whether they grew. `mirror projector rebuild` makes the topic again,
and with it the number.
"""

from __future__ import annotations

import time
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from mirror.base.errors import KafkaUnavailable
from mirror.kafka.config import ClientLog, committed_reader_config, explain, open_client
from mirror.kafka.faults import cause
from mirror.settings import Settings

PARTITIONS_HEADER: Final = "mirror-partitions"
REBUILD: Final = "stop all projectors, `mirror projector rebuild`, and start them"
# One record of each partition is enough.
_FETCH_BYTES: Final = 64 * 1024
_READ_SECONDS: Final = 0.2


def group_id(settings: Settings) -> str:
    """The consumer group of all projectors of this mirror."""
    return f"{settings.kafka.prefix}mirror-{settings.namespace}-projector"


def transactional_prefix(settings: Settings) -> str:
    """The prefix of the transactional ids of this mirror's projectors; each process adds a name."""
    return f"{group_id(settings)}-"


def moved(settings: Settings, views: set[int], found: int) -> str:
    """What is wrong where views were made with other numbers of partitions than are `found`."""
    others = sorted(views - {found})
    if not others:
        return ""
    numbers = " and ".join(map(str, others))
    return (
        f"the views in {settings.conversations_topic} were made with {numbers} partitions, and it "
        f"has {found}: conversations would move away from what was counted of them; {REBUILD}"
    )


def read_partitions(settings: Settings, count: int, timeout: float) -> set[int]:
    """With how many partitions the views were made, as the first record of each of the `count`
    partitions of the topic of conversations says; empty where there is none.

    Raises `KafkaUnavailable` where that is not known within `timeout` seconds.
    """
    topic = settings.conversations_topic
    config = {
        **committed_reader_config(settings, "projector-partitions"),
        "enable.partition.eof": "true",
        "max.partition.fetch.bytes": _FETCH_BYTES,
    }
    consumer: Any = open_client(Consumer, config, ClientLog("projector.kafka"))
    found: set[int] = set()
    waited_for = set(range(count))
    deadline = time.monotonic() + timeout
    try:
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in waited_for])
        while waited_for:
            if time.monotonic() >= deadline:
                raise KafkaUnavailable(
                    f"{topic} cannot be read: no answer of partition {min(waited_for)} in time"
                )
            for message in consumer.consume(count, timeout=_READ_SECONDS):
                error = message.error()
                if error is None:
                    found |= _partitions(message)
                elif error.code() != KafkaError._PARTITION_EOF:
                    if error.retriable():
                        continue
                    raise KafkaUnavailable(f"{topic} cannot be read: {explain(error)}")
                waited_for.discard(message.partition())
    except KafkaException as error:
        reason = cause(error)
        text = str(error) if reason is None else explain(reason)
        raise KafkaUnavailable(f"{topic} cannot be read: {text}") from error
    finally:
        consumer.close()
    return found


def _partitions(message: Any) -> set[int]:
    """What the header of a record says; none where it has none that is a number."""
    return {
        int(content)
        for name, content in message.headers() or ()
        if name == PARTITIONS_HEADER and content is not None and content.isdigit()
    }
