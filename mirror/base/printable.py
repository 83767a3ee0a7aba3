"""Text from outside, made fit for a terminal, a log line or a table cell. Pure.

Names, ids and messages of Genesys, Kafka and Redis may hold control characters. An escape sequence
moves the cursor, sets the window's title or worse; a line feed forges a line; a bidirectional
override shows a word that is not there. `printable` shows such characters as Python would write
them (`\\x1b`), and leaves every other text as it is, in whatever script.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Controls, surrogates, separators of lines and paragraphs, and invisible format characters.
_HIDDEN: Final = frozenset({"Cc", "Cs", "Zl", "Zp", "Cf"})
# Two format characters that scripts and emoji need: they join letters, and do nothing else.
_JOINERS: Final = frozenset("\u200c\u200d")
_MORE: Final = "…"
# Our own output may hold these besides text: ends of lines, tabs, and colours.
_OURS: Final = re.compile(r"(\n|\t|\x1b\[[0-9;]{0,20}m)")
# In JSON only strings hold these. Characters below U+0020 are escaped there already.
_IN_JSON: Final = re.compile(
    "[\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)


def printable(text: str, most: int | None = None) -> str:
    """`text` without characters that act on a terminal, at most `most` characters of it."""
    if most is not None and len(text) > most:
        text = text[: max(0, most - 1)] + _MORE
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def harmless(text: str) -> str:
    """A text of ours with its lines and colours; all other control characters are made visible.

    A second line of defence: the parts of the text should be `printable` already, because this
    function cannot tell our colours from foreign ones.
    """
    if text.isprintable():
        return text
    return "".join(
        part if number % 2 else printable(part) for number, part in enumerate(_OURS.split(text))
    )


def printable_json(document: str) -> str:
    """The same JSON with all characters that act on a terminal as `\\u` escapes."""
    return _IN_JSON.sub(lambda found: f"\\u{ord(found.group()):04x}", document)


def _shown(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in _HIDDEN:
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
