"""Marks the conversations of a gap that were read, in Redis beside the gap.

`gap:<id>:read` is a set of ids, for the janitor that takes over the gap. All gaps share `readings`:
conversation id → Redis time at which its whole history was asked for, so that one GET serves all
gaps of one outage. Every method raises `RedisUnavailable`.
"""

from __future__ import annotations

from typing import Final

import redis

from janitor.gaps.plan import MARGIN_MS
from mirror.fleet.gaps import KEPT_SECONDS, Gap
from mirror.redis.clock import redis_now_ms
from mirror.redis.connect import explained
from mirror.redis.keys import Keys

# A gap's end comes from a listener's ages: only a reading this long after the end counts for it.
AFTER_END_MS: Final = 1_000


class Marks:
    """The marks of one gap."""

    def __init__(self, client: redis.Redis, keys: Keys, gap: Gap) -> None:
        self._redis = client
        self._readings = keys.readings
        self._own = keys.gap_read(gap.id)
        self._after_ms = gap.to_ms + AFTER_END_MS

    def left_of(self, ids: list[str]) -> list[str]:
        """The `ids` that are not read yet."""
        if not ids:
            return []
        with explained():
            marked = self._redis.smismember(self._own, ids)
        assert isinstance(marked, list)  # the client is not an asynchronous one
        return [id_ for id_, is_read in zip(ids, marked, strict=True) if not is_read]

    def mark(self, conversation_id: str) -> None:
        """Note that a conversation was read, and that Kafka has its events (I9)."""
        with explained():
            pipe = self._redis.pipeline()  # both or neither: without a time to live the set stays
            pipe.sadd(self._own, conversation_id)
            pipe.expire(self._own, KEPT_SECONDS)
            pipe.execute()

    def share(self, conversation_id: str, asked_ms: int) -> None:
        """Note that Kafka has the whole history, requested from REST at Redis time `asked_ms`."""
        with explained():
            self._redis.zadd(self._readings, {conversation_id: asked_ms}, gt=True)

    def read_elsewhere(self, conversation_id: str, now_ms: int) -> bool:
        """Whether its history up to this gap's end is in Kafka by another gap's reading.

        A time in the future is from before Redis' clock stepped back, and is ignored.
        """
        with explained():
            read_ms = self._redis.zscore(self._readings, conversation_id)
        return isinstance(read_ms, float) and self._after_ms <= read_ms <= now_ms

    def last_shared(self) -> str | None:
        """The conversation that REST gave last, for any gap."""
        with explained():
            found = self._redis.zrange(self._readings, -1, -1)
        assert isinstance(found, list)  # the client is not an asynchronous one
        return str(found[0]) if found else None

    def forget(self, shared_ms: int) -> None:
        """Delete the marks of a filled gap, and shared readings older than `shared_ms`."""
        with explained():
            self._redis.delete(self._own)
            now_ms = redis_now_ms(self._redis)
            self._redis.zremrangebyscore(self._readings, "-inf", now_ms - shared_ms)
            self._redis.zremrangebyscore(self._readings, now_ms + MARGIN_MS, "+inf")
