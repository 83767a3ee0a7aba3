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
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Sequence
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

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS records (
    sequence INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    key TEXT,
    value BLOB NOT NULL,
    headers BLOB NOT NULL,
    size INTEGER NOT NULL
)
"""

Numbered = tuple[int, Record]


class SpoolError(MirrorError):
    """The spool cannot be opened or written; the text names the folder and the reason."""


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
            self._database, count, size = _open(folder / DATABASE)
        except sqlite3.Error as error:
            os.close(self._lock)
            raise SpoolError(f"spool folder {folder}: {error}") from error
        self.records: int = count
        self.bytes: int = size
        self._headers = msgspec.msgpack.Decoder(list[tuple[str, str | None]])

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
            rows.append((sequence, record.topic, record.key, record.value, headers, cost))
        if not rows:
            return 0
        try:
            with self._transaction() as database:
                database.executemany("INSERT OR REPLACE INTO records VALUES (?,?,?,?,?,?)", rows)
        except sqlite3.Error as error:
            raise SpoolError(f"spool folder {self.folder}: {error}") from error
        self.records += len(rows)
        self.bytes += size
        return len(rows)

    def head(self, most: int, most_bytes: int) -> list[Numbered]:
        """The first `most` records, or fewer of them: up to `most_bytes`, but at least one."""
        found: list[Numbered] = []
        size = 0
        cursor = self._database.execute(
            "SELECT sequence, topic, key, value, headers, size FROM records ORDER BY sequence"
        )
        for sequence, topic, key, value, headers, cost in cursor:
            size += cost
            if found and size > most_bytes:
                break
            pairs: list[Header] = list(self._headers.decode(headers))
            found.append((sequence, Record(topic, key, value, pairs)))
            if len(found) >= most:
                break
        cursor.close()
        return found

    def remove(self, sequences: Iterable[int]) -> None:
        """Forget records that Kafka has. Raises `SpoolError` where the disk refuses."""
        count = size = 0
        try:
            with self._transaction() as database:
                for sequence in sequences:
                    row = database.execute(
                        "DELETE FROM records WHERE sequence = ? RETURNING size", (sequence,)
                    ).fetchone()
                    if row is not None:
                        count += 1
                        size += row[0]
        except sqlite3.Error as error:
            raise SpoolError(f"spool folder {self.folder}: {error}") from error
        self.records -= count
        self.bytes -= size

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

    def _transaction(self) -> _Transaction:
        return _Transaction(self._database)


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
    try:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute(_SCHEMA)
        count, size = database.execute(
            "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM records"
        ).fetchone()
    except sqlite3.Error:
        database.close()
        raise
    return database, count, size


def _sequence(numbered: Numbered) -> int:
    return numbered[0]


def adopt(directory: Path, limit: int, own: Path) -> list[Spool]:
    """Spools in `directory` whose process is gone, locked for this one, oldest first.

    Empty ones are removed on the way. A folder that cannot be read is left alone.
    """
    adopted = []
    try:
        folders = [path for path in directory.iterdir() if (path / DATABASE).exists()]
        folders.sort(key=lambda path: (path / DATABASE).stat().st_mtime)
    except OSError:  # none there yet, or one vanished: the next look finds the rest
        return []
    for folder in folders:
        if folder == own:
            continue
        try:
            spool = Spool(folder, limit)
        except SpoolError:  # its owner lives, or it is not ours to read
            continue
        if spool.records:
            adopted.append(spool)
        else:
            spool.close()
    return adopted
