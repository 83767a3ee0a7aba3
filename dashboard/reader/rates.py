"""Events a second, and their latency. Pure.

Latency is the time from the socket (`received_at`) to this page, for live events only. It is only
as exact as the hosts' clocks are synchronised. There is one point for each whole second.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

SECONDS_KEPT: Final = 300
_MOST_SAMPLES: Final = 2_000  # samples of one second: enough for quantiles


class Point(NamedTuple):
    """One second: when (epoch seconds), new events, repeats, and latency in milliseconds."""

    second: int
    events: int
    repeats: int
    p50_ms: int | None
    p95_ms: int | None


class Rates:
    """The last minutes, second by second."""

    def __init__(self) -> None:
        self.points: deque[Point] = deque(maxlen=SECONDS_KEPT)
        self.events = 0
        self.repeats = 0
        self._second = 0
        self._counted = (0, 0)
        self._latencies: list[int] = []

    def note(self, fresh: bool, latency_ms: int | None) -> None:
        """Count a record. It has no latency if it is not live."""
        if fresh:
            self.events += 1
            if latency_ms is not None and len(self._latencies) < _MOST_SAMPLES:
                self._latencies.append(max(0, latency_ms))
        else:
            self.repeats += 1

    def turn(self, now_ms: int) -> list[Point]:
        """Close the seconds that are over at `now_ms`, and return their points."""
        second = now_ms // 1000
        if not self._second or second - self._second > SECONDS_KEPT:
            self._second = second
            self._start_over()
            return []
        made: list[Point] = []
        while self._second < second:
            events, repeats = self._counted
            ordered = sorted(self._latencies)
            made.append(
                Point(
                    self._second,
                    self.events - events,
                    self.repeats - repeats,
                    _quantile(ordered, 0.5),
                    _quantile(ordered, 0.95),
                )
            )
            self._start_over()
            self._second += 1
        self.points.extend(made)
        return made

    def _start_over(self) -> None:
        self._counted = (self.events, self.repeats)
        self._latencies.clear()


def _quantile(ordered: list[int], share: float) -> int | None:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
