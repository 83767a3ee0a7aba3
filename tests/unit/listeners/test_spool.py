"""The spool on disk: order, limit, locks, and what a kill leaves behind."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listeners.spool import DATABASE, Spool, SpoolError, adopt
from mirror.kafka.record import Record

LIMIT = 1 << 20


def record(value: bytes = b"v", key: str | None = "k") -> Record:
    """A record as small as need be."""
    return Record("topic", key, value, [("a", "b"), ("c", None)])


Open = Callable[..., Spool]


@pytest.fixture
def open_spool() -> Iterator[Open]:
    """Opens spools whose databases are closed after the test, as the end of a process does."""
    spools: list[Spool] = []

    def open_one(folder: Path, limit: int = LIMIT) -> Spool:
        spools.append(Spool(folder, limit))
        return spools[-1]

    yield open_one
    for spool in spools:
        spool._database.close()


def test_gives_back_what_was_put(tmp_path: Path, open_spool: Open) -> None:
    """Topic, key, value and headers survive, and so does a missing key."""
    spool = open_spool(tmp_path / "one")
    put = [(1, record(b"\x00\xff")), (2, record(b"", None))]
    assert spool.put(put) == 2
    assert spool.head(10, LIMIT) == put


def test_order_is_that_of_the_numbers(tmp_path: Path, open_spool: Open) -> None:
    """What was taken back from Kafka late still comes before what is newer."""
    spool = open_spool(tmp_path / "one")
    spool.put([(5, record()), (7, record())])
    spool.put([(6, record()), (2, record())])
    assert [number for number, _ in spool.head(10, LIMIT)] == [2, 5, 6, 7]


def test_head_is_bounded_by_count_and_bytes(tmp_path: Path, open_spool: Open) -> None:
    """A batch is small enough to send, and never empty while there is a record."""
    spool = open_spool(tmp_path / "one")
    spool.put([(number, record(bytes(1000))) for number in range(10)])
    assert len(spool.head(3, LIMIT)) == 3
    assert len(spool.head(10, 2500)) == 2
    assert len(spool.head(10, 1)) == 1


def test_counts_survive_removal_and_reopening(tmp_path: Path, open_spool: Open) -> None:
    """Records and bytes are those on disk, whoever counts."""
    spool = open_spool(tmp_path / "one")
    spool.put([(number, record(bytes(100))) for number in range(10)])
    whole = spool.bytes
    spool.remove([0, 1, 2, 99])
    assert spool.records == 7
    assert spool.bytes == whole * 7 // 10
    spool.close()
    again = open_spool(tmp_path / "one")
    assert (again.records, again.bytes) == (7, whole * 7 // 10)


def test_a_full_spool_keeps_the_oldest(tmp_path: Path, open_spool: Open) -> None:
    """The newest are refused and counted by the caller; after draining it takes again."""
    spool = open_spool(tmp_path / "one", 1000)
    stored = spool.put([(number, record(bytes(200))) for number in range(10)])
    assert 0 < stored < 10
    assert [number for number, _ in spool.head(99, LIMIT)] == list(range(stored))
    assert spool.put([(50, record(bytes(200)))]) == 0
    spool.remove([0])
    assert spool.put([(51, record(bytes(200)))]) == 1


def test_an_empty_spool_leaves_no_folder(tmp_path: Path, open_spool: Open) -> None:
    """A listener that ended well leaves nothing behind."""
    spool = open_spool(tmp_path / "one")
    spool.put([(1, record())])
    spool.remove([1])
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_has_one_owner(tmp_path: Path, open_spool: Open) -> None:
    """Two processes never share a subfolder, and a living owner's is not adopted."""
    spool = open_spool(tmp_path / "one")
    spool.put([(1, record())])
    with pytest.raises(SpoolError, match="belongs to a running process"):
        Spool(tmp_path / "one", LIMIT)
    assert adopt(tmp_path, LIMIT, tmp_path / "two") == []


_VICTIM = """
import os, sys
from pathlib import Path
from tempfile import TemporaryDirectory
from listeners.spool import Spool
from mirror.kafka.record import Record
spool = Spool(Path(sys.argv[1]), 1 << 20)
for number in range(100000):
    spool.put([(number, Record("topic", "k", b"%d" % number, []))])
    os.write(1, b"%d\\n" % number)
"""


def test_a_kill_loses_nothing_that_was_stored(tmp_path: Path) -> None:
    """What `put` returned for is there after SIGKILL, in order, adopted by the next process."""
    arguments = [sys.executable, "-c", _VICTIM, str(tmp_path / "dead")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        for _ in range(20):
            victim.stdout.readline()
        victim.kill()
        stored = 19 + len(victim.stdout.read().splitlines())
    (spool,) = adopt(tmp_path, LIMIT, tmp_path / "own")
    numbers = [number for number, _ in spool.head(100_000, LIMIT)]
    assert numbers[: stored + 1] == list(range(stored + 1))
    spool.close()
    assert len(numbers) - (stored + 1) in {0, 1}, "at most the one that was being told of"


def test_adoption_removes_empty_orphans(tmp_path: Path, open_spool: Open) -> None:
    """An orphan without records is just litter."""
    spool = open_spool(tmp_path / "dead")
    os.close(spool._lock)  # as the kernel does when a process dies
    assert adopt(tmp_path, LIMIT, tmp_path / "own") == []
    assert list(tmp_path.iterdir()) == []


def test_a_broken_database_is_an_error_of_one_line(tmp_path: Path) -> None:
    """Garbage in the file neither raises sqlite's own errors nor is adopted."""
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / DATABASE).write_bytes(b"not a database at all" * 100)
    with pytest.raises(SpoolError, match="bad"):
        Spool(folder, LIMIT)
    assert adopt(tmp_path, LIMIT, tmp_path / "own") == []


def test_a_refused_write_stores_nothing(tmp_path: Path, open_spool: Open) -> None:
    """All of a batch or none of it: the disk says no in the middle."""
    spool = open_spool(tmp_path / "one")
    spool.put([(1, record())])
    pages = spool._database.execute("PRAGMA page_count").fetchone()[0]
    spool._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(SpoolError, match="full"):
        spool.put([(number, record(bytes(5000))) for number in range(2, 50)])
    assert [number for number, _ in spool.head(99, LIMIT)] == [1]
    assert spool.records == 1


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 1))
def test_a_torn_log_is_a_prefix(share: float) -> None:
    """Cut SQLite's log at any byte: what is left is a prefix of the transactions, in order."""
    with TemporaryDirectory() as name:
        folder, torn = Path(name) / "whole", Path(name) / "torn"
        spool = Spool(folder, LIMIT)
        for number in range(8):
            spool.put([(2 * number, record(bytes(50))), (2 * number + 1, record(bytes(50)))])
        log = (folder / f"{DATABASE}-wal").read_bytes()
        torn.mkdir()
        (torn / DATABASE).write_bytes((folder / DATABASE).read_bytes())
        (torn / f"{DATABASE}-wal").write_bytes(log[: round(share * len(log))])
        spool.close()
        again = Spool(torn, LIMIT)
        numbers = [number for number, _ in again.head(99, LIMIT)]
        again.close()
    assert numbers == list(range(len(numbers)))
    assert len(numbers) % 2 == 0


def test_sqlite_is_new_enough() -> None:
    """`DELETE … RETURNING` needs SQLite 3.35."""
    assert sqlite3.sqlite_version_info >= (3, 35)
