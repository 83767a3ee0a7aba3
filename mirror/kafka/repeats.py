"""Drops repeated events: remembers the ids of the last ones, and no more than it may."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

DEFAULT_REMEMBERED: Final = 1_000_000  # about 120 MB; an hour at 280 events/s


class Repeats:
    """The ids seen of late. Bounded: beyond `remembered` ids the oldest is forgotten."""

    def __init__(self, remembered: int = DEFAULT_REMEMBERED) -> None:
        self._remembered = remembered
        self._seen: OrderedDict[str, None] = OrderedDict()

    def is_repeat(self, event_id: str) -> bool:
        """Whether the id was seen before; it is from now on."""
        if event_id in self._seen:
            return True
        self._seen[event_id] = None
        if len(self._seen) > self._remembered:
            self._seen.popitem(last=False)
        return False
