"""Where records wait on disk while Kafka cannot take them: a bounded, ordered queue over SQLite.

A process owns one subfolder of `MIRROR_SPOOL_DIR`, held by an advisory lock for as long as the
process lives. `listeners.publish.salvage` finds subfolders whose owner is gone.

Promises
- `put` returns when its records are on disk: one transaction with `synchronous=FULL`, so that
  neither a kill nor a power cut takes back what was stored. The publisher puts in batches, at most
  some twenty a second, which is what makes an fsync for each affordable.
- Order is by sequence number, whatever the order in which records were put.
- Lanes (`listeners.publish.lanes`) are read each by itself, in order, so that none waits for
  another.
- The limit counts keys, values and headers. A full spool keeps the oldest and refuses the newest:
  what is stored stays a whole past, what is missing is one interval that ends when Kafka is back,
  and the listener reports no coverage for it, so that it becomes a gap in the ledger and is
  back-filled.
- A full disk never holds up what was delivered: `remove` then only remembers, and such records are
  sent once more after a crash.
- What cannot be trusted is not sent: each record carries a checksum. A damaged database is
  `SpoolBroken`; `listeners.publish.salvage` saves what is whole.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from listeners.publish.extent import EXTENT, Lost, open_extent
from listeners.publish.lanes import Lane, lane_of, places
from mirror.base.errors import MirrorError
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
    size INTEGER NOT NULL,
    checksum INTEGER,
    place INTEGER NOT NULL DEFAULT 0
)
"""
_INDEX: Final = (
    "CREATE INDEX IF NOT EXISTS records_by_lane ON records (topic, place, sequence, size)"
)
_COLUMNS: Final = "sequence, topic, key, value, headers, size, checksum, place"


