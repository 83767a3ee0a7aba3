"""Where records wait on disk while Kafka cannot take them: a bounded, ordered queue over SQLite.

A process owns one subfolder of `MIRROR_SPOOL_DIR`, held by an advisory lock for as long as the
process lives. `adopt` finds subfolders whose owner is gone, so that what a killed process left is
delivered by the next one on the host.

Promises
- `put` returns when its records are on disk: one transaction with `synchronous=FULL`, so that
  neither a kill nor a power cut takes back what was stored. The publisher puts in batches, at most
  some twenty a second, which is what makes an fsync for each affordable.
- Order is by sequence number, whatever the order in which records were put.
- The limit counts keys, values and headers. A full spool keeps the oldest and refuses the newest:
  what is stored stays a whole past, what is missing is one interval that ends when Kafka is back,
  and the listener reports no coverage for it, so that it becomes a gap in the ledger and is
  back-filled.
- A full disk never holds up what was delivered: `remove` then only remembers, and such records are
  sent once more after a crash.
- What cannot be trusted is not sent: each record carries a checksum. A damaged database is
  `SpoolBroken`; `salvage` copies what is whole into a fresh folder, and keeps the damaged one
  beside it, as `<name>.broken-<n>`, for a person to look at.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from mirror.errors import MirrorError
from mirror.kafka.record import Header, Record

DATABASE: Final = "spool.sqlite"
LOCK: Final = "lock"
BUSY_TIMEOUT: Final = 5.0
# SQLite's own row and the index of its key.
ROW_OVERHEAD: Final = 32
_LEAST: Final = -(1 << 63)

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS records (
    sequence INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    key TEXT,
    value BLOB NOT NULL,
    headers BLOB NOT NULL,
    size INTEGER NOT NULL,
    checksum INTEGER
)
"""
BROKEN: Final = ".broken-"
SALVAGED: Final = ".salvaged-"
SALVAGE_RECORDS: Final = 1_000
SALVAGE_BYTES: Final = 4 * 1024 * 1024
_COLUMNS: Final = "sequence, topic, key, value, headers, size, checksum"

Numbered = tuple[int, Record]


class SpoolError(MirrorError):
    """The spool cannot be opened or written; the text names the folder and the reason."""


class SpoolBroken(SpoolError):
    """The database is damaged: `salvage` saves what is whole."""


