"""The largest record. `mirror.kafka.faults` has the other reasons of refusals."""

from __future__ import annotations

from typing import Final

from mirror.settings import Settings

# librdkafka's own limit, used unless `KAFKA_CONF_MESSAGE_MAX_BYTES` is set.
DEFAULT_RECORD_LIMIT_BYTES: Final = 1_000_000


def record_limit(settings: Settings) -> int:
    """The most bytes of a record, with key and headers."""
    return int(settings.kafka.properties.get("message.max.bytes", DEFAULT_RECORD_LIMIT_BYTES))