class Numbered(msgspec.Struct, frozen=True, gc=False):
    """A record, its sequence number and the place of its lane."""

    sequence: int
    record: Record
    place: int = 0

    @property
    def lane(self) -> Lane:
        """Where it waits."""
        return Lane(self.record.topic, self.place)


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
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SpoolError(f"spool folder {folder}: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise SpoolError(f"spool folder {folder} belongs to a running process") from error
        try:
            with self._explained():
                self._database = _open(folder / DATABASE)
                try:
                    self.lanes, self.bytes = _count(self._database)
                    self._extent = open_extent(folder)
                except BaseException:
                    self._database.close()
                    raise
        except SpoolError:
            os.close(lock)
            raise
        except OSError as error:
            os.close(lock)
            raise SpoolError(f"spool folder {folder}: {error.strerror}") from error
        self._lock: int | None = lock
        self._sizes = (0, 0)
        self._gone: set[int] = set()  # delivered, though the disk could not forget them
        self.records = sum(self.lanes.values())
        if self.records and not self._extent.since_ms:  # of an earlier version
            self._extent.begin(round((folder / LOCK).stat().st_mtime * 1000), self.records)
        if self._extent.records > self.records:
            self.abandon()
            raise SpoolBroken(
                f"spool folder {folder}: {self._extent.records - self.records} records are missing"
            )

    def put(self, records: Sequence[Numbered]) -> int:
        """Store as many as fit, in sequence; returns how many were stored.

        Raises `SpoolError` where the disk refuses; then none of them was stored.
        """
        rows = []
        lanes: dict[Lane, int] = {}
        size = 0
        for numbered in sorted(records, key=by_sequence):
            sequence, record, place = numbered.sequence, numbered.record, numbered.place
            headers = msgspec.msgpack.encode(record.headers)
            cost = len(record.value) + len(record.key or "") + len(headers) + ROW_OVERHEAD
            if self.bytes + size + cost > self._limit:
                break
            size += cost
            content = (record.topic, record.key, record.value, headers)
            rows.append((sequence, *content, cost, _checksum(sequence, *content), place))
            lanes[numbered.lane] = lanes.get(numbered.lane, 0) + 1
        if not rows:
            return 0
        self.check()
        with self._explained(), self._transaction() as database:
            forgotten = _delete(database, self._gone)
            database.executemany(
                f"INSERT OR REPLACE INTO records ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)",  # noqa: S608  # a constant
                rows,
            )
        self._gone.clear()
        for lane, count in lanes.items():
            self.lanes[lane] = self.lanes.get(lane, 0) + count
        self.records += len(rows)
        self.bytes += size - forgotten
        self._extent.put(self.records)
        self.check()
        return len(rows)

    def head(self, lane: Lane, after: int, most: int, most_bytes: int) -> list[Numbered]:
        """A lane's first `most` records behind `after`, or fewer: up to `most_bytes`, at least one.

        Raises `SpoolBroken` where one of them is damaged.
        """
        found: list[Numbered] = []
        size = 0
        with self._explained():
            where = (lane.topic, lane.place, after)
            for numbered, cost in read_records(self._database, _OF_LANE, where):
                if numbered.sequence in self._gone:
                    continue
                size += cost
                if found and size > most_bytes:
                    break
                found.append(numbered)
                if len(found) >= most:
                    break
        return found

    def remove(self, delivered: Mapping[Lane, Sequence[int]]) -> None:
        """Forget records that Kafka has, by lane.

        It does not wait for the disk: after a power cut some may be sent once more. Where the disk
        refuses, they are passed over until it does not; `SpoolBroken` is raised.
        """
        self.check()
        count = sum(map(len, delivered.values()))
        gone = self._gone.union(*delivered.values())
        self._extent.removed(self.records - count)  # before: should we die here, it says too few
        try:
            with self._explained():
                self._database.execute("PRAGMA synchronous=NORMAL")
                try:
                    with self._transaction() as database:
                        size = _delete(database, gone)
                finally:
                    self._database.execute("PRAGMA synchronous=FULL")
            self.bytes -= size
            self._gone.clear()
        except SpoolBroken:
            raise
        except SpoolError:
            self._gone = gone
        self.records -= count
        for lane, sequences in delivered.items():
            _take(self.lanes, lane, len(sequences))

    def check(self) -> None:
        """Raises `SpoolBroken` where somebody cut or took away a file: SQLite never makes one
        shorter, and may not look for hours."""
        path = self.folder / DATABASE
        try:
            sizes = (path.stat().st_size, path.with_name(f"{DATABASE}-wal").stat().st_size)
        except OSError as error:
            raise SpoolBroken(f"spool folder {self.folder}: {error.strerror}") from error
        if any(now < before for now, before in zip(sizes, self._sizes, strict=True)):
            raise SpoolBroken(f"spool folder {self.folder}: a file was cut")
        self._sizes = sizes

    def replace(self, topic: str, partitions: int, most: int) -> bool:
        """Put up to `most` records of a topic in the lanes of so many partitions; whether all are.

        Raises `SpoolError`.
        """
        first, end = places(partitions)
        with self._explained(), self._transaction() as database:
            rows = database.execute(
                "SELECT sequence, key, place FROM records "
                "WHERE topic = ? AND (place < ? OR place >= ?) LIMIT ?",
                (topic, first, end, most),
            ).fetchall()
            moved = [
                (lane_of(topic, key, sequence, partitions), sequence) for sequence, key, _ in rows
            ]
            database.executemany(
                "UPDATE records SET place = ? WHERE sequence = ?",
                [(lane.place, sequence) for lane, sequence in moved],
            )
        for (lane, sequence), (_, _, place) in zip(moved, rows, strict=True):
            if sequence not in self._gone:
                _take(self.lanes, Lane(topic, place), 1)
                self.lanes[lane] = self.lanes.get(lane, 0) + 1
        return len(rows) < most

    def close(self) -> None:
        """Let go of the folder; an empty one is removed."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        self._extent.close()
        try:
            self._database.close()
            if self.records == 0:
                for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", EXTENT, LOCK):
                    (self.folder / name).unlink(missing_ok=True)
                self.folder.rmdir()
        except (OSError, sqlite3.Error) as error:
            raise SpoolError(f"spool folder {self.folder}: {error}") from error
        finally:
            os.close(lock)

    def abandon(self) -> None:
        """Let go of the folder, whatever state it is in. Safe to repeat."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        self._extent.close()
        try:
            self._database.close()
        finally:
            os.close(lock)

    def inherit(self, lost: Lost) -> None:
        """What is in here was saved from a spool that lost some: it is as old as that was."""
        self._extent.inherit(lost, self.records)

    def _transaction(self) -> _Transaction:
        return _Transaction(self._database)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """sqlite's errors as ours. What is no `OperationalError` is damage; so is a message that is
        no text, for it quotes the file."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise SpoolError(f"spool folder {self.folder}: {error}") from error
        except (sqlite3.Error, msgspec.MsgspecError, UnicodeDecodeError, Damaged) as error:
            raise SpoolBroken(f"spool folder {self.folder}: {error}") from error


class Damaged(Exception):
    """A record is not what was stored."""


def as_text(column: bytes) -> str:
    """Text from the database. What is none is damage; sqlite3 takes it for a passing trouble."""
    try:
        return column.decode()
    except UnicodeDecodeError as error:
        raise Damaged("a text is none") from error


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


def _open(path: Path) -> sqlite3.Connection:
    """The database, brought to this version's form."""
    database = sqlite3.connect(
        path,
        timeout=BUSY_TIMEOUT,
        isolation_level=None,
        # The loop's thread uses it, and when that has ended the one that stops the process.
        check_same_thread=False,
    )
    database.text_factory = as_text
    try:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute(_SCHEMA)
        columns = [row[1] for row in database.execute("PRAGMA table_info(records)")]
        if "checksum" not in columns:  # of an earlier version
            database.execute("ALTER TABLE records ADD COLUMN checksum INTEGER")
        if "place" not in columns:
            database.execute("ALTER TABLE records ADD COLUMN place INTEGER NOT NULL DEFAULT 0")
        database.execute(_INDEX)
    except (sqlite3.Error, UnicodeDecodeError, Damaged):
        database.close()
        raise
    return database


def _count(database: sqlite3.Connection) -> tuple[dict[Lane, int], int]:
    """How many records wait in each lane, and the bytes of all. It reads the index alone."""
    lanes: dict[Lane, int] = {}
    size = 0
    for topic, place, count, cost in database.execute(
        "SELECT topic, place, COUNT(*), SUM(size) FROM records GROUP BY topic, place"
    ):
        if not isinstance(topic, str) or not isinstance(place, int) or not isinstance(cost, int):
            raise Damaged("the index is not what was stored")
        lanes[Lane(topic, place)] = count
        size += cost
    return lanes, size


def _delete(database: sqlite3.Connection, sequences: Iterable[int]) -> int:
    """Delete records; how many bytes they had."""
    rows = (
        row
        for sequence in sequences
        for row in database.execute(
            "DELETE FROM records WHERE sequence = ? RETURNING size", (sequence,)
        ).fetchall()
    )
    return sum(row[0] for row in rows)


def _take(lanes: dict[Lane, int], lane: Lane, count: int) -> None:
    left = lanes.get(lane, 0) - count
    if left > 0:
        lanes[lane] = left
    else:
        lanes.pop(lane, None)


def by_sequence(numbered: Numbered) -> int:
    """A key to sort by."""
    return numbered.sequence


_OF_LANE: Final = "WHERE topic = ? AND place = ? AND sequence > ? ORDER BY sequence"
FORWARDS: Final = "NOT INDEXED ORDER BY sequence"
BACKWARDS: Final = "NOT INDEXED ORDER BY sequence DESC"


def read_records(
    database: sqlite3.Connection, which: str, arguments: Sequence[str | int] = ()
) -> Iterator[tuple[Numbered, int]]:
    """Records with their size, in order. Raises what `Spool._explained` explains."""
    cursor = database.execute(f"SELECT {_COLUMNS} FROM records {which}", arguments)  # noqa: S608  # constants
    try:
        for sequence, topic, key, value, headers, cost, checksum, place in cursor:
            columns = ((value, bytes), (headers, bytes), (cost, int), (place, int))
            if not all(isinstance(column, kind) for column, kind in columns) or (
                checksum is not None and checksum != _checksum(sequence, topic, key, value, headers)
            ):
                raise Damaged(f"record {sequence} is not what was stored")
            record = Record(topic, key, value, _pairs(headers))
            yield Numbered(sequence, record, place), cost
    finally:
        cursor.close()


_headers = msgspec.msgpack.Decoder(list[tuple[str, Any]])


def _pairs(content: bytes) -> list[Header]:
    """The headers of a record: their values are text, bytes or nothing."""
    try:
        pairs: list[Header] = list(_headers.decode(content))
    except UnicodeDecodeError as error:
        raise Damaged("a header is no text") from error
    if not all(value is None or isinstance(value, str | bytes) for _, value in pairs):
        raise Damaged("a header is not what was stored")
    return pairs


def _checksum(sequence: int, topic: str, key: str | None, value: bytes, headers: bytes) -> int:
    checksum = zlib.crc32(f"{sequence}\x1f{topic}\x1f{key}".encode())
    return zlib.crc32(headers, zlib.crc32(value, checksum))
