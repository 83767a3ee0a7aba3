"""Checks of this machine: supervisord, and the disk for the spool."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from mirror.doctor.finding import Finding, bad, good
from mirror.settings import Settings
from mirror.units import show_size


def check_machine(settings: Settings) -> Iterator[Finding]:
    """supervisord is installed; the spool's disk is writable and large enough."""
    yield good("supervisord", f"version {importlib.metadata.version('supervisor')}")
    yield _spool(settings)


def _spool(settings: Settings) -> Finding:
    directory = settings.spool_dir
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return bad(
            "spool",
            f"{directory} cannot be written to",
            "set MIRROR_SPOOL_DIR to a directory of the mirror's user on a disk that stays",
        )
    free = shutil.disk_usage(Path(existing)).free
    limit = show_size(settings.spool_limit)
    if free < settings.spool_limit:
        return bad(
            "spool",
            f"{directory} has {free >> 20} MiB free, less than MIRROR_SPOOL_LIMIT ({limit})",
            "free disk, set MIRROR_SPOOL_DIR to a larger one, or lower MIRROR_SPOOL_LIMIT",
        )
    return good("spool", f"{directory}, {free >> 30} GiB free for at most {limit}")
