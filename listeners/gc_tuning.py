"""Tunes Python's garbage collector for a listener.

Reference counts free the objects of a listener; only errors make cycles. By default a few hundred
new objects start a collection, and a growing memory of conversations starts full ones, which visit
all of it. That costs a twentieth of the time, with pauses of a tenth of a second at a hundred
thousand conversations. Young objects are still collected, in about a millisecond each time.
"""

from __future__ import annotations

import gc
from typing import Final

YOUNG: Final = 10_000  # new objects per collection of generation 0
MIDDLE: Final = 5  # collections of generation 0 per collection of generation 1
OLD: Final = 1_000  # collections of generation 1 per full collection


def tune() -> None:
    """Set the collector. Call once, after the objects that last as long as the process exist."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
