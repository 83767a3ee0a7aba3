"""Notes the content of a spool outside its database, so that a loss is noticed.

A truncated database, or one with a truncated log, may look intact and empty. The file `extent`
beside it has the number of records and their times. It is written without waiting for the disk: it
survives a killed process, but after a power cut it may be older than the database. Otherwise it
errs towards fewer records. A false alarm costs a back-fill; a missed alarm would hide a loss.

Files may also be removed. `is_torn` finds a folder whose files cannot all be there, before SQLite
makes a new database in it and deletes the log of the old one.
"""

from __future__ import annotations

import os
import time
import zlib
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import Final

import msgspec

from listeners.publish.rows import is_of_earlier_version
from mirror.base.errors import MirrorError

EXTENT: Final = "extent"
LOST: Final = "lost"
# A record is stored after it has waited for Kafka, so lost records were received this much earlier.
MARGIN_BEFORE_MS: Final = 15_000
MARGIN_BEHIND_MS: Final = 2_000
_FORM: Final = Struct("<4sQQQ")
_MAGIC: Final = b"ext1"


class Lost(msgspec.Struct, frozen=True):
    """Records that a damaged spool no longer has, received between these times (epoch ms).

    `records` is None if their number is unknown.
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

    def begin_empty(self) -> None:
        """Note an empty spool if nothing is noted yet, so that an unreadable file means damage."""
        if not self.until_ms:
            self._write(self.records)

    def put(self, records: int) -> None:
        """Note the number of records after some were stored."""
        now = wall_ms()
        self.since_ms = self.since_ms or now
        self.until_ms = max(self.until_ms, now)
        self._write(records)

    def removed(self, records: int) -> None:
        """Note the number of records after some were removed."""
        if not records:
            self.since_ms = self.until_ms = 0
        self._write(records)

    def begin(self, since_ms: int, records: int) -> None:
        """Note records that are older than this file."""
        self.since_ms, self.until_ms = since_ms, wall_ms()
        self._write(records)

    def inherit(self, lost: Lost, records: int) -> None:
        """Note records saved from another spool, with that spool's times."""
        self.since_ms = min(self.since_ms or lost.from_ms, lost.from_ms)
        self._write(records)

    def close(self) -> None:
        """Close the file."""
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
        except OSError:  # a full disk: the database's own error reports it
            return


def open_extent(folder: Path) -> Extent:
    """The extent of the spool in `folder`, created if missing. Raises `OSError`."""
    records, since, until = read(folder) or (0, 0, 0)
    descriptor = os.open(folder / EXTENT, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    extent = Extent(folder, descriptor, records, since, until)
    extent.begin_empty()
    return extent


def read(folder: Path) -> tuple[int, int, int] | None:
    """(records, since_ms, until_ms), None if unreadable."""
    try:
        content = (folder / EXTENT).read_bytes()
    except OSError:
        return None
    body, check = content[: _FORM.size], content[_FORM.size : _FORM.size + 4]
    if len(check) < 4 or zlib.crc32(body) != int.from_bytes(check, "little"):
        return None
    magic, records, since, until = _FORM.unpack(body)
    return (records, since, until) if magic == _MAGIC else None


def files_of(database: Path) -> tuple[Path, ...]:
    """The files that a spool's records may be in: the database, its log, the log's index."""
    return (database, _beside(database, "-wal"), _beside(database, "-shm"))


def is_spool(database: Path) -> bool:
    """Whether the folder of `database` has, or had, records of a spool."""
    return any(path.exists() for path in (*files_of(database), database.with_name(EXTENT)))


def is_torn(database: Path) -> bool:
    """Whether files of the spool were removed, as far as the other files show it.

    Nothing is known of a folder in which no file is left. A killed process leaves all files, and
    one that was stopped leaves the database and the extent.
    """
    known = read(database.parent)
    if known is not None:
        return known[0] > 0 and not database.exists()
    if database.exists() and _beside(database, "-wal").exists():
        return False
    return is_spool(database) and not is_of_earlier_version(database)


def modified_ms(database: Path) -> int:
    """When the spool was last written (epoch ms), at the latest. Raises `OSError`."""
    paths = [path for path in files_of(database)[:2] if path.exists()]
    # Without them the folder has the time at which they were removed.
    return max(round(path.stat().st_mtime * 1000) for path in paths or [database.parent])


def _beside(database: Path, ending: str) -> Path:
    return database.with_name(f"{database.name}{ending}")


def judge(folder: Path, database: Path, saved: int) -> Lost | None:
    """The loss of the spool in `folder` if `saved` records were saved; None without a loss."""
    known = read(folder)
    if known is not None:
        records, since, until = known
        if records <= saved:
            return None
        lost: int | None = records - saved
    else:
        # Only the files' times are left: the lock is as old as the folder.
        try:
            since = round((folder / "lock").stat().st_mtime * 1000)
            until = modified_ms(database)
        except OSError:
            since = until = wall_ms()
        lost = None
    since, until = since or wall_ms(), until or wall_ms()
    return Lost(folder.name, since - MARGIN_BEFORE_MS, until + MARGIN_BEHIND_MS, lost)


def remember(folder: Path, lost: Lost) -> None:
    """Note a loss in the folder that was set aside, until a gap is filed for it.

    Raises `MirrorError` if the disk refuses.
    """
    try:
        (folder / LOST).write_bytes(msgspec.json.encode(lost))
    except OSError as error:
        raise MirrorError(f"spool folder {folder}: {error.strerror}") from error


def recall(folder: Path) -> Lost | None:
    """The loss noted in a folder that was set aside, None if no gap is due for it."""
    try:
        return msgspec.json.decode((folder / LOST).read_bytes(), type=Lost)
    except (OSError, msgspec.DecodeError):
        return None


def settle(folder: Path) -> None:
    """Note that a gap is filed for the loss of this folder.

    If the disk refuses, the next process files the gap again, which changes nothing.
    """
    with suppress(OSError):
        (folder / LOST).unlink(missing_ok=True)


def wall_ms() -> int:
    """The time of day, in epoch ms: the files outlive the process, so its own clock is no use."""
    return round(time.time() * 1000)
