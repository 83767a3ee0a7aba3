"""Opens a spool's database; counts, reads, deletes and checks its rows.

Each record carries a checksum, so that a damaged record is never taken for the stored one.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from listeners.publish.lanes import Lane
from mirror.kafka.record import Header, Record

BUSY_TIMEOUT_SECONDS: Final = 5.0
# The overhead of SQLite's row and of its key in the index.
ROW_OVERHEAD_BYTES: Final = 32
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
COLUMNS: Final = "sequence, topic, key, value, headers, size, checksum, place"


class Numbered(msgspec.Struct, frozen=True, gc=False):
    """A record, its sequence number and the place of its lane.

    `takes_place`: it is the dead letter of a stored record, which is removed next.
    """

    sequence: int
    record: Record
    place: int = 0
    takes_place: bool = False

    @property
    def lane(self) -> Lane:
        """The record's lane."""
        return Lane(self.record.topic, self.place)


class Damaged(Exception):
    """A record differs from the stored one."""


def as_text(column: bytes) -> str:
    """Text from the database. Invalid text is damage; sqlite3 would report a temporary error."""
    try:
        return column.decode()
    except UnicodeDecodeError as error:
        raise Damaged("a text is not UTF-8") from error


class Transaction:
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


def is_of_earlier_version(path: Path) -> bool:
    """Whether the database is of a version that had no extent yet. Changes no file.

    Raises `sqlite3.OperationalError` if it cannot be read now.
    """
    if not path.exists():
        return False
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(address, uri=True)) as database:
        database.text_factory = as_text
        try:
            columns = [row[1] for row in database.execute("PRAGMA table_info(records)")]
        except sqlite3.OperationalError:
            raise
        except (sqlite3.Error, UnicodeDecodeError, Damaged):
            return False
    return bool(columns) and "place" not in columns


def open_database(path: Path) -> sqlite3.Connection:
    """The database, brought to this version's form."""
    database = sqlite3.connect(
        path,
        timeout=BUSY_TIMEOUT_SECONDS,
        isolation_level=None,
        # The process opens it at its start; the spool's thread uses it. If that thread crashed, the
        # thread that stops the process closes it.
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


def count(database: sqlite3.Connection) -> tuple[dict[Lane, int], int]:
    """Lane → waiting records, and the bytes of all. Reads only the index."""
    lanes: dict[Lane, int] = {}
    size = 0
    for topic, place, records, cost in database.execute(
        "SELECT topic, place, COUNT(*), SUM(size) FROM records GROUP BY topic, place"
    ):
        if not isinstance(topic, str) or not isinstance(place, int) or not isinstance(cost, int):
            raise Damaged("the index is not what was stored")
        lanes[Lane(topic, place)] = records
        size += cost
    return lanes, size


def delete(database: sqlite3.Connection, sequences: Iterable[int]) -> int:
    """Delete records. Returns their size in bytes."""
    rows = (
        row
        for sequence in sequences
        for row in database.execute(
            "DELETE FROM records WHERE sequence = ? RETURNING size", (sequence,)
        ).fetchall()
    )
    return sum(row[0] for row in rows)


def has(database: sqlite3.Connection, sequence: int) -> bool:
    """Whether there is a record with this number."""
    found = database.execute("SELECT 1 FROM records WHERE sequence = ?", (sequence,))
    return found.fetchone() is not None


def by_sequence(numbered: Numbered) -> int:
    """The sort key: the sequence number."""
    return numbered.sequence


OF_LANE: Final = "WHERE topic = ? AND place = ? AND sequence > ? ORDER BY sequence"
FORWARDS: Final = "NOT INDEXED ORDER BY sequence"
BACKWARDS: Final = "NOT INDEXED ORDER BY sequence DESC"


def read_records(
    database: sqlite3.Connection, condition: str, arguments: Sequence[str | int] = ()
) -> Iterator[tuple[Numbered, int]]:
    """Records with their size, in order. Raises errors that `Spool` explains."""
    cursor = database.execute(f"SELECT {COLUMNS} FROM records {condition}", arguments)  # noqa: S608  # constants
    try:
        for sequence, topic, key, value, headers, cost, checksum, place in cursor:
            columns = ((value, bytes), (headers, bytes), (cost, int), (place, int))
            if not all(isinstance(column, kind) for column, kind in columns) or (
                checksum is not None
                and checksum != checksum_of(sequence, topic, key, value, headers)
            ):
                raise Damaged(f"record {sequence} is not what was stored")
            record = Record(topic, key, value, _pairs(headers))
            yield Numbered(sequence, record, place), cost
    finally:
        cursor.close()


_headers = msgspec.msgpack.Decoder(list[tuple[str, Any]])


def _pairs(content: bytes) -> list[Header]:
    """The headers of a record: values are text, bytes or None."""
    try:
        pairs: list[Header] = list(_headers.decode(content))
    except UnicodeDecodeError as error:
        raise Damaged("a header is not a text") from error
    if not all(value is None or isinstance(value, str | bytes) for _, value in pairs):
        raise Damaged("a header is not what was stored")
    return pairs


def checksum_of(sequence: int, topic: str, key: str | None, value: bytes, headers: bytes) -> int:
    """The checksum over all parts of a record."""
    checksum = zlib.crc32(f"{sequence}\x1f{topic}\x1f{key}".encode())
    return zlib.crc32(headers, zlib.crc32(value, checksum))
