"""Runs supervisord on `deploy/supervisord.conf`, for `mirror up` and `mirror sandbox`.

The file takes all values that differ between machines from the environment; `environment` adds the
missing ones (`mirror/settings/supervised.py`).
"""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import mirror
from mirror.base.errors import SettingsError
from mirror.settings import Settings, value
from mirror.settings.directory import make_directory
from mirror.settings.reader import SettingsReader
from mirror.settings.supervised import COUNTS, read_supervised

CONF: Final = Path(mirror.__file__).parents[1] / "deploy" / "supervisord.conf"
PROGRAMS: Final = tuple(COUNTS)
LONGEST_RUN_DIR: Final = 80


def command(environ: Mapping[str, str] | None = None) -> list[str]:
    """The argument list that runs supervisord in the foreground, as `MIRROR_USER` if set.

    Without `MIRROR_USER` no user is named: a process may run under a number without a name, as
    containers do. As root the user is named, because supervisord warns otherwise.
    """
    user = value(os.environ if environ is None else environ, "MIRROR_USER")
    if not user and os.getuid() == 0:
        user = "root"
    as_user = ["-u", user] if user else []
    return [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(CONF), *as_user]


def control(*arguments: str) -> list[str]:
    """The argument list that runs supervisorctl against the supervisord of `environment`."""
    return [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(CONF), *arguments]


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` with every variable that the file names. Creates the run and log directories.

    Raises `SettingsError` for a value that does not parse, a run directory whose path is too long,
    or a directory that cannot be created.
    """
    reader = SettingsReader(environ)
    supervised = read_supervised(reader)
    by_file = {name for name in reader.used if name.endswith("_FILE")}
    complete = {name: held for name, held in environ.items() if name not in by_file}
    complete |= reader.read
    if len(str(supervised.run_dir)) > LONGEST_RUN_DIR:
        raise SettingsError(
            f"MIRROR_RUN_DIR is {str(supervised.run_dir)!r}: it takes a path of at most "
            f"{LONGEST_RUN_DIR} characters, because a Unix socket lies in it"
        )
    for name, path in (
        ("MIRROR_RUN_DIR", supervised.run_dir),
        ("MIRROR_LOG_DIR", supervised.log_dir),
    ):
        make_directory(name, path)
    return complete


def check_machine(settings: Settings, environ: Mapping[str, str]) -> None:
    """That the user and the Python of the processes exist, and the listeners' spool.

    Raises `SettingsError`. If another user runs the listeners, they create their spool themselves.
    """
    user = settings.supervised.user
    if user:
        try:
            _ = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
        except KeyError:
            raise SettingsError(
                f"MIRROR_USER is {user!r}: it takes a user of this machine"
            ) from None
    elif settings.supervised.counts["listener"]:
        make_directory("MIRROR_SPOOL_DIR", settings.spool_dir)
    python = value(environ, "MIRROR_PYTHON", sys.executable)
    if shutil.which(python) is None:
        raise SettingsError(
            f"MIRROR_PYTHON is {python!r}, which cannot be run: it takes the Python that the "
            "mirror is installed for"
        )
