"""Claims work in Redis by lease. Every method raises `RedisUnavailable`.

A lease is a score in the sorted set of the work: the time until which no other janitor claims it.
When a janitor dies, nothing is lost: its work is due again when the lease is over.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
import redis

from mirror.base.errors import MirrorError
from mirror.fleet.gaps import KEPT_SECONDS, Gap, decode, encode
from mirror.fleet.tracked import Tracked
from mirror.fleet.tracked import decode as decode_tracked
from mirror.kafka.partition import partition
from mirror.redis.clock import redis_now_ms
from mirror.redis.connect import explained
from mirror.redis.documents import readable
from mirror.redis.keys import Keys
from mirror.redis.scripts import script

# A tracker that was behind in a partition has mostly read all of it by then.
BEHIND_SECONDS: Final = 60.0
# A tracker beats every second; a tracker that is silent for this long is dead or cut off.
TRACKER_SILENCE_SECONDS: Final = 15.0

NEVER: Final = math.inf
# The default: as long as the longest usual age of verification.
FURTHEST_SECONDS: Final = 366 * 24 * 3600.0
SLACK_SECONDS: Final = 60.0
# For both, what Genesys is not believed about and what it does not answer.
DOUBTS_KEPT_SECONDS: Final = 7 * 24 * 3600.0
FORGET_MOST: Final = 1_000

Obstacle = Literal["", "away", "behind"]


class Claim(msgspec.Struct, frozen=True):
    """Work that is ours until the lease is over, claimed at the Redis time `now_ms`.

    `obstacle` says why there is no work, or not all of it. The tracker is `behind` in these
    partitions.
    """

    lease: str
    now_ms: int
    ids: tuple[str, ...] = ()
    obstacle: Obstacle = ""
    behind: frozenset[int] = frozenset()


class LeaseLost(MirrorError):
    """Another janitor works on this gap now: we were too slow."""


class Leases:
    """Claims work in the active set and the gap ledger."""

    def __init__(self, client: redis.Redis, keys: Keys, topic: str, partitions: int = 0) -> None:
        """`partitions`: over how many the topic's keys are spread (`mirror.fleet.pinned`). While
        that is unknown (0), a tracker that is behind in one of them holds up all conversations."""
        self._redis = client
        self._keys = keys
        self._offsets = keys.offsets(topic)
        self._partitions = partitions
        self._claim = script(client, "claim", "janitor")
        self._settle = script(client, "settle", "janitor")
        self._gap = script(client, "gap", "janitor")

    def claim_conversations(
        self,
        most: int,
        seconds: float,
        due_ms: int | None = None,
        furthest: float = FURTHEST_SECONDS,
    ) -> Claim:
        """Conversations that are due for verification, unless the tracker is away or behind.

        Those of partitions in which it is behind are put back. With `due_ms` only those that were
        due at that Redis time. No janitor defers a conversation by more than `furthest` seconds. So
        a conversation whose due time is later than that is due now.
        """
        keys = [self._keys.active, self._offsets]
        obstacle: Obstacle = ""
        while True:
            claim = self._claimed(keys, most, seconds, furthest, due_ms)
            if not claim.behind:
                return claim
            unread = {id_ for id_ in claim.ids if partition(id_, self._partitions) in claim.behind}
            if unread:
                obstacle = "behind"
                self.put_back(claim.lease, dict.fromkeys(unread, BEHIND_SECONDS))
            ids = tuple(id_ for id_ in claim.ids if id_ not in unread)
            if ids or not unread:
                return msgspec.structs.replace(claim, ids=ids, obstacle=obstacle)

    def claim_gaps(self, most: int, seconds: float, furthest: float = FURTHEST_SECONDS) -> Claim:
        """Gaps that wait to be filled; `furthest` as for conversations."""
        return self._claimed([self._keys.gaps], most, seconds, furthest)

    def tracked(self, ids: tuple[str, ...]) -> dict[str, Tracked | None]:
        """The tracker's present records of these conversations."""
        if not ids:
            return {}
        with explained():
            texts: Any = self._redis.mget([self._keys.conversation(id_) for id_ in ids])
        return {
            id_: readable(decode_tracked, text, self._keys.conversation(id_))
            for id_, text in zip(ids, texts, strict=True)
        }

    def put_back(self, lease: str, after: Mapping[str, float]) -> None:
        """Set when claimed conversations are next due: id → seconds from now."""
        if after:
            pairs = [word for id_, s in after.items() for word in (id_, round(s * 1000))]
            self._settle([self._keys.active], [lease, *pairs])

    def doubted_since(self, conversation_id: str) -> float:
        """Note a doubt about Genesys' answer on a conversation. Returns its age in seconds."""
        return self._noted_since(self._keys.doubted, conversation_id)

    def failing_since(self, conversation_id: str) -> float:
        """Note that Genesys gives no answer on a conversation that counts. Returns for how many
        seconds this has been so."""
        return self._noted_since(self._keys.failing, conversation_id)

    def _noted_since(self, key: str, conversation_id: str) -> float:
        """A time in the future is from before Redis' clock stepped back: it starts again."""
        with explained():
            now_ms = redis_now_ms(self._redis)
            self._redis.zadd(key, {conversation_id: now_ms}, nx=True)
            self._redis.zremrangebyscore(key, "-inf", now_ms - round(DOUBTS_KEPT_SECONDS * 1000))
            since: Any = self._redis.zscore(key, conversation_id)
            if since is None or since > now_ms:
                self._redis.zadd(key, {conversation_id: now_ms})
                return 0.0
        return float(now_ms - since) / 1000

    def trust(self, conversation_id: str) -> None:
        """Forget the doubt about a conversation."""
        with explained():
            self._redis.zrem(self._keys.doubted, conversation_id)

    def answered(self, conversation_id: str) -> None:
        """Forget that Genesys gave no answer on a conversation."""
        with explained():
            self._redis.zrem(self._keys.failing, conversation_id)

    def drop_gap(self, lease: str, gap_id: str) -> None:
        """Drop a gap whose document has expired or is unreadable.

        If it was not done, the leader remembers it and files it again
        (`coordinator.plan.gap_memory`).
        """
        self._gap([self._keys.gaps, self._keys.gap(gap_id)], [gap_id, lease, ""])

    def gap(self, gap_id: str) -> Gap | None:
        """The gap as last written; None if its document is gone or unreadable."""
        key = self._keys.gap(gap_id)
        with explained():
            text: Any = self._redis.get(key)
        return readable(decode, text, key)

    def write_gap(self, lease: str, gap: Gap, seconds: float) -> str:
        """Write a gap and extend its lease by `seconds` (`NEVER`: the gap is done).

        Returns the new lease, empty if it was lost.
        """
        after = "inf" if seconds == NEVER else str(round(seconds * 1000))
        return str(
            self._gap(
                [self._keys.gaps, self._keys.gap(gap.id)],
                [gap.id, lease, encode(gap), after, KEPT_SECONDS * 1000],
            )
        )

    def forget_expired_gaps(self) -> int:
        """Drop done gaps whose documents have expired. Returns their number."""
        with explained():
            done = self._redis.zrangebyscore(self._keys.gaps, "+inf", "+inf", 0, FORGET_MOST)
            assert isinstance(done, list)  # the client is not an asynchronous one
            texts = (
                self._redis.mget([self._keys.gap(str(gap_id)) for gap_id in done]) if done else []
            )
            assert isinstance(texts, list)
            gone = [str(gap_id) for gap_id, text in zip(done, texts, strict=True) if text is None]
            if gone:
                self._redis.zrem(self._keys.gaps, *gone)
        return len(gone)

    def _claimed(
        self,
        keys: list[str],
        most: int,
        seconds: float,
        furthest: float,
        due_ms: int | None = None,
    ) -> Claim:
        silence_ms = round(TRACKER_SILENCE_SECONDS * 1000)
        due = "" if due_ms is None else due_ms
        obstacle, lease, now_ms, behind, *ids = self._claim(
            keys,
            [
                most,
                round(seconds * 1000),
                silence_ms,
                due,
                round((furthest + SLACK_SECONDS) * 1000),
                self._partitions,
            ],
        )
        return Claim(lease, int(now_ms), tuple(ids), obstacle, frozenset(map(int, behind.split())))
