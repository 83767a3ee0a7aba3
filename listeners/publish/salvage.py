"""Adopts spools whose process is gone, and saves the intact part of damaged spools.

`adopt` finds subfolders whose owner is gone, so that the next process on the host delivers the
records of a killed one. A folder without its database counts too: its other files show the loss.
`salvage` copies the intact records of a damaged spool into a fresh folder,
and keeps the damaged folder beside it, as `<name>.broken-<n>`, for a person to inspect. The loss is
noted there (`listeners.publish.extent`) until a gap is filed for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from listeners.publish import extent
from listeners.publish.extent import Lost
from listeners.publish.rows import (
    BACKWARDS,
    BUSY_TIMEOUT_SECONDS,
    FORWARDS,
    Damaged,
    Numbered,
    as_text,
    read_records,
)
from listeners.publish.spool import DATABASE, Spool, SpoolBroken, SpoolError
from mirror.base.errors import MirrorError

BROKEN: Final = ".broken-"
SALVAGED: Final = ".salvaged-"
SALVAGE_RECORDS: Final = 1_000
SALVAGE_BYTES: Final = 4 * 1024 * 1024


class Salvage(msgspec.Struct, frozen=True):
    """The result of a salvage.

    `spool`: the intact records, None if there are none. `aside`: the new path of the damaged
    folder. `lost`: the loss, None if nothing is missing.
    """

    spool: Spool | None
    aside: Path
    lost: Lost | None


def salvage(folder: Path, limit: int) -> Salvage:
    """Copy the intact records of a damaged spool to a fresh one; set the damaged folder aside.

    Nobody may have it open. Records are read from both ends, so damage in the middle does not hide
    later records. Raises `SpoolError` if the disk refuses; then nothing has changed.
    """
    fresh = Spool(_unused(folder, SALVAGED), limit)
    try:
        read: set[int] = set()
        for order in (FORWARDS, BACKWARDS):
            _copy(folder / DATABASE, fresh, read, order)
        lost = extent.judge(folder, folder / DATABASE, fresh.records)
        if lost is not None:
            lost = msgspec.structs.replace(lost, name=_unused(folder, BROKEN).name)
            extent.remember(folder, lost)
            fresh.inherit(lost)
    except MirrorError as error:
        fresh.abandon()
        for path in fresh.folder.iterdir():
            path.unlink()
        fresh.folder.rmdir()
        raise SpoolError(str(error)) from error
    aside = _unused(folder, BROKEN)
    try:
        folder.rename(aside)
    except OSError as error:
        fresh.abandon()
        raise SpoolError(f"spool folder {folder}: {error.strerror}") from error
    if fresh.records:
        return Salvage(fresh, aside, lost)
    fresh.close()
    return Salvage(None, aside, lost)


def _copy(source: Path, target: Spool, read: set[int], order: str) -> None:
    """Copy whole records until the first damage."""
    if not source.exists():  # opening it would make an empty one, and delete the log beside it
        return
    database = sqlite3.connect(source, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
    database.text_factory = as_text
    batch: list[Numbered] = []
    size = 0
    try:
        # Makes SQLite read the rest of a file that is shorter than its header says.
        database.execute("PRAGMA writable_schema=ON")
        columns = [row[1] for row in database.execute("PRAGMA table_info(records)")]
        if columns and "place" not in columns:
            database.execute("ALTER TABLE records ADD COLUMN place INTEGER NOT NULL DEFAULT 0")
        for numbered, cost in read_records(database, order):
            if numbered.sequence in read:
                break  # the other end was here
            read.add(numbered.sequence)
            batch.append(numbered)
            size += cost
            if len(batch) >= SALVAGE_RECORDS or size >= SALVAGE_BYTES:
                target.put(batch)
                batch, size = [], 0
    except (sqlite3.Error, msgspec.MsgspecError, UnicodeDecodeError, Damaged):
        pass  # the records before the damage are copied; the caller counts them
    finally:
        database.close()
    target.put(batch)


def _unused(folder: Path, suffix: str) -> Path:
    stem = folder.name.partition(SALVAGED)[0]
    taken = {path.name for path in folder.parent.glob(f"{stem}{suffix}*")}
    number = next(n for n in range(1, len(taken) + 2) if f"{stem}{suffix}{n}" not in taken)
    return folder.with_name(f"{stem}{suffix}{number}")


def adopt(
    directory: Path,
    limit: int,
    own: Path,
    damaged: Callable[[Salvage], None] = lambda _found: None,
) -> list[Spool]:
    """Spools in `directory` whose process is gone, locked for this one, oldest first.

    Empty spools are removed. A damaged spool is salvaged: its intact records are adopted, and
    `damaged` is called with the result. A folder of another process, or one that cannot be read
    now, is left alone.
    """
    adopted = []
    for folder in _folders(directory):
        if folder == own:
            continue
        try:
            spool: Spool | None = Spool(folder, limit)
        except SpoolBroken:
            try:
                found = salvage(folder, limit)
            except SpoolError:
                continue  # the next look tries again
            damaged(found)
            spool = found.spool
        except SpoolError:  # its owner is alive, or we may not read it
            continue
        if spool is None:
            continue
        if spool.records:
            adopted.append(spool)
            continue
        with suppress(SpoolError):  # other files in its folder, or NFS, which keeps open files
            spool.close()
    return adopted


def _folders(directory: Path) -> list[Path]:
    """The folders with spools, the one that was written last at the end."""
    found: list[tuple[int, Path]] = []
    try:
        paths = list(directory.iterdir())
    except OSError:  # no folder yet
        return []
    for path in paths:
        # A folder may vanish meanwhile, or be nobody's to read: `lost+found` on a disk of its own.
        with suppress(OSError):
            if BROKEN not in path.name and extent.is_spool(path / DATABASE):
                found.append((extent.modified_ms(path / DATABASE), path))
    return [path for _, path in sorted(found)]


def losses(directory: Path) -> list[Lost]:
    """Losses of the folders that were set aside, without a filed gap."""
    try:
        asides = sorted(path for path in directory.iterdir() if BROKEN in path.name)
    except OSError:  # no folder yet
        return []
    return [lost for lost in map(extent.recall, asides) if lost is not None]
