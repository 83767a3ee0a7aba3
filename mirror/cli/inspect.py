"""The commands that look: status and its parts, doctor, schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mirror.status import MirrorStatus

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


@click.command()
@as_json
def status(as_json: bool) -> None:
    """Health, listeners, shards, gaps and conversations."""
    from mirror.cli.views import status_text

    found = _status()
    _show(found, as_json, status_text(found))


@click.command()
@as_json
def listeners(as_json: bool) -> None:
    """The listeners and their beats."""
    from mirror.cli.views import listeners_text

    found = _status()
    _show({"listeners": found.listeners}, as_json, listeners_text(found.listeners))


@click.command()
@as_json
def shards(as_json: bool) -> None:
    """The shards and the channels of their replicas."""
    from mirror.cli.views import shards_text

    found = _status()
    _show({"shards": found.shards}, as_json, shards_text(found.shards))


def _status() -> MirrorStatus:
    from mirror.redis.connect import address, connect, explained
    from mirror.settings import load
    from mirror.status import read

    settings = load()
    with explained(f"Redis at {address(settings)}"):
        return read(connect(settings), settings)


def _show(document: object, as_json: bool, text: str) -> None:
    import msgspec

    from mirror.cli.render import echo

    if as_json:
        click.echo(msgspec.json.encode(document))
    else:
        echo(text)


COMMANDS = (status, listeners, shards)
