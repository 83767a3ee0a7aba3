"""What commands print: nothing that came from outside acts on the terminal."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import click
import msgspec
import pytest

import console as cli
from console.events import event_line
from console.render import echo, echo_bytes, echo_json, joined, say, styled, table
from console.views import listeners_text, status_text
from mirror.conversation.event import Event
from mirror.fleet.status import ConversationCounts, GapCounts, ListenerStatus, MirrorStatus
from mirror.runtime.command import fail

TITLE = "\x1b]0;owned\x07"
RED = "\x1b[31mred"


def acting(text: str) -> set[str]:
    """What in a text acts on a terminal, apart from ends of lines and colours of ours."""
    return {
        character
        for character in click.unstyle(text)
        if not (character.isprintable() or character == "\n")
    }


def test_a_cell_shows_what_it_holds() -> None:
    """Controls and colours of a cell are written out; ours stay, and columns stay aligned."""
    text = table(("A", "B"), [(TITLE, "1"), (styled(RED, fg="green"), "2"), ("one\ntwo", "3")])
    assert acting(text) == set()
    assert TITLE.replace("\x1b", "\\x1b").replace("\x07", "\\x07") in text
    assert RED not in text
    assert len(text.splitlines()) == 4
    assert len({len(click.unstyle(line)) for line in text.splitlines()}) == 1


def test_an_event_s_line_is_one_line() -> None:
    """Whatever its fields hold."""
    event = Event(
        event_id="0" * 32,
        event_type="answer",
        conversation_id="c",
        state="connected",
        occurred_at="2026-11-27T10:00:00.000Z",
        received_at="2026-11-27T10:00:00.000Z",
    )
    for field in msgspec.structs.fields(Event):
        if field.type in {str, str | None}:
            setattr(event, field.name, f"{TITLE}\n{field.name}")
    line = event_line(event)
    assert acting(line) == set()
    assert "\n" not in line


def test_views_show_names_and_reasons_harmlessly() -> None:
    """A listener's name, its host and a reason of health come from outside."""
    listener = ListenerStatus(id=TITLE, host=RED, state="live", channels=1, last_beat_ms=1)
    assert acting(listeners_text([listener])) == set()
    status = MirrorStatus(
        leader=TITLE,
        listeners=[listener],
        shards=[],
        gaps=GapCounts(),
        conversations=ConversationCounts(),
        health="down",
        reasons=[f"{RED}\nand more"],
    )
    text = status_text(status)
    assert acting(text) == set()
    assert RED not in text


def test_each_way_out_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines, messages and JSON, whatever somebody forgot to make printable before."""
    echo(TITLE)
    say(TITLE)
    echo_json({"x": f"{TITLE}\x9b\u202e"})
    echo(joined(": ", (TITLE, RED)))
    written = capsys.readouterr()
    assert acting(written.out + written.err) == set()
    document = written.out.splitlines()[1]
    assert msgspec.json.decode(document) == {"x": f"{TITLE}\x9b\u202e"}


def test_bytes_go_to_a_file_as_they_are_and_to_a_terminal_as_text(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead letter is whole in a file, and harmless in a terminal."""
    content = TITLE.encode() + b"\xff\x00"
    echo_bytes(content)
    assert capfdbinary.readouterr().out == content + b"\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    echo_bytes(content)
    assert capfdbinary.readouterr().out == b"\\x1b]0;owned\\x07\\xff\\x00\n"


def test_a_failure_is_a_harmless_line(capsys: pytest.CaptureFixture[str]) -> None:
    """An error may hold what a server said."""
    assert fail(f"{TITLE} said\nit", 3) == 3
    line = capsys.readouterr().err
    assert acting(line) == set()
    assert line.count("\n") == 1


def test_commands_write_by_these_ways_alone() -> None:
    """`click.echo` and `print` stand where output is made harmless, and nowhere else."""
    folder = Path(cli.__file__).parent
    found = {
        f"{path.name}: {ast.unparse(node.func)}"
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"click.echo", "print"}
    }
    assert found == {"render.py: click.echo"}
