"""The commands that are processes: each runs in the foreground until it is told to stop."""

from __future__ import annotations

import click

from coordinator.__main__ import coordinator
from dashboard.__main__ import dashboard
from janitor.__main__ import janitor
from listeners.__main__ import listener
from projector.__main__ import projector


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def simulator(arguments: tuple[str, ...]) -> None:
    """A Genesys Cloud to develop and test against."""
    from mirror.base.extras import needed_for

    with needed_for("the simulator", "sandbox"):
        from simulator.cli import main

        # It imports its server when it is about to serve, so that `--help` is fast.
        main.main(args=list(arguments), prog_name="mirror simulator", standalone_mode=False)


COMMANDS = (listener, coordinator, janitor, projector, dashboard, simulator)
