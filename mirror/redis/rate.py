"""The request budget of an OAuth client, shared by all processes and kept below Genesys' limit.

Genesys allows 300 requests per minute and token (docs/protocol.md, "Limits"), and does not say when
its minute begins. The budget is the generic cell rate algorithm (GCRA): `RATE_PER_MINUTE` in the
long run and `BURST` ahead of it. So any minute has at most their sum, which is below the limit. A
429 delays all processes by `Retry-After`, at most by `LONGEST_PAUSE_SECONDS`.

A stored time further ahead than that pause plus the burst means that Redis' clock was set back. It
is ignored; otherwise no call would be allowed for as long as the clock was set back.

If Redis cannot be asked, a process goes on by the same rule with a part of the rate (I7): a wrong
budget may cause a 429, but never loses an event.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Final

import redis

from mirror.base.errors import RedisUnavailable
from mirror.redis.clock import told_ms
from mirror.redis.connect import explained
from mirror.redis.documents import readable
from mirror.redis.keys import Keys
from mirror.redis.scripts import script

RATE_PER_MINUTE: Final = 230
BURST: Final = 50
# Genesys' minute is over by then; after a too early call the next 429 says so.
LONGEST_PAUSE_SECONDS: Final = 300.0
# Without Redis each process uses this part of the rate, as if a handful shared the client.
ALONE_SHARE: Final = 0.2
# How long a process uses its own budget before it asks Redis again.
ALONE_SECONDS: Final = 5.0
_LONGEST_MS: Final = round(LONGEST_PAUSE_SECONDS * 1000)


class Meter:
    """The rule within one process: a GCRA over a monotonic clock. Not thread-safe."""

    def __init__(self, per_minute: float, burst: float) -> None:
        self._cost = 60.0 / per_minute
        self._tolerance = burst * self._cost
        self._whole_at = 0.0

    def ask(self, now: float) -> float:
        """0 if a call is allowed at `now` (seconds), else the seconds until the next question."""
        whole_at = max(self._whole_at, now) + self._cost
        ahead = whole_at - now - self._tolerance
        if ahead > 0:
            return ahead
        self._whole_at = whole_at
        return 0.0

    def push(self, now: float, seconds: float) -> None:
        """Allow no call for `seconds` from `now`."""
        seconds = bounded_pause(seconds)
        self._whole_at = max(self._whole_at, now + seconds + self._tolerance)


def bounded_pause(seconds: float) -> float:
    """A requested pause within bounds; the longest pause for a value that is no number."""
    if math.isnan(seconds):
        return LONGEST_PAUSE_SECONDS
    return min(max(seconds, 0.0), LONGEST_PAUSE_SECONDS)


def used_ahead(client: redis.Redis, keys: Keys, oauth_client: str) -> float:
    """Milliseconds of an OAuth client's budget that are used in advance, as `rate.lua` believes it.

    The log has a line about a stored value that is no number. It counts as none. Raises
    `RedisUnavailable`.
    """
    key = keys.rate(oauth_client)
    pipe = client.pipeline(transaction=False)
    pipe.get(key)
    pipe.time()
    with explained():
        text, now = pipe.execute()
    cost = 60_000 / RATE_PER_MINUTE
    ahead = (readable(float, text, key) or 0.0) - told_ms(now)
    if not ahead <= BURST * cost + cost + _LONGEST_MS:  # a nan neither
        return BURST * cost - cost - 1
    return max(0.0, ahead)


class RateBudget:
    """One OAuth client's budget: `ask` before every call, `push` after a 429. Thread-safe.

    A `burst` below `BURST` gives way to others: background work with a smaller burst waits while
    others have used theirs up.
    """

    def __init__(
        self,
        client: redis.Redis | None,
        keys: Keys,
        oauth_client: str,
        *,
        burst: int = BURST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key = keys.rate(oauth_client)
        self._ask = script(client, "rate") if client else None
        self._push = script(client, "rate_push") if client else None
        self._cost_ms = 60_000 / RATE_PER_MINUTE
        self._burst_ms = burst * self._cost_ms
        self._full_burst_ms = BURST * self._cost_ms
        self._clock = clock
        self._alone = Meter(RATE_PER_MINUTE * ALONE_SHARE, max(1.0, burst * ALONE_SHARE))
        self._alone_until = 0.0
        self._lock = threading.Lock()

    def ask(self) -> float:
        """0.0 if one call is allowed now, else the seconds until the next question."""
        now = self._clock()
        if self._ask and now >= self._alone_until:
            try:
                asked = [self._cost_ms, self._burst_ms, self._full_burst_ms, _LONGEST_MS]
                return int(self._ask([self._key], asked)) / 1000
            except RedisUnavailable:
                self._alone_until = self._clock() + ALONE_SECONDS
        with self._lock:
            return self._alone.ask(now)

    def push(self, seconds: float) -> None:
        """Let no process call as this OAuth client for `seconds`, within bounds."""
        seconds = bounded_pause(seconds)
        with self._lock:
            self._alone.push(self._clock(), seconds)
        if self._push:
            try:
                self._push([self._key], [round(seconds * 1000), self._full_burst_ms, _LONGEST_MS])
            except RedisUnavailable:
                self._alone_until = self._clock() + ALONE_SECONDS
