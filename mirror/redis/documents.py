"""Reads our documents in Redis; an unreadable value never ends a process.

Redis is a cache of the truth. An unreadable value counts as absent, and the key's owner writes it
again. The log has a line about it, because somebody else may be writing under our keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from mirror.base.log import logger

T = TypeVar("T")

_UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)
_log = logger("redis")


def readable(
    decode: Callable[[str], T], text: str | None, key: str, foreign: list[str] | None = None
) -> T | None:
    """The document in `text`; None if the `key` is absent or its value is not ours.

    A `key` whose value is not ours is added to `foreign`. `decode` may raise the errors of msgspec
    or of a conversion (`int`).
    """
    if text is None:
        return None
    try:
        return decode(text)
    except _UNREADABLE as error:
        # Without the text itself: somebody else may have put a secret there.
        _log.warning("unreadable_value", key=key, error=type(error).__name__)
        if foreign is not None:
            foreign.append(key)
        return None
