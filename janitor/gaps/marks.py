"""Which conversations of a gap were read, in Redis beside the gap.

`gap:<id>:read` is a set of ids, for whoever goes on with the gap. `readings` is shared by all gaps:
conversation id → Redis time at which its whole history was asked for, so that one GET serves all
gaps of one outage. Every method raises `RedisUnavailable`.
"""

from __future__ import annotations

from typing import Final

import redis

from janitor.gaps.plan import MARGIN_MS
from mirror.fleet.gaps import KEPT_SECONDS, Gap, redis_now_ms
from mirror.redis.connect import explained
from mirror.redis.keys import Keys

# A gap's end comes from a listener's ages: a reading counts for it from so long after its end on.
AFTER_END_MS: Final = 1_000


class Marks:
    """The marks of one gap."""

    def __init__(self, client: redis.Redis, keys: Keys, gap: Gap) -> None:
        self._redis = client
        self._readings = keys.readings
        self._own = keys.key("gap", gap.id, "read")
        self._after_ms = gap.to_ms + AFTER_END_MS

    def left_of(self, ids: list[str]) -> list[str]:
        """Those of `ids` that are not read yet."""
        if not ids:
            return []
        with explained():
            marked = self._redis.smismember(self._own, ids)
        assert isinstance(marked, list)  # the client is not an asynchronous one
        return [id_ for id_, is_read in zip(ids, marked, strict=True) if not is_read]

    def mark(self, conversation_id: str) -> None:
        """It was read, and Kafka has what it told (I9)."""
        with explained():
            self._redis.sadd(self._own, conversation_id)
            self._redis.expire(self._own, KEPT_SECONDS)

    def share(self, conversation_id: str, asked_ms: int) -> None:
        """REST gave its whole history, asked for at that Redis time, and Kafka has it."""
        with explained():
            self._redis.zadd(self._readings, {conversation_id: asked_ms}, gt=True)

    def read_elsewhere(self, conversation_id: str, now_ms: int) -> bool:
        """Whether its history up to this gap's end is in Kafka by another gap's reading.

        A time that Redis' clock has not reached is of before it stepped back: not believed.
        """
        with explained():
            read_ms = self._redis.zscore(self._readings, conversation_id)
        return isinstance(read_ms, float) and self._after_ms <= read_ms <= now_ms

    def forget(self, shared_ms: int) -> None:
        """The gap is filled. What was shared longer ago than `shared_ms` goes too."""
        with explained():
            self._redis.delete(self._own)
            now_ms = redis_now_ms(self._redis)
            self._redis.zremrangebyscore(self._readings, "-inf", now_ms - shared_ms)
            self._redis.zremrangebyscore(self._readings, now_ms + MARGIN_MS, "+inf")
