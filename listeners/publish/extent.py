"""What a spool is known to hold, told outside its database: so that a loss is noticed.

A database that was truncated, or whose log was, may be whole and empty. The file `extent` beside it
says how many records it holds and from when they are. It is written without waiting for the disk:
a killed process leaves it as it was, and after a power cut it may be older than the database. It
errs to the side of fewer records, except then: an alarm too many costs a back-fill, one too few
would hide a loss.
"""

from __future__ import annotations

import os
import time
import zlib
from pathlib import Path
from struct import Struct
from typing import Final

import msgspec

from mirror.base.errors import MirrorError

EXTENT: Final = "extent"
LOST: Final = "lost"
# A record is stored after it waited for Kafka; what came to be lost was received before.
MARGIN_BEFORE_MS: Final = 15_000
MARGIN_BEHIND_MS: Final = 2_000
_FORM: Final = Struct("<4sQQQ")
_MAGIC: Final = b"ext1"


class Lost(msgspec.Struct, frozen=True):
    """Records that a damaged spool no longer has, received between these times (epoch ms).

    `records` is null where it is not known how many.
    """

    name: str
    from_ms: int
    to_ms: int
    records: int | None


class Extent:
    """The file beside one database. `since_ms` and `until_ms` are epoch ms, 0 while it is empty."""

    def __init__(self, folder: Path, descriptor: int, records: int, since: int, until: int) -> None:
        self.records = records
        self.since_ms = since
        self.until_ms = until
        self._folder = folder
        self._file: int | None = descriptor

    def put(self, records: int) -> None:
        """So many records are there now, some of them just stored."""
        now = wall_ms()
        self.since_ms = self.since_ms or now
        self.until_ms = max(self.until_ms, now)
        self._write(records)

    def removed(self, records: int) -> None:
        """So many records are left."""
        if not records:
            self.since_ms = self.until_ms = 0
        self._write(records)

    def begin(self, since_ms: int, records: int) -> None:
        """So many records were there before this file."""
        self.since_ms, self.until_ms = since_ms, wall_ms()
        self._write(records)

    def inherit(self, lost: Lost, records: int) -> None:
        """What was saved of another spool is as old as that was."""
        self.since_ms = min(self.since_ms or lost.from_ms, lost.from_ms)
        self._write(records)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
        self._file = None

    def _write(self, records: int) -> None:
        self.records = records
        if self._file is None:
            return
        content = _FORM.pack(_MAGIC, records, self.since_ms, self.until_ms)
        try:
            os.pwrite(self._file, content + zlib.crc32(content).to_bytes(4, "little"), 0)
        except OSError:  # a full disk: the database's own error tells of it
            return


def open_extent(folder: Path) -> Extent:
    """The extent of the spool in `folder`, made where there is none. Raises `OSError`."""
    records, since, until = read(folder) or (0, 0, 0)
    descriptor = os.open(folder / EXTENT, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    return Extent(folder, descriptor, records, since, until)


def read(folder: Path) -> tuple[int, int, int] | None:
    """Records, since and until, None where they cannot be read."""
    try:
        content = (folder / EXTENT).read_bytes()
    except OSError:
        return None
    body, check = content[: _FORM.size], content[_FORM.size : _FORM.size + 4]
    if len(check) < 4 or zlib.crc32(body) != int.from_bytes(check, "little"):
        return None
    magic, records, since, until = _FORM.unpack(body)
    return (records, since, until) if magic == _MAGIC else None


def judge(folder: Path, database: Path, saved: int) -> Lost | None:
    """What the spool in `folder` lost, when so many records were saved; None where nothing."""
    known = read(folder)
    if known is not None:
        records, since, until = known
        if records <= saved:
            return None
        lost: int | None = records - saved
    else:
        # Only the files tell: the folder's lock is made with it, the database is written last.
        try:
            since = round((folder / "lock").stat().st_mtime * 1000)
            until = round(database.stat().st_mtime * 1000)
        except OSError:
            since = until = wall_ms()
        lost = None
    since, until = since or wall_ms(), until or wall_ms()
    return Lost(folder.name, since - MARGIN_BEFORE_MS, until + MARGIN_BEHIND_MS, lost)


def remember(folder: Path, lost: Lost) -> None:
    """Note a loss in the folder that was set aside, until a gap is filed for it.

    Raises `MirrorError` where the disk refuses.
    """
    try:
        (folder / LOST).write_bytes(msgspec.json.encode(lost))
    except OSError as error:
        raise MirrorError(f"spool folder {folder}: {error.strerror}") from error


def recall(folder: Path) -> Lost | None:
    """The loss noted in a folder that was set aside, None where there is none to be filed."""
    try:
        return msgspec.json.decode((folder / LOST).read_bytes(), type=Lost)
    except (OSError, msgspec.DecodeError):
        return None


def settle(folder: Path) -> None:
    """A gap is filed for what this folder lost."""
    (folder / LOST).unlink(missing_ok=True)


def wall_ms() -> int:
    """The time of day, in epoch ms: the files outlive the process, so its own clock is no use."""
    return round(time.time() * 1000)
