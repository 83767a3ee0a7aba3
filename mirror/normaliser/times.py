"""Genesys' times as the one text that events carry: RFC 3339, UTC, milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_LENGTH: Final = len("2026-11-23T10:00:00.123Z")


def instant(text: str | None) -> str | None:
    """`text` as `2026-11-23T10:00:00.123Z`, or null where it is absent or no time.

    Nearly all of Genesys' times have that form already and are returned as they are; other
    precisions and offsets are converted (finer digits are cut, not rounded).
    """
    if text is None:
        return None
    if len(text) == _LENGTH and text[23] == "Z" and text[10] == "T" and text[19] == ".":
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return show(moment.astimezone(UTC))
    except OverflowError:
        return None


def show(moment: datetime) -> str:
    """An aware UTC datetime as the text that events carry."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def show_epoch(seconds: float) -> str:
    """Seconds since the epoch as the text that events carry."""
    return show(datetime.fromtimestamp(seconds, UTC))
