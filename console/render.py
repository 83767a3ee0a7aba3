"""How things look in a terminal: tables, one event on a line, ages; and the way out to it.

Every command writes by `echo`, `say`, `echo_json` or `echo_bytes`, and by nothing else: what comes
from outside (names, ids, messages) may hold control characters, and none of them reaches a terminal
(`mirror.base.printable`). Only `styled` adds colours, so that a table knows ours from those of a
text.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import click

from mirror.base.printable import harmless, printable, printable_json

if TYPE_CHECKING:
    from mirror.conversation.event import Event

_COLOURS: Final = {
    "start": "cyan",
    "alert": "yellow",
    "dial": "yellow",
    "answer": "green",
    "hold": "magenta",
    "resume": "green",
    "disconnect": "red",
    "transfer": "blue",
    "end": "cyan",
    "finalize": "red",
}
_SHORT_ID: Final = 8
_WIDEST: Final = 100


def event_line(event: Event) -> str:
    """One event as a person reads it: when, what, who, in which conversation."""
    kind = styled(f"{event.event_type:<10}", fg=_COLOURS.get(event.event_type))
    who = printable(event.purpose or "conversation", _WIDEST)
    detail = ", ".join(
        printable(part, _WIDEST)
        for part in (
            event.state,
            event.role,  # who does not serve is not to be taken for an agent who does
            event.disconnect_type,
            event.wrapup_code,
            event.origin if event.origin != "live" else None,
        )
        if part
    )
    clock = printable(event.occurred_at[11:23])
    medium = printable(event.media_type or "", _WIDEST)
    return (
        f"{clock}{'~' if event.estimated else ' '} {kind} {medium:<9} {who:<12} "
        f"{printable(event.conversation_id[:_SHORT_ID])}  {detail}"
    )


class Styled(str):
    """Text with colours of ours; anything in it that came from outside is printable."""

    __slots__ = ()


def styled(text: str, *, fg: str | None = None, bold: bool | None = None) -> Styled:
    """`text`, made printable, in a colour."""
    return Styled(click.style(printable(text), fg=fg, bold=bold))


def joined(separator: str, parts: Iterable[str]) -> Styled:
    """Parts on a line; those that are not `styled` are made printable."""
    return Styled(separator.join(map(_cell, parts)))


def _cell(text: str) -> str:
    return text if isinstance(text, Styled) else printable(text)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Aligned columns under headings; at least the headings, where there are no rows."""
    cells = [tuple(map(_cell, row)) for row in (headings, *rows)]
    widths = [max(len(click.unstyle(row[i])) for row in cells) for i in range(len(headings))]
    lines = []
    for number, row in enumerate(cells):
        padded = (
            cell + " " * (width - len(click.unstyle(cell)))
            for cell, width in zip(row, widths, strict=True)
        )
        line = "  ".join(padded).rstrip()
        lines.append(click.style(line, bold=True) if number == 0 else line)
    return "\n".join(lines)


def age(milliseconds: int | None) -> str:
    """`1.2 s`, `3 min`, `2 h`; a dash where there is none."""
    if milliseconds is None:
        return "-"
    seconds = milliseconds / 1000
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"


def echo(text: str) -> None:
    """Write to stdout with colour only for a terminal, and never under `NO_COLOR`."""
    click.echo(harmless(text), color=colourful())


def say(text: str = "") -> None:
    """Write a message to stderr."""
    click.echo(harmless(text), err=True)


def echo_json(document: object) -> None:
    """Write one JSON document on a line of stdout."""
    import msgspec

    click.echo(printable_json(msgspec.json.encode(document).decode()))


def echo_bytes(content: bytes) -> None:
    """Write bytes to stdout as they are; to a terminal as text that it can show."""
    if sys.stdout.isatty():
        click.echo(harmless(content.decode(errors="backslashreplace")))
    else:
        click.echo(content)


def colourful() -> bool:
    """Whether stdout wants colour."""
    import os

    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
