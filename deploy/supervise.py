"""Runs supervisord on `deploy/supervisord.conf`, for `mirror up` and `mirror sandbox`.

The file takes everything that differs between machines from the environment; `environment` adds
what is not set there:

    MIRROR_LISTENERS, MIRROR_COORDINATORS, MIRROR_JANITORS   how many of each: 2, 1, 1
    MIRROR_DASHBOARDS           1 where the extra `dashboard` is installed, else 0
    MIRROR_RUN_DIR              socket and pid file: <state directory>/run
    MIRROR_LOG_DIR              one rotated log a process: <state directory>/log
    MIRROR_PYTHON               the interpreter of this process
    MIRROR_USER                 the user of this process
    MIRROR_HANG_AFTER           how long a process may not beat until it is killed: 20s
    MIRROR_STARTSECS            seconds that a process must run to count as started: 5
    MIRROR_AUTOSTART            true; false leaves starting to supervisorctl
    MIRROR_SUPERVISOR_INCLUDE   further supervisord files, separated by spaces
"""

from __future__ import annotations

import getpass
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mirror.errors import SettingsError
from mirror.supervisord import run_directory, state_directory

CONF: Final = Path(__file__).with_name("supervisord.conf")
LONGEST_RUN_DIR: Final = 80
PROGRAMS: Final = ("coordinator", "listener", "janitor", "dashboard")


def command() -> list[str]:
    """The argument list that runs supervisord in the foreground."""
    return [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(CONF)]


def control(*arguments: str) -> list[str]:
    """The argument list that runs supervisorctl against the supervisord of `environment`."""
    return [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(CONF), *arguments]


def has_dashboard() -> bool:
    """Whether what the web page needs is installed (the extra `dashboard`)."""
    return all(importlib.util.find_spec(name) for name in ("starlette", "uvicorn"))


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` with every variable that the file names. Makes the run and log directories.

    Raises `SettingsError` for a run directory whose path is too long.
    """
    state = state_directory(environ)
    complete = {
        "MIRROR_LISTENERS": "2",
        "MIRROR_COORDINATORS": "1",
        "MIRROR_JANITORS": "1",
        "MIRROR_DASHBOARDS": "1" if has_dashboard() else "0",
        "MIRROR_STARTSECS": "5",
        "MIRROR_RUN_DIR": str(run_directory(environ)),
        "MIRROR_LOG_DIR": str(state / "log"),
        "MIRROR_PYTHON": sys.executable,
        "MIRROR_USER": getpass.getuser(),
        "MIRROR_AUTOSTART": "true",
        "MIRROR_SUPERVISOR_INCLUDE": "",
        **environ,
    }
    if len(complete["MIRROR_RUN_DIR"]) > LONGEST_RUN_DIR:
        raise SettingsError(
            f"MIRROR_RUN_DIR is {complete['MIRROR_RUN_DIR']!r}: it takes a path of at most "
            f"{LONGEST_RUN_DIR} characters, because a Unix socket lies in it"
        )
    for name in ("MIRROR_RUN_DIR", "MIRROR_LOG_DIR"):
        Path(complete[name]).mkdir(parents=True, exist_ok=True)
    return complete
