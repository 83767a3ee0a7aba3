"""The projector's names in Kafka, to which rights are granted."""

from __future__ import annotations

from mirror.settings import Settings


def group_id(settings: Settings) -> str:
    """The consumer group of all projectors of this mirror."""
    return f"{settings.kafka.prefix}mirror-{settings.namespace}-projector"


def transactional_prefix(settings: Settings) -> str:
    """The prefix of the transactional ids of this mirror's projectors; each process adds a name."""
    return f"{group_id(settings)}-"
