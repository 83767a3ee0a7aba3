"""Genesys' times as the one text that events carry: RFC 3339, UTC, milliseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

# The form of nearly all of Genesys' times. The parser judges days that no month has.
_USUAL: Final = re.compile(
    r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"
)
# The same times come again in the frames of the next seconds: a bounded cache of parsed times.
_MOST_REMEMBERED: Final = 4_096
_remembered: Final[set[str]] = set()


def instant(text: str | None) -> str | None:
    """`text` as `2026-11-23T10:00:00.123Z`, or None if it is absent or no time.

    Nearly all of Genesys' times have that form already and are returned unchanged. Other precisions
    and offsets are converted; finer digits are cut, not rounded.
    """
    if text is None or text in _remembered:
        return text
    if _USUAL.fullmatch(text) is not None:
        if len(_remembered) >= _MOST_REMEMBERED:
            _remembered.clear()
        _remembered.add(text)
        return text
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return show(moment.astimezone(UTC))
    except (ValueError, OverflowError):
        return None


def show(moment: datetime) -> str:
    """An aware UTC datetime as the text that events carry."""
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def show_epoch(seconds: float) -> str:
    """Seconds since the epoch as the text that events carry."""
    return show(datetime.fromtimestamp(seconds, UTC))


def show_ms(ms: float) -> str:
    """Milliseconds since the epoch as the text that events carry."""
    return show_epoch(ms / 1000)


def epoch(text: str) -> float:
    """Seconds since the epoch of a time in the form that events carry. Raises `ValueError`."""
    return datetime.fromisoformat(text).timestamp()


def epoch_ms(text: str) -> int:
    """Milliseconds since the epoch of a time as events carry it. Raises `ValueError`."""
    return round(epoch(text) * 1000)


def known_ms(text: str | None) -> int | None:
    """Milliseconds since the epoch of a time; None if it is absent or no time."""
    try:
        return epoch_ms(text or "")
    except ValueError:
        return None
