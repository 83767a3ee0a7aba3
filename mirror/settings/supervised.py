"""Settings of `mirror up`, besides the settings of the processes that it starts.

`deploy/supervisord.conf` takes these variables from the environment; their only defaults are here.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mirror.settings.model import Supervised
from mirror.settings.reader import SettingsReader
from mirror.settings.values import between, choice, positive_duration

HANG_AFTER: Final = "20s"
MOST_PROCESSES: Final = 100  # of a kind: each has an offset of two digits for its metrics port
LONGEST_START_SECONDS: Final = 3600
# Program of supervisord.conf → the variable with its number of processes. In the order of their
# metrics ports: supervisord.conf adds 0, 1, … for the first program, 100, … for the next, and so
# on.
COUNTS: Final[Mapping[str, str]] = {
    "coordinator": "MIRROR_COORDINATORS",
    "listener": "MIRROR_LISTENERS",
    "janitor": "MIRROR_JANITORS",
    "dashboard": "MIRROR_DASHBOARDS",
    "projector": "MIRROR_PROJECTORS",
}


def read_supervised(reader: SettingsReader) -> Supervised:
    """Read and check these settings. Raises `SettingsError`. Creates no directory."""
    defaults = {
        "coordinator": "1",
        "listener": "2",
        "janitor": "1",
        "dashboard": "1" if has_dashboard() else "0",
        "projector": "1",
    }
    counts = {
        program: reader.parse(variable, defaults[program], between(0, MOST_PROCESSES))
        for program, variable in COUNTS.items()
    }
    reader.parse("MIRROR_STARTSECS", "5", between(0, LONGEST_START_SECONDS))
    reader.parse("MIRROR_AUTOSTART", "true", choice("true", "false"))
    reader.text("MIRROR_PYTHON", sys.executable)
    reader.text("MIRROR_SUPERVISOR_INCLUDE")
    state = state_directory(reader.environ)
    return Supervised(
        counts=counts,
        run_dir=Path(reader.text("MIRROR_RUN_DIR", str(state / "run"))),
        log_dir=Path(reader.text("MIRROR_LOG_DIR", str(state / "log"))),
        hang_after=reader.parse("MIRROR_HANG_AFTER", HANG_AFTER, positive_duration),
        user=reader.text("MIRROR_USER"),
    )


def run_directory(environ: Mapping[str, str]) -> Path:
    """The directory of `mirror up`'s supervisord socket: `MIRROR_RUN_DIR`, or the default."""
    return Path(
        SettingsReader(environ).text("MIRROR_RUN_DIR", str(state_directory(environ) / "run"))
    )


def state_directory(environ: Mapping[str, str]) -> Path:
    """The default directory for the mirror's state of this user."""
    state = environ.get("XDG_STATE_HOME") or f"{environ.get('HOME', '/var/lib')}/.local/state"
    return Path(state) / "interaction-mirror"


def has_dashboard() -> bool:
    """Whether the web page's packages are installed (the extra `dashboard`)."""
    return all(importlib.util.find_spec(name) for name in ("starlette", "uvicorn"))
