"""Python's garbage collector, set for a listener.

Objects here die by their reference counts; cycles come from errors alone. By default a few hundred
new objects set off a collection, and a growing memory of conversations sets off full ones, which
walk over all of it: some twentieth of the time, and pauses of a tenth of a second at a hundred
thousand conversations. Young objects are still looked at, in portions of a millisecond or so.
"""

from __future__ import annotations

import gc
from typing import Final

YOUNG: Final = 10_000  # new objects until they are looked at
MIDDLE: Final = 5  # such looks until those are looked at again that outlived one
OLD: Final = 1_000  # and of those until everything is


def tune() -> None:
    """Call once, when what lasts as long as the process has been made."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
