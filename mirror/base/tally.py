"""Histograms of durations: counts by ranges of seconds, cheap to add to. Pure.

One thread adds, or several under the caller's lock; any thread may read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Tally:
    """Durations of one kind. `bounds` are the upper ends of the ranges, in seconds."""

    __slots__ = ("bounds", "counts", "seconds")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)  # the last: longer than any bound
        self.seconds = 0.0

    def add(self, seconds: float, count: int = 1) -> None:
        """Add `count` durations of `seconds` each. A negative one (a stepped clock) counts as 0."""
        seconds = max(0.0, seconds)
        self.counts[bisect_left(self.bounds, seconds)] += count
        self.seconds += seconds * count

    def merged(self, other: Tally) -> Tally:
        """A tally with the counts of both, which must have the same bounds."""
        both = Tally(self.bounds)
        both.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        both.seconds = self.seconds + other.seconds
        return both
