"""The commands that are processes: each runs in the foreground until it is told to stop."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mirror.settings import Settings


@click.command()
def listener() -> int:
    """Hold channels and produce their events to Kafka."""
    from listeners.program import main

    return _run("listener", main)


@click.command()
def coordinator() -> int:
    """Share out channels, watch listeners, track conversations."""
    from coordinator.program import main

    return _run("coordinator", main)


@click.command()
def janitor() -> int:
    """Verify conversations that stay active too long; fill gaps."""
    from janitor.program import main

    return _run("janitor", main)


def _run(process: str, main: Callable[[Settings], int]) -> int:
    """Run a process; who watches over it learns with which exit code it could not start."""
    from mirror.base import log
    from mirror.base.errors import MirrorError
    from mirror.settings import load
    from mirror.supervision.pulse import Pulse

    try:
        settings = load()
        log.configure(process, settings.log_level)
        _log = log.logger("settings")
        for one in settings.unread:
            _log.warning("setting_unread", name=one.name, hint=one.hint)
        return main(settings)
    except MirrorError as error:
        Pulse.of(os.environ).ended(error.exit_code)
        raise


@click.command()
def dashboard() -> int:
    """Show the contact centre and the mirror in a browser, live."""
    from mirror.base.errors import MirrorError

    try:
        from dashboard.program import main
    except ModuleNotFoundError as error:
        raise MirrorError(
            f"the dashboard needs the package {error.name}: "
            "pip install 'interaction-mirror[dashboard]'"
        ) from error
    return _run("dashboard", main)


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def simulator(arguments: tuple[str, ...]) -> None:
    """A Genesys Cloud to develop and test against."""
    from mirror.base.errors import MirrorError

    try:
        from simulator.cli import main
    except ModuleNotFoundError as error:
        raise MirrorError(
            f"the simulator needs the package {error.name}: "
            "pip install 'interaction-mirror[sandbox]'"
        ) from error
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
