"""Partitions that take no events. Pure, but for the clock.

Nothing of theirs can be finalized, so their conversations are held for growing pauses, and the
others go on. Each sweep tries such a partition once. A problem of a partition lasts until it takes
events, or until no conversation of it is due any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec


class _Refusal(msgspec.Struct):
    """Since when a partition takes no events, why, and when the last of its held conversations is
    due again."""

    since: float
    reason: str
    due_at: float


class Held:
    """The partitions that take no events, by number."""

    def __init__(self, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        """A conversation that is due is claimed within two intervals of sweeps."""
        self._slack = 2 * interval
        self._clock = clock
        self._refusals: dict[int, _Refusal] = {}
        self._in_sweep: set[int] = set()

    def begin_sweep(self) -> None:
        """Let each partition be tried again."""
        self._in_sweep.clear()

    def refused(self, partition: int, reason: str) -> None:
        """A partition took no events."""
        now = self._clock()
        self._in_sweep.add(partition)
        self._refusals.setdefault(partition, _Refusal(now, reason, now)).reason = reason

    def waits(self, partition: int, seconds: float) -> None:
        """A conversation of a partition is held for `seconds`."""
        refusal = self._refusals[partition]
        refusal.due_at = max(refusal.due_at, self._clock() + seconds)

    def taken(self, partition: int) -> None:
        """A partition took events."""
        self._refusals.pop(partition, None)

    def is_held(self, partition: int) -> bool:
        """Whether a partition took no events in this sweep."""
        return partition in self._in_sweep

    def seconds(self, partition: int) -> float:
        """For how long a partition has taken no events."""
        return self._clock() - self._refusals[partition].since

    def problem(self) -> str:
        """Why conversations are held; empty if none are."""
        now = self._clock()
        for partition, refusal in list(self._refusals.items()):
            if now >= refusal.due_at + self._slack:
                del self._refusals[partition]
        return "; ".join(refusal.reason for _, refusal in sorted(self._refusals.items()))
