"""Remembers mirrored topics that became invisible, in case they come back. Pure.

A queue that was invisible for an hour (its division was removed from the role, Genesys listed
nothing) comes back as a topic without a shard. A snapshot of its active conversations would miss
those that began and ended meanwhile. So the leader files a gap from the topic's last frame on.

The memory is stored, for the next leader.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from coordinator.plan.clock import earlier

# Enough for a listing that loses half of the largest org at once: 7 MB in Redis, written on change.
MOST: Final = 100_000


class Departed:
    """Topics without a shard → until when they were received, for `horizon_ms`."""

    def __init__(self, horizon_ms: int) -> None:
        self._horizon_ms = horizon_ms
        self._until: dict[str, int] = {}

    @property
    def until(self) -> Mapping[str, int]:
        """The memory, to be stored. A new object if it differs from before."""
        return self._until

    def recall(self, stored: Mapping[str, int]) -> None:
        """Take the last leader's memory; empty if Redis lost it."""
        if stored:
            self._until = dict(stored)

    def step_back(self, by_ms: int) -> None:
        """Redis' clock went back: all times move back by `by_ms`."""
        self._until = {topic: earlier(until, by_ms) for topic, until in self._until.items()}

    def look(
        self, received: Mapping[str, int], wanted: Collection[str], now_ms: int
    ) -> dict[str, int]:
        """Remember which of the `received` topics (→ until when) are not `wanted`, and return
        those that are wanted again. Times are Redis milliseconds."""
        since = now_ms - self._horizon_ms
        known = {topic: until for topic, until in self._until.items() if until > since}
        gone = {topic: until for topic, until in received.items() if topic not in wanted}
        kept = {topic: until for topic, until in known.items() if topic not in wanted} | gone
        if kept != self._until:
            self._until = dict(list(kept.items())[-MOST:])
        return {topic: until for topic, until in known.items() if topic in wanted}
