"""Decides which listeners are alive, by Redis time. Pure.

A listener is dead when it has not beaten for a lease. Only time in which Redis took beats counts:
after an election, an outage of Redis or a jump of its clock every listener has a whole lease to
beat again. Otherwise an outage would look like the death of all. A leader whose passes are slow is
no outage: the listeners beat meanwhile. A listener that deregistered is gone at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec


class Outages:
    """Notices between two passes that Redis was away, or that its clock jumped.

    Redis was away if passes are more than half a lease apart, and a call failed meanwhile or waited
    for as long: then the listeners' beats may have waited too. All times are seconds of the
    leader's own clock.
    """

    def __init__(self, lease: float) -> None:
        self._most = lease / 2
        self._is_suspect = False
        self._last: tuple[int, float] | None = None

    def note(self, waited: float) -> None:
        """Note the seconds that a call waited for Redis' answer."""
        self._is_suspect |= waited > self._most

    def fail(self) -> None:
        """Note that a call failed."""
        self._is_suspect = True

    def look(self, redis_ms: int, now: float) -> bool:
        """A pass sees Redis at `redis_ms`. Returns whether there was an outage since the last
        pass."""
        is_suspect, self._is_suspect = self._is_suspect, False
        last, self._last = self._last, (redis_ms, now)
        if last is None:
            return is_suspect
        apart = now - last[1]
        jump = (redis_ms - last[0]) / 1000 - apart
        return (is_suspect and apart > self._most) or abs(jump) > self._most


class Watch(msgspec.Struct):
    """The time for which this leader has watched without a break, in Redis ms."""

    lease_ms: int
    since_ms: int = 0
    last_ms: int | None = None

    def look(self, now_ms: int, *, anew: bool) -> None:
        """A pass saw Redis at `now_ms`; `anew` after an election or an outage."""
        last = self.last_ms
        if anew or last is None or now_ms < last:
            self.since_ms = now_ms
        self.last_ms = now_ms

    def alive(self, now_ms: int, beats: Mapping[str, int], holders: Iterable[str]) -> set[str]:
        """The live listeners among all that beat, and among the `holders` of seats."""
        living = {
            listener
            for listener, beat_ms in beats.items()
            if now_ms - max(beat_ms, self.since_ms) <= self.lease_ms
        }
        if now_ms - self.since_ms <= self.lease_ms:
            living |= set(holders)
        return living

    def unheard(self, now_ms: int, beats: Mapping[str, int], alive: Iterable[str]) -> set[str]:
        """The listeners in `alive` whose last beat is older than a lease, or lost."""
        return {listener for listener in alive if now_ms - beats.get(listener, 0) > self.lease_ms}
