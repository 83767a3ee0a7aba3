"""Applies `MIRROR_QUEUES` and `MIRROR_USERS` to queues and users. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from mirror.genesys.shapes import Entity


def matching(entities: Iterable[Entity], patterns: Sequence[str]) -> list[str]:
    """Ids of the entities whose id, or name by glob (case ignored), is among `patterns`."""
    if "*" in patterns:
        return [entity.id for entity in entities]
    return [
        entity.id for entity in entities if any(_matches(entity, pattern) for pattern in patterns)
    ]


def unmatched(entities: Sequence[Entity], patterns: Sequence[str]) -> frozenset[str]:
    """The patterns that no entity matches; `*` may match nothing."""
    return frozenset(
        pattern
        for pattern in patterns
        if pattern != "*" and not any(_matches(entity, pattern) for entity in entities)
    )


def _matches(entity: Entity, pattern: str) -> bool:
    lower = pattern.lower()
    return entity.id.lower() == lower or fnmatchcase(entity.name.lower(), lower)