class Spool:
    """The queue in one locked folder. One thread uses it at a time."""

    def __init__(self, folder: Path, limit: int) -> None:
        """Takes the folder, making it if need be.

        Raises `SpoolError` where it is another process' or not writable.
        """
        self.folder = folder
        self._limit = limit
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SpoolError(f"spool folder {folder}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise SpoolError(f"spool folder {folder} belongs to a running process") from error
        try:
            with self._explained():
                self._database, count, size = _open(folder / DATABASE)
        except SpoolError:
            os.close(self._lock)
            raise
        self.records: int = count
        self.bytes: int = size
        self._gone: int | None = None  # up to here delivered, though the disk could not forget it

    def put(self, records: Sequence[Numbered]) -> int:
        """Store as many as fit, in sequence; returns how many were stored.

        Raises `SpoolError` where the disk refuses; then none of them was stored.
        """
        rows = []
        size = 0
        for sequence, record in sorted(records, key=_sequence):
            headers = msgspec.msgpack.encode(record.headers)
            cost = len(record.value) + len(record.key or "") + len(headers) + ROW_OVERHEAD
            if self.bytes + size + cost > self._limit:
                break
            size += cost
            content = (record.topic, record.key, record.value, headers)
            rows.append((sequence, *content, cost, _checksum(sequence, *content)))
        if not rows:
            return 0
        with self._explained(), self._transaction() as database:
            self._forget_gone(database)
            database.executemany(
                f"INSERT OR REPLACE INTO records ({_COLUMNS}) VALUES (?,?,?,?,?,?,?)",  # noqa: S608  # a constant
                rows,
            )
        self.records += len(rows)
        self.bytes += size
        return len(rows)

    def head(self, most: int, most_bytes: int) -> list[Numbered]:
        """The first `most` records, or fewer of them: up to `most_bytes`, but at least one.

        Raises `SpoolBroken` where one of them is damaged.
        """
        found: list[Numbered] = []
        size = 0
        with self._explained():
            for numbered, cost in _read(self._database, self._gone):
                size += cost
                if found and size > most_bytes:
                    break
                found.append(numbered)
                if len(found) >= most:
                    break
        return found

    def remove(self, sequences: Sequence[int]) -> None:
        """Forget records that Kafka has: the first ones, as `head` gave them.

        Where the disk refuses, they are passed over until it does not; `SpoolBroken` is raised.
        """
        count = size = 0
        try:
            with self._explained(), self._transaction() as database:
                self._forget_gone(database)
                for sequence in sequences:
                    row = database.execute(
                        "DELETE FROM records WHERE sequence = ? RETURNING size", (sequence,)
                    ).fetchone()
                    if row is not None:
                        count += 1
                        size += row[0]
            self._gone = None
        except SpoolBroken:
            raise
        except SpoolError:
            count, size = self._pass_over(sequences)
        self.records -= count
        self.bytes -= size

    def _pass_over(self, sequences: Sequence[int]) -> tuple[int, int]:
        """Count as removed what the disk cannot forget now."""
        past, last = self._gone, max(sequences)
        with self._explained():
            count, size = self._database.execute(
                "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM records "
                "WHERE sequence <= ? AND sequence > ?",
                (last, _LEAST if past is None else past),
            ).fetchone()
        self._gone = last
        return count, size

    def _forget_gone(self, database: sqlite3.Connection) -> None:
        if self._gone is not None:
            database.execute("DELETE FROM records WHERE sequence <= ?", (self._gone,))

    def close(self) -> None:
        """Let go of the folder; an empty one is removed."""
        try:
            self._database.close()
            if self.records == 0:
                for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", LOCK):
                    (self.folder / name).unlink(missing_ok=True)
                self.folder.rmdir()
        except (OSError, sqlite3.Error) as error:
            raise SpoolError(f"spool folder {self.folder}: {error}") from error
        finally:
            os.close(self._lock)

    def abandon(self) -> None:
        """Let go of the folder, whatever state it is in."""
        try:
            self._database.close()
        finally:
            os.close(self._lock)

    def _transaction(self) -> _Transaction:
        return _Transaction(self._database)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """sqlite's errors as ours. What is no `OperationalError` is damage."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise SpoolError(f"spool folder {self.folder}: {error}") from error
        except (sqlite3.Error, msgspec.MsgspecError, _Damaged) as error:
            raise SpoolBroken(f"spool folder {self.folder}: {error}") from error


class _Damaged(Exception):
    """A record is not what was stored."""


def _text(column: bytes) -> str:
    """Text from the database. What is none is damage; sqlite3 takes it for a passing trouble."""
    try:
        return column.decode()
    except UnicodeDecodeError as error:
        raise _Damaged("a text is none") from error


class _Transaction:
    """Begin and commit, or roll back: sqlite3's own context manager never begins one."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> sqlite3.Connection:
        self._database.execute("BEGIN IMMEDIATE")
        return self._database

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if kind is None:
            try:
                self._database.execute("COMMIT")
                return
            except sqlite3.Error:
                self._roll_back()
                raise
        self._roll_back()

    def _roll_back(self) -> None:
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")


def _open(path: Path) -> tuple[sqlite3.Connection, int, int]:
    """The database, how many records it holds and their bytes."""
    database = sqlite3.connect(
        path,
        timeout=BUSY_TIMEOUT,
        isolation_level=None,
        # The loop's thread uses it, and when that has ended the one that stops the process.
        check_same_thread=False,
    )
    database.text_factory = _text
    try:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute(_SCHEMA)
        columns = [row[1] for row in database.execute("PRAGMA table_info(records)")]
        if "checksum" not in columns:  # of an earlier version
            database.execute("ALTER TABLE records ADD COLUMN checksum INTEGER")
        count, size = database.execute(
            "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM records"
        ).fetchone()
    except (sqlite3.Error, _Damaged):
        database.close()
        raise
    return database, count, size


def _sequence(numbered: Numbered) -> int:
    return numbered[0]


def _read(
    database: sqlite3.Connection, after: int | None, *, backwards: bool = False
) -> Iterator[tuple[Numbered, int]]:
    """Records with their size, in order. Raises what `Spool._explained` explains."""
    order = "DESC" if backwards else "ASC"
    cursor = database.execute(
        f"SELECT {_COLUMNS} FROM records WHERE sequence > ? ORDER BY sequence {order}",  # noqa: S608  # constants
        (_LEAST if after is None else after,),
    )
    try:
        for sequence, topic, key, value, headers, cost, checksum in cursor:
            columns = ((value, bytes), (headers, bytes), (cost, int))
            if not all(isinstance(column, kind) for column, kind in columns) or (
                checksum is not None and checksum != _checksum(sequence, topic, key, value, headers)
            ):
                raise _Damaged(f"record {sequence} is not what was stored")
            pairs: list[Header] = list(_headers.decode(headers))
            yield (sequence, Record(topic, key, value, pairs)), cost
    finally:
        cursor.close()


_headers = msgspec.msgpack.Decoder(list[tuple[str, str | None]])


def _checksum(sequence: int, topic: str, key: str | None, value: bytes, headers: bytes) -> int:
    checksum = zlib.crc32(f"{sequence}\x1f{topic}\x1f{key}".encode())
    return zlib.crc32(headers, zlib.crc32(value, checksum))


def salvage(folder: Path, limit: int) -> tuple[Spool | None, Path]:
    """Copy what is whole of a damaged spool to a fresh one, and set the damaged folder aside.

    Returns the fresh spool, None where nothing was whole, and where the damaged folder is now.
    Nobody may have it open. Damage in the middle does not hide what lies behind it: records are
    read from both ends. Raises `SpoolError` where the disk refuses; then nothing has changed.
    """
    fresh = Spool(_unused(folder, SALVAGED), limit)
    try:
        read: set[int] = set()
        for backwards in (False, True):
            _copy(folder / DATABASE, fresh, read, backwards=backwards)
    except SpoolError:
        fresh.abandon()
        for path in fresh.folder.iterdir():
            path.unlink()
        fresh.folder.rmdir()
        raise
    aside = _unused(folder, BROKEN)
    try:
        folder.rename(aside)
    except OSError as error:
        fresh.abandon()
        raise SpoolError(f"spool folder {folder}: {error.strerror}") from error
    if fresh.records:
        return fresh, aside
    fresh.close()
    return None, aside


def _copy(source: Path, target: Spool, read: set[int], *, backwards: bool) -> None:
    """Copy whole records until the first damage."""
    database = sqlite3.connect(source, timeout=BUSY_TIMEOUT, isolation_level=None)
    database.text_factory = _text
    batch: list[Numbered] = []
    size = 0
    try:
        for numbered, cost in _read(database, None, backwards=backwards):
            if numbered[0] in read:
                break  # the other end was here
            read.add(numbered[0])
            batch.append(numbered)
            size += cost
            if len(batch) >= SALVAGE_RECORDS or size >= SALVAGE_BYTES:
                target.put(batch)
                batch, size = [], 0
    except (sqlite3.Error, msgspec.MsgspecError, _Damaged):
        pass  # what lies before it is copied; the caller tells how much that is
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
    damaged: Callable[[Path, int], None] = lambda _aside, _saved: None,
) -> list[Spool]:
    """Spools in `directory` whose process is gone, locked for this one, oldest first.

    Empty ones are removed on the way. Of a damaged one what is whole is adopted; `damaged` is told
    where the rest was set aside, and how many records were saved. A folder that is another
    process', or that cannot be read now, is left alone.
    """
    adopted = []
    try:
        folders = [
            path
            for path in directory.iterdir()
            if BROKEN not in path.name and (path / DATABASE).exists()
        ]
        folders.sort(key=lambda path: (path / DATABASE).stat().st_mtime)
    except OSError:  # none there yet, or one vanished: the next look finds the rest
        return []
    for folder in folders:
        if folder == own:
            continue
        try:
            spool: Spool | None = Spool(folder, limit)
        except SpoolBroken:
            try:
                spool, aside = salvage(folder, limit)
            except SpoolError:
                continue  # the next look tries again
            damaged(aside, spool.records if spool else 0)
        except SpoolError:  # its owner lives, or it is not ours to read
            continue
        if spool is None:
            continue
        if spool.records:
            adopted.append(spool)
        else:
            spool.close()
    return adopted
