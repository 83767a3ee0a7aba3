"""The commands that are processes: each runs in the foreground until it is told to stop."""

from __future__ import annotations

import os
import sys

import click

from coordinator.__main__ import coordinator
from dashboard.__main__ import dashboard
from janitor.__main__ import janitor
from listeners.__main__ import listener


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


@click.command()
def up() -> None:
    """All processes on this machine, under supervisord.

    MIRROR_LISTENERS, MIRROR_COORDINATORS and MIRROR_JANITORS say how many of each
    (2, 1 and 1). `supervisorctl -c` with the file that is printed controls them.
    """
    from console.context import warn_of_unread
    from console.render import say
    from mirror.settings import load
    from mirror.supervision.supervise import CONF, command, environment

    # A bad setting is told here, once, and not by each process in turn.
    warn_of_unread(load())
    arguments, complete = command(), environment(os.environ)
    say(f"supervisord runs {CONF}")
    sys.stderr.flush()
    os.execvpe(arguments[0], arguments, complete)  # noqa: S606  # our own path


COMMANDS = (listener, coordinator, janitor, dashboard, simulator, up)
