"""How things look in a terminal: tables, one event on a line, ages."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import click

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


def event_line(event: Event) -> str:
    """One event as a person reads it: when, what, who, in which conversation."""
    kind = click.style(f"{event.event_type:<10}", fg=_COLOURS.get(event.event_type))
    who = event.purpose or "conversation"
    detail = ", ".join(
        part
        for part in (
            event.state,
            event.disconnect_type,
            event.wrapup_code,
            event.origin if event.origin != "live" else None,
        )
        if part
    )
    clock = event.occurred_at[11:23]
    return (
        f"{clock}{'~' if event.estimated else ' '} {kind} {event.media_type or '':<9} {who:<12} "
        f"{event.conversation_id[:_SHORT_ID]}  {detail}"
    )


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Aligned columns under headings; at least the headings, where there are no rows."""
    cells = [tuple(headings), *(tuple(row) for row in rows)]
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
    click.echo(text, color=colourful())


def colourful() -> bool:
    """Whether stdout wants colour."""
    import os

    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
