"""The commands that run a process: each runs in the foreground until a signal stops it."""

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
    """Run a simulated Genesys Cloud for development and tests."""
    from mirror.base.extras import needed_for

    with needed_for("the simulator", "sandbox"):
        from simulator.cli import main

        # It imports its server only when it serves, so that `--help` is fast.
        main.main(
            args=list(arguments),
            prog_name="mirror simulator",
            standalone_mode=False,
            help_option_names=["-h", "--help"],
        )


COMMANDS = (listener, coordinator, janitor, projector, dashboard, simulator)
