"""Documents of ours in Redis, read so that nothing which stands under their keys ends a process.

Redis is a cache of the truth: what cannot be read there counts as absent, and whoever owns the key
writes it anew. It is told in the log, since somebody else may be writing under our keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from mirror.base.log import logger

T = TypeVar("T")

_UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)
_log = logger("redis")


def readable(decode: Callable[[str], T], text: str | None, key: str) -> T | None:
    """The document in `text`; null where there is none, or none of ours under that `key`.

    `decode` may raise what msgspec or a conversion (`int`) raises.
    """
    if text is None:
        return None
    try:
        return decode(text)
    except _UNREADABLE as error:
        # Not the text itself: nobody knows what somebody else puts there.
        _log.warning("unreadable_value", key=key, error=type(error).__name__)
        return None
