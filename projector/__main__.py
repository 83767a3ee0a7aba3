"""`python -m projector`: the same as `mirror projector`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from mirror.runtime.command import program, run

if TYPE_CHECKING:
    from mirror.settings import Settings


@program("projector")
def _program(settings: Settings) -> int:
    """Write each event once, and the state of each conversation."""
    from projector.program import main

    return main(settings)


@click.group(
    short_help="Write each event once, and the state of each conversation.",
    invoke_without_command=True,
    no_args_is_help=False,
)
@click.pass_context
def projector(context: click.Context) -> int:
    """Write each event once, and the state of each conversation.

    Writes MIRROR_ONCE_TOPIC and MIRROR_CONVERSATIONS_TOPIC in transactions. docs/projector.md
    describes their records.
    """
    if context.invoked_subcommand is not None:
        return 0
    code: int = context.invoke(_program)
    return code


@projector.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def rebuild(yes: bool) -> None:
    """Make both topics again, from the records that Kafka still has.

    Stop all projectors first. This command deletes MIRROR_ONCE_TOPIC and
    MIRROR_CONVERSATIONS_TOPIC, makes them with as many partitions as MIRROR_TOPIC has, and deletes
    the offsets of the projectors' group. The next projector begins with the oldest record.
    Consumers of both topics begin at their beginning.
    """
    from mirror.settings import load
    from projector.rebuild import rebuild as work

    settings = load()
    names = f"{settings.once_topic} and {settings.conversations_topic}"
    if not yes:
        click.confirm(f"Delete {names}, and make them anew?", abort=True, err=True)
    for state in work(settings):
        click.echo(str(state))


if __name__ == "__main__":
    sys.exit(run(projector, sys.argv[1:], "mirror projector"))
