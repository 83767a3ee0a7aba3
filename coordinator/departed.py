"""Topics that were mirrored and could not be seen any more, in case they come back. Pure.

A queue that is gone for an hour (its division was taken from the role, Genesys listed nothing)
comes back as a topic that nobody has. What began and ended meanwhile would never be told if it were
taken for new: it is a gap, from when the topic was received last.

The memory is this process's. A leader that was elected since takes such a topic for new.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

MOST: Final = 100_000


class Departed:
    """Topics without a shard → until when they were received, for `horizon_ms`."""

    def __init__(self, horizon_ms: int) -> None:
        self._horizon_ms = horizon_ms
        self._until: dict[str, int] = {}

    def look(
        self, received: Mapping[str, int], wanted: Collection[str], now_ms: int
    ) -> dict[str, int]:
        """Remember which of the `received` topics (→ until when) are not `wanted`, and return
        those that are wanted again. Times are Redis milliseconds."""
        since = now_ms - self._horizon_ms
        back = {topic: self._until.pop(topic) for topic in list(self._until) if topic in wanted}
        gone = {topic: until for topic, until in received.items() if topic not in wanted}
        kept = {topic: until for topic, until in self._until.items() if until > since}
        self._until = dict(list({**kept, **gone}.items())[-MOST:])
        return {topic: until for topic, until in back.items() if until > since}
