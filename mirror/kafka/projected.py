"""The names under which `mirror projector` is known to Kafka; rights are given to them."""

from __future__ import annotations

from mirror.settings import Settings


def group_id(settings: Settings) -> str:
    """The consumer group of all projectors of this mirror."""
    return f"{settings.kafka.prefix}mirror-{settings.namespace}-projector"


def transactional_prefix(settings: Settings) -> str:
    """What the transactional ids of its projectors begin with; each process adds a name."""
    return f"{group_id(settings)}-"
