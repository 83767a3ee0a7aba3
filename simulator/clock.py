"""The Genesys clock of the simulated org, and the text form of its times.

Genesys time is epoch milliseconds: the wall clock with an offset and a scale, so that a day can
pass in a minute. Heartbeats and rate limits use the wall clock, because clients sleep by their wall
clocks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """Genesys time of this org; `scale` Genesys seconds pass in one wall second."""

    def __init__(
        self,
        offset_ms: int = 0,
        scale: float = 1.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._wall = wall
        self._scale = scale
        self._wall_anchor = wall()
        self._anchor_ms = self._wall_anchor * 1000 + offset_ms

    def now_ms(self) -> int:
        """Genesys time, epoch milliseconds."""
        return int(self._anchor_ms + (self._wall() - self._wall_anchor) * 1000 * self._scale)

    @property
    def scale(self) -> float:
        """Genesys seconds per wall second."""
        return self._scale

    def wall_seconds(self, genesys_seconds: float) -> float:
        """How long a Genesys duration takes on the wall clock."""
        return genesys_seconds / self._scale

    def change(self, shift_ms: int = 0, scale: float | None = None) -> None:
        """Jump by `shift_ms` and, from now on, run at `scale`."""
        now = self._wall()
        self._anchor_ms += (now - self._wall_anchor) * 1000 * self._scale + shift_ms
        self._wall_anchor = now
        if scale is not None:
            self._scale = scale


@lru_cache(maxsize=65536)
def rfc3339(ms: int) -> str:
    """Epoch milliseconds as Genesys writes times: `2026-11-23T10:00:00.123Z`."""
    moment = _EPOCH + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds")[:23] + "Z"


def parse_rfc3339(text: str) -> int:
    """Epoch milliseconds of an RFC 3339 time. Raises `ValueError` for other text."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round((moment - _EPOCH) / timedelta(milliseconds=1))
