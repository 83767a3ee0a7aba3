"""Directories that settings name: made where they are not there, or refused with one line.

Whether a directory can be written to is tried out with a file: the mode alone allows root to write
where no file can be made, as in /proc.
"""

from __future__ import annotations

import errno
import os
import tempfile
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


def why_not_writable(path: Path) -> str | None:
    """Why no file can be made in `path`, None if one can.

    Makes a file there and removes it. A directory that does not exist is not made: the nearest one
    above it that exists is tried.
    """
    try:
        _try_writing(next(place for place in (path, *path.parents) if os.path.lexists(place)))
    except OSError as error:
        return error.strerror or type(error).__name__
    return None


def make_directory(name: str, path: Path) -> None:
    """Make the directory that the variable `name` holds.

    Raises `SettingsError` where it cannot be one or cannot be written to, and `OSError` where the
    disk refuses to make it. A directory that is there on a full disk is no mistake of the settings.
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
    try:
        _try_writing(path)
    except OSError as error:
        if error.errno not in _MISTAKES:
            return
        raise SettingsError(
            f"{name} is {str(path)!r}, which cannot be written to ({error.strerror}): it takes a "
            "directory of the user that runs the mirror"
        ) from error


def _try_writing(directory: Path) -> None:
    """Make a file and remove it. Raises `OSError`."""
    with tempfile.NamedTemporaryFile(prefix=".mirror-", dir=directory):
        pass
