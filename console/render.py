"""Output for terminals: tables, ages, numbers, and the functions that write.

Commands write only by `echo`, `say`, `echo_json` or `echo_bytes`. Text from outside (names, ids,
messages) may hold control characters, and none of them reaches a terminal
(`mirror.base.printable`). Only `styled` adds colours. So a table can tell our colours from colours
in a text.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

import click

from mirror.base.errors import MirrorError
from mirror.base.printable import harmless, printable, printable_json

# The mark of a text that was shortened for a narrow terminal.
NARROW: Final = 8
ELLIPSIS: Final = "…"
NOTHING: Final = "-"
_GAP: Final = 2


class Styled(str):
    """Text with our colours. Its parts from outside were made printable."""

    __slots__ = ()


def styled(text: str, *, fg: str | None = None, bold: bool | None = None) -> Styled:
    """`text`, made printable, in a colour."""
    return Styled(click.style(printable(text), fg=fg, bold=bold))


def joined(separator: str, parts: Iterable[str]) -> Styled:
    """Parts joined on a line. Parts that are not `styled` are made printable."""
    return Styled(separator.join(map(_cell, parts)))


def _cell(text: str) -> str:
    return text if isinstance(text, Styled) else printable(text)


class Column(NamedTuple):
    """A column of a table: its heading, and its behaviour in a narrow terminal.

    `least`: the least width when shortened, 0: never shortened. `drop`: the order in which columns
    are left out, the highest first; 0: never. A droppable column without content (`-` in every
    row) is left out before any column is shortened.
    """

    heading: str
    least: int = 0
    drop: int = 0


def table(
    columns: Sequence[str | Column],
    rows: Iterable[Sequence[str]],
    *,
    empty: str = "",
    width: int | None = None,
) -> str:
    """Aligned columns under headings; `empty` if there are no rows.

    `width`: the most characters of a line; the default is the terminal's width.
    """
    kinds = [column if isinstance(column, Column) else Column(column) for column in columns]
    cells = [tuple(map(_cell, row)) for row in rows]
    if not cells and empty:
        return empty
    cells.insert(0, tuple(kind.heading for kind in kinds))
    wide = [max(len(click.unstyle(row[i])) for row in cells) for i in range(len(kinds))]
    width = terminal_width() if width is None else width
    if width is not None and sum(wide) + _GAP * (len(wide) - 1) > width:
        for i, kind in enumerate(kinds):
            if kind.drop and all(row[i] == NOTHING for row in cells[1:]):
                wide[i] = 0
    shown = _fitting(kinds, wide, width)
    lines = []
    for number, row in enumerate(cells):
        line = (" " * _GAP).join(_padded(row[index], size) for index, size in shown).rstrip()
        lines.append(click.style(line, bold=True) if number == 0 else line)
    return "\n".join(lines)


def _fitting(
    columns: Sequence[Column], wide: Sequence[int], width: int | None
) -> list[tuple[int, int]]:
    """The shown columns with their widths."""
    shown = {index: size for index, size in enumerate(wide) if size}
    if width is None:
        return list(shown.items())
    for index in sorted(shown, key=lambda index: -columns[index].drop):
        least = sum(min(size, columns[index].least or size) for index, size in shown.items())
        if least + _GAP * (len(shown) - 1) <= width or not columns[index].drop:
            break
        del shown[index]
    while sum(shown.values()) + _GAP * (len(shown) - 1) > width:
        can = [index for index, size in shown.items() if size > (columns[index].least or size)]
        if not can:
            break
        shown[max(can, key=lambda index: shown[index])] -= 1
    return list(shown.items())


def _padded(cell: str, size: int) -> str:
    length = len(click.unstyle(cell))
    return clipped(click.unstyle(cell), size) if length > size else cell + " " * (size - length)


def clipped(text: str, size: int) -> str:
    """At most `size` characters of a text without colours; `…` stands for the rest."""
    return text if len(text) <= size else text[: size - 1] + ELLIPSIS


def wrapped(head: str, parts: Iterable[str], width: int | None = None) -> str:
    """`head` and the parts behind it, broken into lines of the terminal's width."""
    limit = terminal_width() if width is None else width
    lines, line = [], head
    for part in map(printable, parts):
        if line.strip() and limit is not None and len(line) + len(part) > limit and line != head:
            lines.append(line.rstrip())
            line = " " * len(head)
        line += part + " " * _GAP
    return "\n".join([*lines, line.rstrip()])


def facts(parts: Iterable[str]) -> Styled:
    """Parts with dots between them, on as many lines as the terminal needs."""
    limit = terminal_width()
    lines: list[str] = []
    for part in map(_cell, parts):
        longer = f"{lines[-1]} · {part}" if lines else part
        if not lines or (limit is not None and len(click.unstyle(longer)) > limit):
            lines.append(f"  {part}" if lines else part)
        else:
            lines[-1] = longer
    return Styled("\n".join(lines))


def filled(head: str, text: str) -> Styled:
    """`head` and the text behind it, wrapped for the terminal. A text that is styled is not."""
    import textwrap

    width, indent = terminal_width(), " " * len(click.unstyle(head))
    lines: list[str] = [_cell(text)]
    if width is not None and not isinstance(text, Styled):
        room = max(NARROW, width - len(indent))
        lines = textwrap.wrap(lines[0], room, break_long_words=False, break_on_hyphens=False)
    return Styled(_cell(head) + f"\n{indent}".join(lines))


def terminal_width() -> int | None:
    """The width of the terminal; None if stdout is no terminal."""
    import os
    import shutil

    if _is_terminal() or os.environ.get("COLUMNS"):
        return shutil.get_terminal_size().columns
    return None


def age(milliseconds: int | None) -> str:
    """`1.2 s`, `3 min`, `2 h`; a dash for None."""
    if milliseconds is None:
        return "-"
    seconds = milliseconds / 1000
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"


class ReaderGone(BrokenPipeError):
    """The reader closed our output, as `head` does. The command then exits with 0."""


def echo(text: str) -> None:
    """Write to stdout with colour only for a terminal, and never under `NO_COLOR`.

    Like all functions that write to stdout, it raises `ReaderGone` if the reader closed stdout.
    """
    with _read():
        click.echo(harmless(text), color=colourful())


def say(text: str = "") -> None:
    """Write a message to stderr."""
    click.echo(harmless(text), err=True)


def echo_json(document: object) -> None:
    """Write one JSON document on a line of stdout."""
    import msgspec

    with _read():
        click.echo(printable_json(msgspec.json.encode(document).decode()))


def echo_bytes(content: bytes) -> None:
    """Write bytes to stdout unchanged. A terminal gets printable text instead."""
    with _read():
        if _is_terminal():
            click.echo(harmless(content.decode(errors="backslashreplace")))
        else:
            click.echo(content)


@contextmanager
def _read() -> Iterator[None]:
    if sys.stdout is None:
        raise MirrorError("stdout is closed: this command writes to it; open it, or name a file")
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderGone from error  # click would treat it as a failure


def colourful() -> bool:
    """Whether stdout wants colour."""
    import os

    return _is_terminal() and not os.environ.get("NO_COLOR")


def _is_terminal() -> bool:
    """Whether stdout is a terminal. If stdout was closed at the start (`>&-`), Python has none."""
    return sys.stdout is not None and sys.stdout.isatty()
