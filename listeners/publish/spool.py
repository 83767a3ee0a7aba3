"""A bounded, ordered queue on disk (SQLite) for records that Kafka cannot take now.

A process owns one subfolder of `MIRROR_SPOOL_DIR`, held by an advisory lock for as long as the
process lives. `listeners.publish.salvage` finds subfolders whose owner is gone.

Promises:

- `put` returns when its records are on disk: one transaction with `synchronous=FULL`, so neither a
  kill nor a power cut loses stored records. The publisher puts batches, at most some twenty a
  second, so an fsync for each is affordable.
- Order is by sequence number, whatever the order in which records were put.
- Each lane (`listeners.publish.lanes`) is read by itself, in order, so no lane waits for another.
- The limit counts keys, values and headers. A full spool keeps the oldest records and refuses new
  ones. So the stored past is complete, and the loss is one interval that ends when Kafka is back.
  The listener reports no coverage for it, so it becomes a gap in the ledger and is back-filled.
- The second half of the limit is for one topic alone, `favoured`. So a topic that cannot be written
  for days leaves room for interactions. The dead letter of a stored record needs no room: it takes
  the place of that record, whose size is about the same.
- A full disk never blocks delivery: `remove` then only remembers, and such records are sent once
  more after a crash.
- Damaged records are never sent: each record carries a checksum. A damaged database raises
  `SpoolBroken`; `listeners.publish.salvage` saves the intact records.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from listeners.publish.extent import EXTENT, Lost, files_of, is_torn, open_extent
from listeners.publish.lanes import Lane, lane_of, places
from listeners.publish.rows import (
    COLUMNS,
    OF_LANE,
    ROW_OVERHEAD_BYTES,
    Damaged,
    Numbered,
    Transaction,
    by_sequence,
    checksum_of,
    count,
    delete,
    has,
    open_database,
    read_records,
)
from mirror.base.errors import MirrorError

DATABASE: Final = "spool.sqlite"
LOCK: Final = "lock"
OTHERS_SHARE: Final = 0.5  # of a limit: how full it may be when it takes records of other topics


class SpoolError(MirrorError):
    """The spool cannot be opened or written; the text names the folder and the reason."""


class SpoolBroken(SpoolError):
    """The database is damaged: `salvage` saves the intact records."""


class Spool:
    """The queue in one locked folder. One thread uses it at a time."""

    def __init__(self, folder: Path, limit: int, favoured: str = "") -> None:
        """Lock the folder; create it if necessary. `favoured`: as in `room_for`.

        Raises `SpoolError` if it belongs to another process or is not writable, and `SpoolBroken`
        if records or files are missing.
        """
        self.folder = folder
        self._limit = limit
        self._favoured = favoured
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
                if is_torn(folder / DATABASE):
                    raise SpoolBroken(f"spool folder {folder}: files are missing")
                self._database = open_database(folder / DATABASE)
                try:
                    self.lanes, self.bytes = count(self._database)
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
        self._gone: set[int] = set()  # delivered, but the disk could not delete them
        self.records = sum(self.lanes.values())
        if self.records and not self._extent.since_ms:  # of an earlier version
            self._extent.begin(round((folder / LOCK).stat().st_mtime * 1000), self.records)
        if self._extent.records > self.records:
            self.abandon()
            raise SpoolBroken(
                f"spool folder {folder}: {self._extent.records - self.records} records are missing"
            )

    def put(self, records: Sequence[Numbered]) -> list[Numbered]:
        """Store as many as fit, in sequence. Returns the records without room.

        Raises `SpoolError` if the disk refuses; then none was stored.
        """
        rows = []
        refused: list[Numbered] = []
        full: set[str] = set()  # topics; their newer records are refused too
        lanes: dict[Lane, int] = {}
        size = 0
        for numbered in sorted(records, key=by_sequence):
            sequence, record, place = numbered.sequence, numbered.record, numbered.place
            headers = msgspec.msgpack.encode(record.headers)
            cost = len(record.value) + len(record.key or "") + len(headers) + ROW_OVERHEAD_BYTES
            room = room_for(record.topic, self._favoured, self._limit)
            fits = record.topic not in full and self.bytes + size + cost <= room
            if not fits and not numbered.takes_place:
                full.add(record.topic)
                refused.append(numbered)
                continue
            size += cost
            content = (record.topic, record.key, record.value, headers)
            rows.append((sequence, *content, cost, checksum_of(sequence, *content), place))
            lanes[numbered.lane] = lanes.get(numbered.lane, 0) + 1
        if not rows:
            return refused
        self.check()
        with self._explained(), self._transaction() as database:
            forgotten = delete(database, self._gone)
            database.executemany(
                f"INSERT OR REPLACE INTO records ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?)",  # noqa: S608  # a constant
                rows,
            )
        self._gone.clear()
        for lane, many in lanes.items():
            self.lanes[lane] = self.lanes.get(lane, 0) + many
        self.records += len(rows)
        self.bytes += size - forgotten
        self._extent.put(self.records)
        self.check()
        return refused

    def head(self, lane: Lane, after: int, most: int, most_bytes: int) -> list[Numbered]:
        """A lane's first records after number `after`: at most `most` and `most_bytes`, at least
        one.

        Raises `SpoolBroken` if one of them is damaged.
        """
        found: list[Numbered] = []
        size = 0
        with self._explained():
            arguments = (lane.topic, lane.place, after)
            for numbered, cost in read_records(self._database, OF_LANE, arguments):
                if numbered.sequence in self._gone:
                    continue
                size += cost
                if found and size > most_bytes:
                    break
                found.append(numbered)
                if len(found) >= most:
                    break
        return found

    def stored(self, sequences: Collection[int]) -> list[int]:
        """Those of the sequence numbers that have a record here."""
        with self._explained():
            return [
                sequence
                for sequence in sequences
                if sequence not in self._gone and has(self._database, sequence)
            ]

    def remove(self, delivered: Mapping[Lane, Sequence[int]]) -> None:
        """Forget records that Kafka has, by lane.

        It does not wait for the disk: after a power cut some may be sent once more. If the disk
        refuses, the records are skipped until it works again. Raises `SpoolBroken`.
        """
        self.check()
        many = sum(map(len, delivered.values()))
        gone = self._gone.union(*delivered.values())
        self._extent.removed(self.records - many)  # first: a crash here makes it too low
        try:
            with self._explained():
                self._database.execute("PRAGMA synchronous=NORMAL")
                try:
                    with self._transaction() as database:
                        size = delete(database, gone)
                finally:
                    self._database.execute("PRAGMA synchronous=FULL")
            self.bytes -= size
            self._gone.clear()
        except SpoolBroken:
            raise
        except SpoolError:
            self._gone = gone
        self.records -= many
        for lane, sequences in delivered.items():
            take_of(self.lanes, lane, len(sequences))

    def check(self) -> None:
        """Raise `SpoolBroken` if a file was truncated or removed: SQLite never shortens a file,
        and might not notice for hours."""
        path = self.folder / DATABASE
        try:
            sizes = (path.stat().st_size, path.with_name(f"{DATABASE}-wal").stat().st_size)
        except OSError as error:
            raise SpoolBroken(f"spool folder {self.folder}: {error.strerror}") from error
        if any(now < before for now, before in zip(sizes, self._sizes, strict=True)):
            raise SpoolBroken(f"spool folder {self.folder}: a file was cut")
        self._sizes = sizes

    def repartition(self, topic: str, partitions: int, most: int) -> bool:
        """Move up to `most` records of a topic to the lanes for `partitions`. Returns whether all
        are moved.

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
                take_of(self.lanes, Lane(topic, place), 1)
                self.lanes[lane] = self.lanes.get(lane, 0) + 1
        return len(rows) < most

    def close(self) -> None:
        """Unlock the folder; remove it if it is empty."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        self._extent.close()
        try:
            self._database.close()
            if self.records == 0:
                # The extent after the database: it says that the database was empty.
                for path in files_of(self.folder / DATABASE):
                    path.unlink(missing_ok=True)
                for name in (EXTENT, LOCK):
                    (self.folder / name).unlink(missing_ok=True)
                self.folder.rmdir()
        except (OSError, sqlite3.Error) as error:
            raise SpoolError(f"spool folder {self.folder}: {error}") from error
        finally:
            os.close(lock)

    def abandon(self) -> None:
        """Unlock the folder in any state. Safe to repeat."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        self._extent.close()
        try:
            self._database.close()
        finally:
            os.close(lock)

    def inherit(self, lost: Lost) -> None:
        """Note that the records were saved from a damaged spool, with the times of that spool."""
        self._extent.inherit(lost, self.records)

    def _transaction(self) -> Transaction:
        return Transaction(self._database)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn sqlite's errors into ours. All but `OperationalError` mean damage. So does a message
        that is no text, because it quotes the file."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise SpoolError(f"spool folder {self.folder}: {error}") from error
        except (sqlite3.Error, msgspec.MsgspecError, UnicodeDecodeError, Damaged) as error:
            raise SpoolBroken(f"spool folder {self.folder}: {error}") from error


def room_for(topic: str, favoured: str, limit: int) -> float:
    """How full a place with this limit may be when it takes a record of `topic`.

    The favoured topic may fill the place. So may all topics if none is favoured.
    """
    return limit if not favoured or topic == favoured else OTHERS_SHARE * limit


def take_of(lanes: dict[Lane, int], lane: Lane, count: int) -> None:
    """Subtract `count` records from a lane; remove the lane at zero."""
    left = lanes.get(lane, 0) - count
    if left > 0:
        lanes[lane] = left
    else:
        lanes.pop(lane, None)
