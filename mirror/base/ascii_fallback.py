"""Replaces characters that a terminal cannot show by plain ones.

A character is replaced when the stream's encoding cannot encode it, whatever the encoding's name.
"""

from __future__ import annotations

import codecs
from typing import Final, TextIO

_HANDLER: Final = "mirror.ascii_fallback"
# All replacements are ASCII: every encoding has it.
_PLAIN: Final = {
    "✓": "ok",
    "✗": "x",
    "→": "->",
    "…": "...",
    "·": "-",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
}


def install(*streams: TextIO | None) -> None:
    """Make `streams` write a plain character for each one that they cannot encode. Never fails."""
    codecs.register_error(_HANDLER, _plain)
    for stream in streams:
        reconfigure = getattr(stream, "reconfigure", None)  # a stream in memory has none
        if reconfigure is not None:
            reconfigure(errors=_HANDLER)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    plain = "".join(_PLAIN.get(character, "?") for character in text)
    return plain, error.end
