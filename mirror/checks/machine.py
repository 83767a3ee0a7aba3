"""Checks of this machine: misspelt settings, supervisord, and the disk for the spool."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from mirror.base.errors import EXIT_USAGE
from mirror.base.units import show_size
from mirror.checks.finding import Finding, bad, doubtful, good
from mirror.settings import Settings, Unread
from mirror.settings.directory import why_not_writable
from mirror.settings.supervised import run_directory
from mirror.supervision.supervisord import ProcessInfo, SupervisordSilent, processes

_ROOM_CURE: Final = "free disk, set MIRROR_SPOOL_DIR to a larger one, or lower MIRROR_SPOOL_LIMIT"


def check_machine(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """The checks that need no other service. `environ`: the environment `settings` came from."""
    yield unread_settings(settings.unread)
    yield check_spool(settings)
    yield _supervisord(run_directory(environ))


def unread_settings(unread: Sequence[Unread]) -> Finding:
    """The finding on variables that no setting reads: a misspelt one is silently its default."""
    if unread:
        return doubtful(
            "settings",
            "settings",
            "; ".join(map(str, unread)),
            "correct it (docs/settings.md), or unset it",
        )
    return good("settings", "settings", "all parse; mirror doctor --settings shows them")


def check_spool(settings: Settings) -> Finding:
    """The finding on the spool's directory. Asks only the file system; listeners use it too."""
    directory = settings.spool_dir
    if (reason := why_not_writable(directory)) is not None:
        return bad(
            "spool",
            "spool",
            f"{directory} cannot be written to ({reason})",
            "set MIRROR_SPOOL_DIR to a directory of the mirror's user on a disk that stays",
        )
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    return room(directory, shutil.disk_usage(existing).free, settings.spool_limit)


def room(directory: Path, free: int, limit: int) -> Finding:
    """`free` and `limit` are bytes."""
    if free < limit:
        return bad(
            "spool",
            "spool",
            f"{directory} has {free >> 20} MiB free, less than MIRROR_SPOOL_LIMIT "
            f"({show_size(limit)})",
            _ROOM_CURE,
        )
    detail = f"{directory}, {free >> 30} GiB free for at most {show_size(limit)} a listener"
    return good("spool", "spool", detail)


def _supervisord(run_dir: Path) -> Finding:
    try:
        found = processes(run_dir)
    except SupervisordSilent as error:
        return bad(
            "supervisord",
            "supervisord",
            str(error),
            "it hangs or ended without its socket: start mirror up again",
        )
    return supervised(found)


def supervised(found: list[ProcessInfo] | None) -> Finding:
    """`found` are supervisord's processes; None if no supervisord runs."""
    if found is None:
        version = importlib.metadata.version("supervisor")
        return good("supervisord", "supervisord", f"version {version}, none runs here")
    ill = [process for process in found if process.state not in {"RUNNING", "STARTING"}]
    if not ill:
        return good("supervisord", "supervisord", f"{len(found)} processes run")
    told = ", ".join(f"{process.group}:{process.name} is {process.state}" for process in ill)
    wrong = any(process.exit_code == EXIT_USAGE for process in ill)
    return bad(
        "supervisord",
        "supervisord",
        told,
        "correct the setting that its log names, and start mirror up again"
        if wrong
        else "its log in MIRROR_LOG_DIR says why; `mirror up restart all` starts it again",
    )
