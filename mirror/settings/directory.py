"""Directories that settings name: made where they are not there, or refused with one line."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from mirror.base.errors import SettingsError

# What another setting mends and time does not. A full or broken disk is none of these.
_MISTAKES: Final = frozenset(
    {
        errno.EACCES,
        errno.EEXIST,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)


def make_directory(name: str, path: Path) -> None:
    """Make the directory that the variable `name` holds.

    Raises `SettingsError` where it cannot be one or may not be written to, and `OSError` where the
    disk refuses.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        if isinstance(error, OSError) and error.errno not in _MISTAKES:
            raise
        reason = getattr(error, "strerror", None) or "not a path"
        raise SettingsError(
            f"{name} is {str(path)!r}, which cannot be made ({reason}): it takes "
            "a directory that can be written to"
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise SettingsError(
            f"{name} is {str(path)!r}, which cannot be written to: it takes a directory of the "
            "user that runs the mirror"
        )
