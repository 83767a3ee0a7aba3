"""The commands that README and docs tell people to type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[3]
# Made from the commands' own help, and the story of what changed.
NOT_READ = frozenset({"commands.md", "logs.md"})
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`((?:mirror|make|python -m) [^`]+)`")
_TYPED = re.compile(r"^\s*\$?\s*((?:[A-Z_]+=\S+ )*(?:mirror|make|python -m) .+)$")
_SHELL = frozenset({"", "sh", "shell", "bash", "console"})


class Command(msgspec.Struct, frozen=True):
    """Words as the shell would pass them on, and the page that they stand on."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


def pages() -> Iterator[Path]:
    """README and every page of the docs."""
    yield ROOT / "README.md"
    yield from sorted(path for path in (ROOT / "docs").rglob("*.md") if path.name not in NOT_READ)


def commands() -> list[Command]:
    """Every `mirror …`, `make …` and `python -m …` of the pages, each once a page."""
    found: dict[Command, None] = {}
    for path in pages():
        text = path.read_text(encoding="utf-8")
        lines = [
            line
            for _, language, block in _FENCE.findall(text)
            if language in _SHELL
            for line in block.replace("\\\n", " ").splitlines()
        ]
        typed = [match[1] for line in lines if (match := _TYPED.match(line))]
        for command in [*typed, *_INLINE.findall(_FENCE.sub("", text))]:
            for part in re.split(r" (?:&&|\||>|2>|;) ?", command)[:1]:
                words = shlex.split(" ".join(part.split()), comments=True)
                while words and "=" in words[0]:
                    words.pop(0)
                found[Command(str(path.relative_to(ROOT)), tuple(words))] = None
    return list(found)


# What a page calls by a word that the reader replaces.
PLACEHOLDERS = {
    "LISTENER": "host-1-abcd",
    "CHANNEL": "streaming-1-abcd",
    "LETTER": "0:0",
    "ID": "00000000-0000-0000-0000-000000000000",
    "T": "10m",
    "…": "10m",
}


def filled(words: tuple[str, ...], values: dict[str, str]) -> list[str]:
    """The words with optional ones given, and `values` (else made-up ones) for placeholders."""
    known = {**PLACEHOLDERS, **values}
    plain = [word.strip("[]") for word in words]
    if len(plain) > 1 and (plain[-1], plain[-2]) == ("…", "LETTER"):
        plain.pop()  # any number of them
    return [known.get(word, word) for word in plain]
