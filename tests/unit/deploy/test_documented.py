"""No page tells people to type a command that does not exist, or with options it does not take."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence

import click
import pytest

from console import cli
from tests.unit.deploy.documented import ROOT, Command, commands, filled

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def parse(command: click.Command, name: str, words: Sequence[str]) -> None:
    """Raise `click.UsageError` where these words are no call of the command."""
    while isinstance(command, click.Group) and (words or not command.invoke_without_command):
        name, *words = words
        child = command.get_command(click.Context(command), name)
        assert child is not None, f"there is no command {name}"
        command = child
    # As under `mirror`: a command remembers the help option of its first context.
    command.make_context(name, list(words), help_option_names=["-h", "--help"])


@pytest.mark.parametrize("command", commands(), ids=str)
def test_every_documented_command_is_one(command: Command) -> None:
    """`mirror` as its own parser reads it, `make` by its targets, `python -m` by what is there."""
    program, *words = filled(command.words, {})
    if program == "mirror":
        parse(cli, "mirror", words)
    elif program == "make":
        assert re.search(rf"^{re.escape(words[0])}:", MAKEFILE, re.MULTILINE), words[0]
    else:
        assert importlib.util.find_spec(words[1]) is not None, words[1]


def test_the_pages_have_commands_at_all() -> None:
    """The search can fail: a page without a single command would pass unseen."""
    read = {command.page for command in commands()}
    assert {"README.md", "docs/getting-started.md", "docs/runbook.md", "docs/sandbox.md"} <= read
    assert len(commands()) > 50
