"""The tracker's unfinished conversations at some queues and users: the third source of a gap.

The active set may have a hundred thousand conversations, and one outage makes a gap for each shard.
So the set is read once for all gaps that ended before: later conversations did not live in them.
"""

from __future__ import annotations

import time
from collections.abc import Set
from typing import Final

import redis

from mirror.base.thread_watch import ReportProgress, unwatched
from mirror.fleet.tracked import scan_active
from mirror.redis.clock import redis_now_ms
from mirror.redis.keys import Keys

KEPT_SECONDS: Final = 600.0
# Conversations beyond this number are left to the other two sources.
MOST: Final = 300_000


class Unfinished:
    """An index of the active set by queue and user, rebuilt when a gap needs a later one."""

    def __init__(
        self, client: redis.Redis, keys: Keys, report_progress: ReportProgress = unwatched
    ) -> None:
        self._redis = client
        self._keys = keys
        self._report_progress = report_progress
        self._at: dict[str, list[str]] = {}
        self._since: dict[str, int] = {}
        self._read_ms = 0
        self._forget_at = 0.0

    def at(self, places: Set[str], until_ms: int) -> list[str]:
        """Ids of conversations that are or were at these places and began by `until_ms`.

        Raises `RedisUnavailable`.
        """
        if self._read_ms <= until_ms or time.monotonic() >= self._forget_at:
            self._read()
        found = dict.fromkeys(id_ for place in places for id_ in self._at.get(place, ()))
        return [id_ for id_ in found if self._since[id_] <= until_ms]

    def knows(self, conversation_id: str) -> bool:
        """Whether the conversation was in the active set at its last reading."""
        return conversation_id in self._since

    def tidy(self) -> None:
        """Drop an old index."""
        if time.monotonic() >= self._forget_at:
            self._at, self._since, self._read_ms = {}, {}, 0

    def _read(self) -> None:
        now_ms = redis_now_ms(self._redis)
        self._at, self._since = {}, {}
        for batch in scan_active(self._redis, self._keys):
            self._report_progress()
            if len(self._since) >= MOST:
                break
            for conversation_id, tracked in batch:
                if conversation_id in self._since:
                    continue
                self._since[conversation_id] = tracked.since_ms
                for place in tracked.visited():
                    self._at.setdefault(place, []).append(conversation_id)
        self._read_ms = now_ms
        self._forget_at = time.monotonic() + KEPT_SECONDS
