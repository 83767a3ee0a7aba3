"""How large a record may be. What else Kafka refuses, and why: `mirror.kafka.faults`."""

from __future__ import annotations

from typing import Final

from mirror.settings import Settings

# librdkafka's own limit, where `KAFKA_CONF_MESSAGE_MAX_BYTES` says nothing else.
DEFAULT_RECORD_LIMIT: Final = 1_000_000


def record_limit(settings: Settings) -> int:
    """How many bytes a record may have, with key and headers."""
    return int(settings.kafka.properties.get("message.max.bytes", DEFAULT_RECORD_LIMIT))
