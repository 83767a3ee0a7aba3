"""The names of `mirror projector` in Kafka, to which rights are given, and the number of partitions
of its views.

A conversation's partition depends on its key and on the number of partitions. If the topics grow,
conversations move to other partitions, away from their state. So each record of the topic of
conversations has the header `PARTITIONS_HEADER`: the number of partitions when it was written. A
projector or doctor that starts later sees whether the topics grew. `mirror projector rebuild` makes
the topic again, with the new number.
"""

from __future__ import annotations

import time
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from mirror.base.errors import KafkaUnavailable
from mirror.kafka.client import ClientLog, explain, open_client
from mirror.kafka.config import committed_reader_config, consumer_config
from mirror.settings import Settings

PARTITIONS_HEADER: Final = "mirror-partitions"
REBUILD: Final = "stop all projectors, `mirror projector rebuild`, and start them"
# One record of each partition is enough.
_FETCH_BYTES: Final = 64 * 1024
_READ_SECONDS: Final = 0.2


def group_name(settings: Settings) -> str:
    """The consumer group of all projectors of this mirror, before a prefix of Kafka's names."""
    return f"mirror-{settings.namespace}-projector"


def group_id(settings: Settings) -> str:
    """The consumer group as Kafka knows it."""
    return f"{settings.kafka.prefix}{group_name(settings)}"


def transactional_prefix(settings: Settings) -> str:
    """The prefix of the transactional ids of this mirror's projectors; each process adds a name."""
    return f"{group_id(settings)}-"


def moved(settings: Settings, views: set[int], found: int) -> str:
    """What is wrong if views were made with other numbers of partitions than `found`, else
    empty."""
    different = sorted(views - {found})
    if not different:
        return ""
    numbers = " and ".join(map(str, different))
    return (
        f"the views in {settings.conversations_topic} were made with {numbers} partitions, but it "
        f"has {found}: conversations would move away from their state; {REBUILD}"
    )


def read_partitions(settings: Settings, count: int, timeout: float) -> tuple[set[int], set[int]]:
    """The numbers of partitions with which the views were made, from the first record of each of
    the `count` partitions of the topic of conversations. Empty without records.

    Also returns the partitions that do not answer within `timeout` seconds. Raises
    `KafkaUnavailable` if Kafka refuses.
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
        while waited_for and time.monotonic() < deadline:
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
        raise KafkaUnavailable(f"{topic} cannot be read: {explain(error)}") from error
    finally:
        consumer.close()
    return found, waited_for


def is_projected(settings: Settings, partitions: set[int], timeout: float) -> bool:
    """Whether the group has an offset in one of these partitions: then it may have views.

    Raises `KafkaUnavailable` if Kafka does not answer within `timeout` seconds, or refuses.
    """
    config = consumer_config(settings, "projector-partitions", group_name(settings))
    consumer: Any = open_client(Consumer, config, ClientLog("projector.kafka"))
    asked = [TopicPartition(settings.topic, number) for number in partitions]
    try:
        places = consumer.committed(asked, timeout=timeout)
    except KafkaException as error:
        raise KafkaUnavailable(
            f"the offsets of {group_id(settings)} are not known: {explain(error)}"
        ) from error
    finally:
        consumer.close()
    return any(place.error is not None or place.offset >= 0 for place in places)


def unread(settings: Settings, partitions: set[int]) -> str:
    """What is wrong if these `partitions` of the topic of conversations do not answer."""
    topic = settings.conversations_topic
    return f"{topic} cannot be read: no answer of partition {min(partitions)} in time"


def _partitions(message: Any) -> set[int]:
    """The number in the header of a record. None without such a header."""
    return {
        int(content)
        for name, content in message.headers() or ()
        if name == PARTITIONS_HEADER and content is not None and content.isdigit()
    }
