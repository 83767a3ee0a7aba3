"""Reads the units that settings are written in: durations, sizes, counts.

Each function returns the value or raises `ValueError` whose text says what the value should look
like, ready to follow "takes" in a message.
"""

from __future__ import annotations

import re
from typing import Final

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DURATION_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
# Ten years. Far above it a deadline no longer fits what threads and Redis count in.
MAX_DURATION_SECONDS: Final = 3650 * _DURATION_UNITS["d"]
_SIZE: Final = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB|TiB)?")
_SIZE_UNITS: Final = {
    None: 1,
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
}


def duration(text: str) -> float:
    """Seconds from `250ms`, `35s`, `5m`, `4h`, `31d`, up to ten years; a bare `0` is zero."""
    if text.strip() == "0":
        return 0.0
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("a duration such as 250ms, 35s, 5m, 4h or 31d")
    seconds = float(match[1]) * _DURATION_UNITS[match[2]]
    if seconds > MAX_DURATION_SECONDS:
        raise ValueError("a duration such as 250ms, 35s, 5m, 4h or 31d, of at most 3650d")
    return seconds


def size(text: str) -> int:
    """Bytes from `512MiB`, `1GiB` or a plain number of bytes."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise ValueError("a size such as 512MiB or 1GiB")
    return int(match[1]) * _SIZE_UNITS[match[2]]


def whole(text: str, least: int, most: int) -> int:
    """A whole number between `least` and `most`, both included."""
    if not re.fullmatch(r"\d{1,18}", text.strip()) or not least <= int(text) <= most:
        raise ValueError(f"a whole number from {least} to {most}")
    return int(text)


def show_duration(seconds: float) -> str:
    """The shortest text that `duration` reads back as `seconds`."""
    if seconds == 0:
        return "0s"
    for unit in ("h", "m", "s"):
        amount = seconds / _DURATION_UNITS[unit]
        if amount == int(amount):
            return f"{int(amount)}{unit}"
    return f"{round(seconds * 1000)}ms"


def show_size(size_bytes: int) -> str:
    """The shortest text that `size` reads back as `size_bytes`."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size_bytes % _SIZE_UNITS[unit] == 0:
            return f"{size_bytes // _SIZE_UNITS[unit]}{unit}"
    return f"{size_bytes}B"


def counted(number: int, singular: str, several: str = "") -> str:
    """`1 gap`, `2 gaps`, `1,000 gaps`."""
    return f"{number:,} {singular if number == 1 else several or singular + 's'}"
