"""What Kafka does not take: how large a record may be, and what is never worth another try.

Brokers refuse a batch as a whole: who meets one of these sends the batch's records one by one, and
makes a dead letter of the one that is refused alone.
"""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaError

from mirror.settings import Settings

# librdkafka's own limit, where `KAFKA_CONF_MESSAGE_MAX_BYTES` says nothing else.
DEFAULT_RECORD_LIMIT: Final = 1_000_000

# A record that fails so will always fail so.
REFUSED: Final = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError._BAD_MSG,
        KafkaError._INVALID_DIFFERENT_RECORD,
    }
)


def record_limit(settings: Settings) -> int:
    """How many bytes a record may have, with key and headers."""
    return int(settings.kafka.properties.get("message.max.bytes", DEFAULT_RECORD_LIMIT))
