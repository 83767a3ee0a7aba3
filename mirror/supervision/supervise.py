"""Runs supervisord on `deploy/supervisord.conf`, for `mirror up` and `mirror sandbox`.

The file takes everything that differs between machines from the environment; `environment` adds
what is not set there:

    MIRROR_LISTENERS, MIRROR_COORDINATORS, MIRROR_JANITORS   how many of each: 2, 1, 1
    MIRROR_DASHBOARDS           1 where the extra `dashboard` is installed, else 0
    MIRROR_RUN_DIR              socket and pid file: <state directory>/run
    MIRROR_LOG_DIR              one rotated log a process: <state directory>/log
    MIRROR_PYTHON               the interpreter of this process
    MIRROR_USER                 whose rights supervisord takes: the user of this process
    MIRROR_HANG_AFTER           how long a process may not beat until it is killed: 20s
    MIRROR_STARTSECS            seconds that a process must run to count as started: 5
    MIRROR_AUTOSTART            true; false leaves starting to supervisorctl
    MIRROR_SUPERVISOR_INCLUDE   further supervisord files, separated by spaces

They come as settings do: white space around a value does not count, `<NAME>_FILE` names a file that
holds it, and one that does not parse raises `SettingsError`.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import mirror
from mirror.base.errors import SettingsError
from mirror.settings import value
from mirror.settings.reader import Reader
from mirror.settings.values import between, choice, positive_duration
from mirror.supervision.supervisord import run_directory, state_directory

CONF: Final = Path(mirror.__file__).parents[1] / "deploy" / "supervisord.conf"
LONGEST_RUN_DIR: Final = 80
MOST_PROCESSES: Final = 100  # of a kind: each has an offset of two digits for its metrics port
PROGRAMS: Final = ("coordinator", "listener", "janitor", "dashboard")


def command(environ: Mapping[str, str] | None = None) -> list[str]:
    """The argument list that runs supervisord in the foreground, under the `MIRROR_USER` set.

    None is named where none is set: a process may run under a number without a name, as containers
    do. As root it is named, because supervisord warns of what nobody may have meant.
    """
    user = value(os.environ if environ is None else environ, "MIRROR_USER")
    if not user and os.getuid() == 0:
        user = "root"
    as_user = ["-u", user] if user else []
    return [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(CONF), *as_user]


def control(*arguments: str) -> list[str]:
    """The argument list that runs supervisorctl against the supervisord of `environment`."""
    return [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(CONF), *arguments]


def has_dashboard() -> bool:
    """Whether what the web page needs is installed (the extra `dashboard`)."""
    return all(importlib.util.find_spec(name) for name in ("starlette", "uvicorn"))


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` with every variable that the file names. Makes the run and log directories.

    Raises `SettingsError` for a value that does not parse, a run directory whose path is too long,
    and a directory that cannot be made.
    """
    state = state_directory(environ)
    reader = Reader(environ)
    for name, default in (
        ("MIRROR_LISTENERS", "2"),
        ("MIRROR_COORDINATORS", "1"),
        ("MIRROR_JANITORS", "1"),
        ("MIRROR_DASHBOARDS", "1" if has_dashboard() else "0"),
    ):
        reader.parse(name, default, between(0, MOST_PROCESSES))
    reader.parse("MIRROR_STARTSECS", "5", between(0, 3600))
    reader.parse("MIRROR_HANG_AFTER", "20s", positive_duration)
    reader.parse("MIRROR_AUTOSTART", "true", choice("true", "false"))
    for name, default in (
        ("MIRROR_RUN_DIR", str(run_directory(environ))),
        ("MIRROR_LOG_DIR", str(state / "log")),
        ("MIRROR_PYTHON", sys.executable),
        ("MIRROR_SUPERVISOR_INCLUDE", ""),
    ):
        reader.text(name, default)
    by_file = {name for name in reader.used if name.endswith("_FILE")}
    complete = {name: held for name, held in environ.items() if name not in by_file}
    complete |= reader.read
    if len(complete["MIRROR_RUN_DIR"]) > LONGEST_RUN_DIR:
        raise SettingsError(
            f"MIRROR_RUN_DIR is {complete['MIRROR_RUN_DIR']!r}: it takes a path of at most "
            f"{LONGEST_RUN_DIR} characters, because a Unix socket lies in it"
        )
    for name in ("MIRROR_RUN_DIR", "MIRROR_LOG_DIR"):
        try:
            Path(complete[name]).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"{name} is {complete[name]!r}, which cannot be made ({error.strerror}): it takes "
                "a directory that can be written to"
            ) from error
    return complete
