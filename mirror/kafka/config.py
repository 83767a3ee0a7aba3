"""The configurations of librdkafka's clients, one function for each kind of client.

They come from `Settings.kafka.properties`. The properties that the mirror's promises rest on
(idempotence, `acks=all`, the partitioner of Java clients) cannot be overridden by `KAFKA_CONF_*`;
all others can. `mirror.kafka.client` opens clients with them.
"""

from __future__ import annotations

from typing import Any, Final

from mirror.settings import Settings

# The size of librdkafka's queue; its own default is 1 GiB. Records that do not fit are spooled.
QUEUE_KBYTES: Final = 65_536
QUEUE_MESSAGES: Final = 200_000
# librdkafka gives up a record after this time. It is long on purpose: the publisher notices a
# stalled cluster by itself and takes its records back in order. This is only the last resort.
DELIVERY_TIMEOUT_MS: Final = 300_000
LINGER_MS: Final = 5
# Brokers refuse a batch as a whole, and librdkafka goes on with the records behind it. So younger
# records of a conversation would overtake those that were refused with a record that is too large.
# A record above this size is alone in its batch; smaller ones are never too large for a topic,
# unless its max.message.bytes is smaller. librdkafka's default is 1 MB.
BATCH_BYTES: Final = 65_536
# A transaction that its producer left open blocks readers of committed records for this time, and
# up to ten seconds more until the broker looks. A transaction takes some ten milliseconds, or some
# seconds if a broker is replaced meanwhile.
TRANSACTION_TIMEOUT_MS: Final = 15_000
# For this time a new client assumes that an unknown topic is just being created. After that its
# records come back, to wait in the spool.
UNKNOWN_TOPIC_MS: Final = 5_000
RECONNECT_BACKOFF_MAX_MS: Final = 2_000
SOCKET_TIMEOUT_MS: Final = 15_000

_FIXED_PRODUCER: Final = {
    "enable.idempotence": "true",
    "acks": "all",
    "partitioner": "murmur2_random",
}


def _common(settings: Settings, role: str) -> dict[str, Any]:
    return {
        "client.id": f"interaction-mirror-{role}",
        "socket.keepalive.enable": "true",
        "socket.timeout.ms": SOCKET_TIMEOUT_MS,
        "reconnect.backoff.max.ms": RECONNECT_BACKOFF_MAX_MS,
        "log.connection.close": "false",
        **settings.kafka.properties,
    }


def producer_config(settings: Settings, role: str) -> dict[str, Any]:
    """Configuration of a producer of `role` (`listener`, `janitor`, …).

    Delivery reports reach Python only for failures. A record that no longer waits and has not
    failed was delivered.
    """
    return {
        "linger.ms": LINGER_MS,
        "batch.size": BATCH_BYTES,
        "compression.codec": "lz4",
        "queue.buffering.max.kbytes": QUEUE_KBYTES,
        "queue.buffering.max.messages": QUEUE_MESSAGES,
        "delivery.timeout.ms": DELIVERY_TIMEOUT_MS,
        "topic.metadata.propagation.max.ms": UNKNOWN_TOPIC_MS,
        **_common(settings, role),
        **_FIXED_PRODUCER,
        "delivery.report.only.error": True,
    }


def consumer_config(settings: Settings, role: str, group: str | None = None) -> dict[str, Any]:
    """Configuration of a consumer of `role`, in `group` (prefixed) or without a group.

    librdkafka never commits offsets by itself: an offset moves only after its records were handled.
    """
    return {
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": 100,
        "queued.max.messages.kbytes": QUEUE_KBYTES,
        "allow.auto.create.topics": "false",
        **_common(settings, role),
        "group.id": settings.kafka.prefix + (group or f"interaction-mirror-{role}"),
        "enable.auto.commit": "false",
        "enable.auto.offset.store": "false",
    }


def member_config(settings: Settings, role: str, group: str | None = None) -> dict[str, Any]:
    """Like `consumer_config`, for a consumer that shares partitions with others of its group."""
    return {**consumer_config(settings, role, group), "partition.assignment.strategy": "range"}


def transactional_config(settings: Settings, role: str, transactional_id: str) -> dict[str, Any]:
    """Configuration of a producer of `role` that writes by transactions."""
    return {
        **producer_config(settings, role),
        "transactional.id": transactional_id,
        "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
        # librdkafka accepts no longer time for either.
        "delivery.timeout.ms": TRANSACTION_TIMEOUT_MS,
        "socket.timeout.ms": TRANSACTION_TIMEOUT_MS,
    }


def committed_reader_config(
    settings: Settings, role: str, group: str | None = None
) -> dict[str, Any]:
    """Like `consumer_config`, for readers of committed records only.

    A group's offsets are then read only when no open transaction is about to move them (KIP-447).
    """
    return {**consumer_config(settings, role, group), "isolation.level": "read_committed"}


def admin_config(settings: Settings, role: str = "admin") -> dict[str, Any]:
    """Configuration of an admin client."""
    return _common(settings, role)
