"""`mirror up`: runs all processes of this machine under one supervisord; status, restart, stop.

Settings with which a process would fail are refused before supervisord starts. Otherwise it would
restart that process or give it up, and nobody at the terminal would see the reason.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import click

if TYPE_CHECKING:
    from mirror.settings import Settings
    from mirror.supervision.supervisord import ProcessInfo, Supervisord

# `stopwaitsecs` in deploy/supervisord.conf. supervisord stops the kinds of processes in turn.
STOP_SECONDS: Final = 28
STOPPING: Final = f"one kind after the other, up to {STOP_SECONDS} s each"
START_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.3
_WORKING: Final = ("coordinator", "listener", "janitor")
_RUNS: Final = frozenset({"RUNNING", "STARTING", "BACKOFF"})
_COLOURS: Final = {"RUNNING": "green", "STARTING": "yellow", "STOPPING": "yellow"}
ALL: Final = "all"


@click.group(invoke_without_command=True)
@click.pass_context
def up(context: click.Context) -> None:
    """Run all processes on this machine, under supervisord.

    MIRROR_COORDINATORS, MIRROR_LISTENERS, MIRROR_JANITORS, MIRROR_PROJECTORS and MIRROR_DASHBOARDS
    say how many of each. Ctrl-C ends them all in order.
    """
    if context.invoked_subcommand is None:
        start(os.environ)


def start(environ: Mapping[str, str]) -> NoReturn:
    """Check the settings, print what will run, and become supervisord.

    Raises `SettingsError` if a process would end with exit code 2, and `MirrorError` if a
    supervisord runs here already.
    """
    from console.context import warn_of_unread
    from console.render import say
    from mirror.settings import load
    from mirror.supervision.supervise import command, environment

    settings = load(environ)
    warn_of_unread(settings)
    refuse_second(settings.supervised.run_dir)
    check(settings, environ)
    arguments, complete = command(environ), environment(environ)
    say(panel(settings))
    sys.stderr.flush()
    # A session of its own: supervisord alone hears Ctrl-C, and the other one ends with it.
    awaited = [sys.executable, "-m", "console.awaited", str(os.getpid())]
    subprocess.Popen(awaited, stdin=subprocess.DEVNULL, start_new_session=True)
    os.execvpe(arguments[0], arguments, complete)  # noqa: S606  # our own path


def refuse_second(run_dir: Path) -> None:
    """Raise `MirrorError` if a supervisord runs in this directory. A socket without a listener is
    ignored."""
    from mirror.base.errors import MirrorError
    from mirror.supervision.supervisord import Supervisord, SupervisordSilent

    supervisord = Supervisord(run_dir)
    if not supervisord.is_there:
        return
    try:
        pid = supervisord.pid()
    except SupervisordSilent as error:
        if isinstance(error.__cause__, ConnectionRefusedError):
            return  # the socket of a killed supervisord
        raise
    raise MirrorError(
        f"the mirror already runs here under supervisord, pid {pid}{_since(run_dir)}: `mirror up "
        "status` shows its processes, `mirror up stop` ends it, and another MIRROR_RUN_DIR and "
        "MIRROR_NAMESPACE make room for a second mirror"
    )


def check(settings: Settings, environ: Mapping[str, str]) -> None:
    """Raise the `SettingsError` that would end one of the processes."""
    from listeners.receive import native_reader
    from mirror.genesys.client import GenesysClient
    from mirror.kafka import registry
    from mirror.kafka.client import check_properties
    from mirror.redis.connect import connect
    from mirror.redis.keys import Keys
    from mirror.redis.rate import RateBudget
    from mirror.supervision.supervise import check_machine

    counts = settings.supervised.counts
    with connect(settings) as client:  # reads nothing yet
        if any(counts[program] for program in _WORKING):
            for oauth in settings.require_clients():
                GenesysClient(
                    settings, oauth, RateBudget(client, Keys(settings.namespace), oauth.id)
                )
    check_properties(settings, "up", transactional=bool(counts["projector"]))
    if settings.registry is not None:
        registry.open_registry(settings).close()
    if counts["listener"]:
        native_reader.load(settings.native)
    if counts["dashboard"]:
        _check_dashboard(settings)
    check_machine(settings, environ)
    _check_metrics(environ)


def _check_dashboard(settings: Settings) -> None:
    from mirror.base.errors import SettingsError
    from mirror.base.extras import how_to_install

    try:
        from dashboard.pages.guard import check as check_guard
        from dashboard.pages.server import listen
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"MIRROR_DASHBOARDS is '{settings.supervised.counts['dashboard']}', and the dashboard "
            f"needs the package {error.name}: set it to 0, or {how_to_install('dashboard')}"
        ) from error
    check_guard(settings)
    for listening in listen(settings):
        listening.close()


def _check_metrics(environ: Mapping[str, str]) -> None:
    from mirror.runtime.telemetry import listen_for_metrics
    from mirror.settings import load
    from mirror.settings.supervised import COUNTS

    counts = load(environ).supervised.counts
    for number, program in enumerate(COUNTS):
        for process in range(counts[program]):
            # The same value as supervisord.conf gives each process.
            offset = {"MIRROR_METRICS_OFFSET": str(100 * number + process)}
            settings = load({**environ, **offset})
            if settings.metrics_port:
                for metric in listen_for_metrics(settings.metrics_hosts, settings.metrics_port):
                    metric.close()


def panel(settings: Settings) -> str:
    """The running processes and their addresses, for a terminal, before supervisord takes over."""
    from console.render import filled
    from mirror import __version__
    from mirror.base.extras import how_to_install
    from mirror.base.units import counted

    supervised = settings.supervised
    kinds = [counted(number, program) for program, number in supervised.counts.items() if number]
    lines = [
        f"interaction mirror {__version__} under supervisord",
        filled("  Runs       ", ", ".join(kinds) or "no process"),
        f"  Logs       {supervised.log_dir}/<process>.log",
        "  See        mirror up status, mirror status, mirror tail",
        f"  Stop       Ctrl-C or mirror up stop; {STOPPING}",
    ]
    if supervised.counts["dashboard"]:
        lines.insert(2, f"  Dashboard  {page_address(settings)}")
    elif supervised.counts["listener"]:
        how = f"none; to have it, set MIRROR_DASHBOARDS=1 and {how_to_install('dashboard')}"
        lines.insert(2, filled("  Dashboard  ", how))
    return "\n".join(lines)


def page_address(settings: Settings) -> str:
    """The address of the page, seen from this machine."""
    host = settings.dashboard_host
    if host in {"::", "0.0.0.0"}:  # noqa: S104  # where it listens, seen from here
        host = "127.0.0.1"
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{settings.dashboard_port}"


@up.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def status(as_json: bool) -> None:
    """List the processes of `mirror up` on this machine."""
    from console.render import Column, echo, echo_json, styled, table

    supervisord, run_dir = _running()
    found = supervisord.processes()
    if as_json:
        echo_json({"pid": supervisord.pid(), "run_dir": str(run_dir), "processes": found})
        return
    echo(
        table(
            ("PROCESS", "STATE", "PID", Column("DETAIL", 16)),
            (
                (
                    process.name,
                    styled(process.state, fg=_COLOURS.get(process.state, "red")),
                    str(process.pid or "-"),
                    process.description.removeprefix(f"pid {process.pid}, "),
                )
                for process in found
            ),
            empty="No process.",
        )
    )


def _complete_process(_context: object, _parameter: object, incomplete: str) -> list[str]:
    """Names of processes that run here, for the shell; none if unknown."""
    from mirror.base.errors import MirrorError

    with suppress(MirrorError):
        supervisord, _ = _running()
        found = supervisord.processes()
        names = [ALL, *{process.group for process in found}, *(process.name for process in found)]
        return sorted({name for name in names if name.startswith(incomplete)})
    return []


@up.command()
@click.argument("names", nargs=-1, required=True, shell_complete=_complete_process)
def restart(names: tuple[str, ...]) -> None:
    """Restart processes, one after the other: `listener-0`, all `listener`, or `all`."""
    from console.render import say
    from mirror.base.errors import MirrorError

    supervisord, _ = _running()
    chosen = chosen_processes(supervisord.processes(), names)
    for process in chosen:
        if process.state in _RUNS:
            supervisord.stop(process)
            _until(
                supervisord, process.name, lambda process: process.state not in {*_RUNS, "STOPPING"}
            )
        supervisord.start(process)
        now = _until(
            supervisord, process.name, lambda process: process.state not in {"STARTING", "BACKOFF"}
        )
        if now.state != "RUNNING":
            raise MirrorError(
                f"{process.name} does not start, it is {now.state} ({now.description}): its log "
                "in MIRROR_LOG_DIR says why"
            )
        say(f"{process.name} runs again, pid {now.pid}")


def chosen_processes(found: list[ProcessInfo], names: tuple[str, ...]) -> list[ProcessInfo]:
    """The processes that `names` mean, each once. Raises `MirrorError` if a name means none."""
    from mirror.base.errors import MirrorError

    chosen: dict[str, ProcessInfo] = {}
    for name in names:
        meant = [
            process
            for process in found
            if name in {process.name, process.group, f"{process.group}:{process.name}"}
            or (name == ALL and process.group != "watchdog")
        ]
        if not meant:
            known = ", ".join(sorted(process.name for process in found))
            raise MirrorError(f"there is no process {name}: it takes {known}, a kind, or {ALL}")
        chosen.update((process.name, process) for process in meant)
    return list(chosen.values())


@up.command()
def stop() -> None:
    """Stop `mirror up` on this machine: all processes in order, then supervisord."""
    from console.render import say
    from mirror.base.errors import MirrorError
    from mirror.settings.supervised import COUNTS

    supervisord, _ = _running()
    pid = supervisord.pid()
    say(f"stopping: {STOPPING}")
    supervisord.shut_down()
    deadline = time.monotonic() + STOP_SECONDS * (len(COUNTS) + 1)
    while supervisord.is_there:
        if time.monotonic() > deadline:
            raise MirrorError(f"supervisord, pid {pid}, does not end: kill {pid} ends it")
        time.sleep(_LOOK_SECONDS)
    say("stopped")


def _running() -> tuple[Supervisord, Path]:
    """The supervisord of this machine's run directory. Raises `MirrorError` if none runs."""
    from console.context import settings_of_environment
    from mirror.base.errors import MirrorError, SettingsError
    from mirror.settings.supervised import run_directory
    from mirror.supervision.supervisord import Supervisord, SupervisordSilent

    with suppress(SettingsError):  # warns of a misspelt MIRROR_RUN_DIR
        settings_of_environment()
    run_dir = run_directory(os.environ)
    supervisord = Supervisord(run_dir)
    nobody = MirrorError(
        f"`mirror up` does not run here: there is no supervisord in {run_dir}. If it uses another "
        "directory, set MIRROR_RUN_DIR"
    )
    if not supervisord.is_there:
        raise nobody
    try:
        supervisord.pid()
    except SupervisordSilent as error:
        if isinstance(error.__cause__, ConnectionRefusedError):
            raise nobody from error
        raise
    return supervisord, run_dir


def _until(supervisord: Supervisord, name: str, done: Callable[[ProcessInfo], bool]) -> ProcessInfo:
    """Wait until `done`, and return the process. Raises `MirrorError` if it takes too long."""
    from mirror.base.errors import MirrorError

    deadline = time.monotonic() + START_SECONDS
    while True:
        current = next(process for process in supervisord.processes() if process.name == name)
        if done(current):
            return current
        if time.monotonic() > deadline:
            raise MirrorError(f"{name} is {current.state} for {START_SECONDS:.0f} s")
        time.sleep(_LOOK_SECONDS)


def _since(run_dir: Path) -> str:
    from mirror.conversation.times import show_epoch
    from mirror.supervision.supervisord import SOCKET

    with suppress(OSError):
        started = (run_dir / SOCKET).stat().st_mtime
        return f", since {show_epoch(started)[:19]}Z"
    return ""


COMMANDS = (up,)
