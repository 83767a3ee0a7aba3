"""Watches the share of a channel's frames that become dead letters. Pure.

If more than a tenth of a channel's frames over a minute do, the listener reports it in its health
and its log.
"""

from __future__ import annotations

from collections import deque
from typing import Final

WINDOW_SECONDS: Final = 60.0
SLICE_SECONDS: Final = 5.0
SHARE: Final = 0.1
# One bad frame out of three may be chance.
LEAST_DEAD_LETTERS: Final = 3


class DeadLetterWatch:
    """Counts of one channel over the last minute, in slices."""

    def __init__(self) -> None:
        self._slices: deque[tuple[float, int, int]] = deque(
            maxlen=int(WINDOW_SECONDS / SLICE_SECONDS) + 1
        )
        self._seen = (0, 0)

    def update(self, now: float, frames: int, dead_letters: int) -> None:
        """Take the channel's totals. Call at least once per `SLICE_SECONDS`."""
        last = self._slices[-1][0] if self._slices else None
        if last is None or now - last >= SLICE_SECONDS:
            self._slices.append((now, *self._seen))
        self._seen = (frames, dead_letters)
        while self._slices and now - self._slices[0][0] > WINDOW_SECONDS + SLICE_SECONDS:
            self._slices.popleft()

    def counts(self) -> tuple[int, int]:
        """Frames and dead letters of the last minute."""
        if not self._slices:
            return 0, 0
        _, frames, dead_letters = self._slices[0]
        return self._seen[0] - frames, self._seen[1] - dead_letters

    def is_bad(self) -> bool:
        """Whether more than a tenth of the last minute's frames became dead letters."""
        frames, dead = self.counts()
        return dead >= LEAST_DEAD_LETTERS and dead > SHARE * frames
