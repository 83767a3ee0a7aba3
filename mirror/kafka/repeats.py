"""Drops repeated events: remembers a bounded number of the latest ids."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

DEFAULT_REMEMBERED: Final = 1_000_000  # about 120 MB; an hour at 280 events/s


class Repeats:
    """The ids of the latest events. Beyond `remembered` ids the oldest is forgotten."""

    def __init__(self, remembered: int = DEFAULT_REMEMBERED) -> None:
        self._remembered = remembered
        self._seen: OrderedDict[str, None] = OrderedDict()

    def is_repeat(self, event_id: str) -> bool:
        """Whether the id was seen before; remembers it."""
        if event_id in self._seen:
            return True
        self._seen[event_id] = None
        if len(self._seen) > self._remembered:
            self._seen.popitem(last=False)
        return False
