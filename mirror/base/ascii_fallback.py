"""Output on a terminal that cannot show every character: a plain one takes its place.

What counts is whether a character can be encoded, whatever the encoding is called.
"""

from __future__ import annotations

import codecs
from typing import Final, TextIO

_HANDLER: Final = "mirror.ascii_fallback"
# All ASCII: what takes a character's place must be encodable itself.
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
    """Have `streams` write a plain character for each that they cannot encode, and never fail."""
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
