"""Directories in settings: created if missing, or refused with one line.

A file is created to see whether a directory is writable: by the mode alone, root may write even
where no file can be created, as in /proc.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Final

from mirror.base.errors import SettingsError

# Errors that another setting fixes and time does not. A full or broken disk is not among them.
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
    """Why no file can be created in `path`, None if one can.

    Creates a file there and removes it. A missing directory is not created: the nearest existing
    directory above it is tried.
    """
    try:
        _try_writing(next(place for place in (path, *path.parents) if os.path.lexists(place)))
    except OSError as error:
        return error.strerror or type(error).__name__
    return None


def make_directory(name: str, path: Path) -> None:
    """Create the directory in the variable `name`.

    Raises `SettingsError` if it cannot be a directory or is not writable, and `OSError` if the disk
    refuses to create it. An existing directory on a full disk is not a wrong setting.
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
