"""Which listeners are alive, by Redis time. Pure.

A listener is dead when it has not beaten for a lease, counted only while somebody could have seen
it: after an election, an outage of Redis or a jump of its clock every listener has a whole lease to
be heard again, or an outage would look like the death of all. A listener that said farewell is gone
at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec


class Watch(msgspec.Struct):
    """How long this leader has been watching without a break, in Redis ms."""

    lease_ms: int
    since_ms: int = 0
    last_ms: int | None = None

    def look(self, now_ms: int, *, anew: bool) -> None:
        """A pass saw Redis at `now_ms`; `anew` after an election."""
        last = self.last_ms
        if anew or last is None or not last <= now_ms <= last + self.lease_ms // 2:
            self.since_ms = now_ms
        self.last_ms = now_ms

    def alive(self, now_ms: int, beats: Mapping[str, int], holders: Iterable[str]) -> set[str]:
        """The living among all that beat, and among the `holders` of seats."""
        living = {
            listener
            for listener, beat_ms in beats.items()
            if now_ms - max(beat_ms, self.since_ms) <= self.lease_ms
        }
        if now_ms - self.since_ms <= self.lease_ms:
            living |= set(holders)
        return living

    def unheard(self, now_ms: int, beats: Mapping[str, int], alive: Iterable[str]) -> set[str]:
        """Those of the living whose last beat is older than a lease, or forgotten."""
        return {listener for listener in alive if now_ms - beats.get(listener, 0) > self.lease_ms}
