"""The spool on disk: order, limit, locks, and what a kill leaves behind."""

from __future__ import annotations

import itertools
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listeners.publish.extent import EXTENT, Lost, wall_ms
from listeners.publish.lanes import Lane, lane_of
from listeners.publish.rows import Numbered
from listeners.publish.salvage import Salvage, adopt, losses, salvage
from listeners.publish.spool import DATABASE, Spool, SpoolBroken, SpoolError
from mirror.kafka.record import Header, Record

LIMIT = 1 << 20
NOBODY = 65_534  # a user with few rights


def record(value: bytes = b"v", key: str | None = "k") -> Record:
    """A record as small as need be."""
    return Record("topic", key, value, [("a", "b"), ("c", None)])


LANE = Lane("topic")


def put(spool: Spool, *numbered: tuple[int, Record]) -> int:
    """Store records under their numbers, in the lane without a partition."""
    return len(numbered) - len(spool.put([Numbered(*one) for one in numbered]))


def head(spool: Spool, most: int = 1_000_000, size: int = LIMIT * 100) -> list[tuple[int, Record]]:
    """The first records of that lane."""
    found = spool.head(LANE, -1, most, size)
    return [(numbered.sequence, numbered.record) for numbered in found]


def remove(spool: Spool, *numbers: int) -> None:
    """Forget records of that lane."""
    spool.remove({LANE: numbers})


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
    records = [(1, record(b"\x00\xff")), (2, record(b"", None))]
    assert put(spool, *records) == 2
    assert head(spool) == records


def test_a_header_of_bytes_is_given_back(tmp_path: Path, open_spool: Open) -> None:
    """The id of a schema is no text; the kinds of headers do not mix."""
    spool = open_spool(tmp_path / "one")
    headers: list[Header] = [("__value_schema_id", b"\x01\xff\x00"), ("text", "x"), ("none", None)]
    put(spool, (1, Record("topic", "k", b"v", headers)))
    assert head(spool)[0][1].headers == headers


def test_order_is_that_of_the_numbers(tmp_path: Path, open_spool: Open) -> None:
    """What was taken back from Kafka late still comes before what is newer."""
    spool = open_spool(tmp_path / "one")
    put(spool, (5, record()), (7, record()))
    put(spool, (6, record()), (2, record()))
    assert [number for number, _ in head(spool, 10, LIMIT)] == [2, 5, 6, 7]


def test_head_is_bounded_by_count_and_bytes(tmp_path: Path, open_spool: Open) -> None:
    """A batch is small enough to send, and never empty while there is a record."""
    spool = open_spool(tmp_path / "one")
    put(spool, *[(number, record(bytes(1000))) for number in range(10)])
    assert len(head(spool, 3, LIMIT)) == 3
    assert len(head(spool, 10, 2500)) == 2
    assert len(head(spool, 10, 1)) == 1


def test_counts_survive_removal_and_reopening(tmp_path: Path, open_spool: Open) -> None:
    """Records and bytes are those on disk, whoever counts."""
    spool = open_spool(tmp_path / "one")
    put(spool, *[(number, record(bytes(100))) for number in range(10)])
    whole = spool.bytes
    remove(spool, 0, 1, 2)
    assert spool.records == 7
    assert spool.bytes == whole * 7 // 10
    spool.close()
    again = open_spool(tmp_path / "one")
    assert (again.records, again.bytes) == (7, whole * 7 // 10)


def test_a_full_spool_keeps_the_oldest(tmp_path: Path, open_spool: Open) -> None:
    """The newest are refused and counted by the caller; after draining it takes again."""
    spool = open_spool(tmp_path / "one", 1000)
    stored = put(spool, *[(number, record(bytes(200))) for number in range(10)])
    assert 0 < stored < 10
    assert [number for number, _ in head(spool, 99, LIMIT)] == list(range(stored))
    assert put(spool, (50, record(bytes(200)))) == 0
    remove(spool, 0)
    assert put(spool, (51, record(bytes(200)))) == 1


def of_topic(topic: str, *numbers: int) -> list[Numbered]:
    """Records of 200 bytes of a topic."""
    return [Numbered(number, Record(topic, "k", bytes(200), [])) for number in numbers]


def test_other_topics_leave_room_for_the_favoured_one(tmp_path: Path) -> None:
    """They fill half, in whatever order records come, and after the process has started again."""
    folder = tmp_path / "one"
    spool = Spool(folder, LIMIT // 100, "events")
    refused = spool.put([*of_topic("agents", *range(0, 200, 2)), *of_topic("events", 151)])
    assert {numbered.record.topic for numbered in refused} == {"agents"}
    assert LIMIT // 200 - 300 < spool.bytes < LIMIT // 200 + 300
    assert spool.put(of_topic("letters", 300))
    spool.close()
    again = Spool(folder, LIMIT // 100, "events")
    assert again.put(of_topic("agents", 400))
    assert not again.put(of_topic("events", *range(500, 515)))
    assert again.put(of_topic("events", *range(600, 700)))
    assert LIMIT // 100 - 300 < again.bytes <= LIMIT // 100
    again.close()


def test_one_record_without_room_keeps_newer_ones_of_its_topic_out(tmp_path: Path) -> None:
    """What a topic lost is its newest, and not a large record between two small ones."""
    spool = Spool(tmp_path / "one", 2000, "events")
    large = Numbered(2, Record("events", "k", bytes(3000), []))
    first, last, other = of_topic("events", 1)[0], of_topic("events", 3)[0], of_topic("x", 4)[0]
    assert spool.put([other, last, large, first]) == [large, last]
    spool.close()


def test_a_damaged_spool_keeps_the_records_of_all_topics(tmp_path: Path) -> None:
    """What is on disk already is saved: a reserve there would be a loss."""
    spool = Spool(tmp_path / "dead", LIMIT // 100)
    assert not spool.put([*of_topic("agents", *range(35)), *of_topic("events", 50, 51)])
    spool._database.execute("UPDATE records SET value = x'00' WHERE sequence = 50")
    spool.abandon()
    found = salvage(tmp_path / "dead", LIMIT // 100)
    assert found.spool is not None
    assert found.spool.records == 36
    found.spool.close()


def test_an_empty_spool_leaves_no_folder(tmp_path: Path, open_spool: Open) -> None:
    """A listener that ended well leaves nothing behind."""
    spool = open_spool(tmp_path / "one")
    put(spool, (1, record()))
    remove(spool, 1)
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_has_one_owner(tmp_path: Path, open_spool: Open) -> None:
    """Two processes never share a subfolder, and a living owner's is not adopted."""
    spool = open_spool(tmp_path / "one")
    put(spool, (1, record()))
    with pytest.raises(SpoolError, match="belongs to a running process"):
        Spool(tmp_path / "one", LIMIT)
    assert adopt(tmp_path, LIMIT, tmp_path / "two") == []


_VICTIM = """
import os, sys
from pathlib import Path
from tempfile import TemporaryDirectory
from listeners.publish.rows import Numbered
from listeners.publish.spool import Spool
from mirror.kafka.record import Header, Record
spool = Spool(Path(sys.argv[1]), 1 << 20)
for number in range(100000):
    spool.put([Numbered(number, Record("topic", "k", b"%d" % number, []))])
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
    numbers = [number for number, _ in head(spool, 100_000, LIMIT)]
    assert numbers[: stored + 1] == list(range(stored + 1))
    spool.close()
    assert len(numbers) - (stored + 1) in {0, 1}, "at most the one that was being told of"


def test_adoption_removes_empty_orphans(tmp_path: Path, open_spool: Open) -> None:
    """An orphan without records is just litter."""
    spool = open_spool(tmp_path / "dead")
    assert spool._lock is not None
    os.close(spool._lock)  # as the kernel does when a process dies
    assert adopt(tmp_path, LIMIT, tmp_path / "own") == []
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def shared() -> Iterator[Path]:
    """A spool directory of a user without rights on the files of others, such as root's."""
    with TemporaryDirectory() as name:
        folder, me = Path(name), os.geteuid()
        folder.chmod(0o777)
        (folder / "lost+found").mkdir(mode=0o700 if me == 0 else 0)
        try:
            if me == 0:
                os.seteuid(NOBODY)
            yield folder
        finally:
            os.seteuid(me)
            (folder / "lost+found").chmod(0o700)


def test_a_folder_that_cannot_be_read_stops_no_adoption(shared: Path) -> None:
    """A disk of its own has `lost+found`, which only root may read."""
    put(spool := Spool(shared / "dead", LIMIT), (1, record()))
    spool.abandon()
    (adopted,) = adopt(shared, LIMIT, shared / "own")
    assert head(adopted) == [(1, record())]
    adopted.close()


def test_an_orphan_with_other_files_is_left(tmp_path: Path) -> None:
    """NFS keeps a deleted file that is open under another name: the folder cannot be removed."""
    Spool(tmp_path / "dead", LIMIT).abandon()
    (tmp_path / "dead" / ".nfs01").touch()
    assert adopt(tmp_path, LIMIT, tmp_path / "own") == []


def test_a_damaged_orphan_waits_for_the_disk(tmp_path: Path) -> None:
    """The loss cannot be noted: nothing has changed, and the next look tries again."""
    folder = tmp_path / "dead"
    stored(folder, 3)
    (folder / DATABASE).write_bytes(b"")
    (folder / "lost").mkdir()
    assert adopt(tmp_path, LIMIT, tmp_path / "own") == []
    assert [path.name for path in tmp_path.iterdir()] == ["dead"]
    (folder / "lost").rmdir()
    assert adopt(tmp_path, LIMIT, tmp_path / "own") == []
    (lost,) = losses(tmp_path)
    assert lost.records == 3


def test_a_broken_database_is_an_error_of_one_line(tmp_path: Path) -> None:
    """Garbage in the file does not raise sqlite's own errors."""
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / DATABASE).write_bytes(b"not a database at all" * 100)
    with pytest.raises(SpoolBroken, match="bad"):
        Spool(folder, LIMIT)


def test_a_refused_write_stores_nothing(tmp_path: Path, open_spool: Open) -> None:
    """All of a batch or none of it: the disk says no in the middle."""
    spool = open_spool(tmp_path / "one")
    put(spool, (1, record()))
    pages = spool._database.execute("PRAGMA page_count").fetchone()[0]
    spool._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(SpoolError, match="full"):
        put(spool, *[(number, record(bytes(5000))) for number in range(2, 50)])
    assert [number for number, _ in head(spool, 99, LIMIT)] == [1]
    assert spool.records == 1


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 1))
def test_a_torn_log_is_a_prefix(share: float) -> None:
    """Cut SQLite's log at any byte: what is left is a prefix of the transactions, in order."""
    with TemporaryDirectory() as name:
        folder, torn = Path(name) / "whole", Path(name) / "torn"
        spool = Spool(folder, LIMIT)
        for number in range(8):
            put(spool, (2 * number, record(bytes(50))), (2 * number + 1, record(bytes(50))))
        log = (folder / f"{DATABASE}-wal").read_bytes()
        torn.mkdir()
        (torn / DATABASE).write_bytes((folder / DATABASE).read_bytes())
        (torn / f"{DATABASE}-wal").write_bytes(log[: round(share * len(log))])
        spool.close()
        again = Spool(torn, LIMIT)
        numbers = [number for number, _ in head(again, 99, LIMIT)]
        again.close()
    assert numbers == list(range(len(numbers)))
    assert len(numbers) % 2 == 0


def test_sqlite_is_new_enough() -> None:
    """`DELETE … RETURNING` needs SQLite 3.35."""
    assert sqlite3.sqlite_version_info >= (3, 35)


def stored(folder: Path, count: int) -> dict[int, Record]:
    """A closed spool of `count` records in that folder, and what is in it."""
    records = {number: record(bytes([number % 256]) * 200) for number in range(count)}
    spool = Spool(folder, LIMIT)
    put(spool, *records.items())
    spool.close()
    return records


def rescued(directory: Path) -> tuple[dict[int, Record], list[str]]:
    """What the next process on the host finds in all spools, and the folders set aside."""
    aside: list[str] = []
    found: dict[int, Record] = {}
    for spool in adopt(
        directory, LIMIT, directory / "own", lambda result: aside.append(result.aside.name)
    ):
        try:
            found.update(head(spool))
            spool.close()
        except SpoolBroken:
            spool.abandon()
            result = salvage(spool.folder, LIMIT)
            aside.append(result.aside.name)
            if result.spool is not None:
                found.update(head(result.spool))
                result.spool.close()
    return found, aside


def test_a_damaged_spool_is_set_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    """One bad page in the middle: what lies before and behind it is saved, and is unaltered."""
    records = stored(tmp_path / "dead", 400)
    database = tmp_path / "dead" / DATABASE
    content = bytearray(database.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    database.write_bytes(content)
    found, aside = rescued(tmp_path)
    assert aside == ["dead.broken-1"]
    assert (tmp_path / "dead.broken-1" / DATABASE).read_bytes()[:16] == b"SQLite format 3\0"
    assert {number: records[number] for number in found} == found
    assert min(found) == 0
    assert max(found) == 399
    assert 300 < len(found) < 400


def test_what_was_set_aside_is_not_adopted_again(tmp_path: Path) -> None:
    """It is there for a person; each look by a process passes it by."""
    (tmp_path / "dead").mkdir()
    (tmp_path / "dead" / DATABASE).write_bytes(b"not a database at all" * 100)
    assert rescued(tmp_path) == ({}, ["dead.broken-1"])
    assert rescued(tmp_path) == ({}, [])
    assert [path.name for path in tmp_path.iterdir()] == ["dead.broken-1"]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["", "-wal"]), st.floats(0, 1), st.binary(min_size=1, max_size=40))
def test_flipped_bytes_are_never_sent(file: str, share: float, junk: bytes) -> None:
    """Write junk anywhere in database or log: what comes back is as it was stored, or not there."""
    with TemporaryDirectory() as name:
        spool = Spool(Path(name) / "whole", LIMIT)
        records = {number: record(bytes([number]) * 300) for number in range(30)}
        for numbered in records.items():
            put(spool, numbered)
        if not file:
            spool._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (dead := Path(name) / "spools" / "dead").mkdir(parents=True)
        for file_name in (DATABASE, f"{DATABASE}-wal"):
            (dead / file_name).write_bytes((Path(name) / "whole" / file_name).read_bytes())
        content = bytearray((dead / f"{DATABASE}{file}").read_bytes())
        place = round(share * (len(content) - len(junk)))
        content[place : place + len(junk)] = junk
        (dead / f"{DATABASE}{file}").write_bytes(content)
        found, _ = rescued(dead.parent)
        spool.abandon()
    assert {number: records.get(number) for number in found} == found


@pytest.mark.parametrize(
    "column", ["key = CAST(x'80' AS TEXT)", "value = 'text'", "headers = 'text'", "size = x'80'"]
)
def test_a_column_of_another_kind_is_damage(tmp_path: Path, column: str) -> None:
    """It is no passing trouble, which would hold up all that is behind it."""
    spool = Spool(tmp_path / "dead", LIMIT)
    put(spool, *[(number, record()) for number in range(3)])
    spool._database.execute(f"UPDATE records SET {column} WHERE sequence = 1")
    with pytest.raises(SpoolBroken):
        head(spool, 10, LIMIT)
    spool.abandon()
    assert rescued(tmp_path)[0] == {0: record(), 2: record()}


def test_a_topic_of_another_kind_is_damage(tmp_path: Path) -> None:
    """The record is in no lane then; whoever opens the spool next finds it."""
    spool = Spool(tmp_path / "dead", LIMIT)
    put(spool, *[(number, record()) for number in range(3)])
    spool._database.execute("UPDATE records SET topic = CAST(x'80' AS TEXT) WHERE sequence = 1")
    assert [number for number, _ in head(spool)] == [0, 2]
    spool.abandon()
    assert rescued(tmp_path) == ({0: record(), 2: record()}, ["dead.broken-1"])


def test_a_full_disk_does_not_hold_up_what_was_delivered(tmp_path: Path, open_spool: Open) -> None:
    """The disk cannot forget: such records are passed over, and forgotten when it can."""
    spool = open_spool(tmp_path / "one")
    put(spool, *[(number, record()) for number in range(6)])
    spool._database.execute("PRAGMA query_only = ON")  # as a full disk: reading goes on
    remove(spool, 0, 1, 2)
    assert [number for number, _ in head(spool, 99, LIMIT)] == [3, 4, 5]
    remove(spool, 3)
    assert (spool.records, [number for number, _ in head(spool, 99, LIMIT)]) == (2, [4, 5])
    spool._database.execute("PRAGMA query_only = OFF")
    put(spool, (7, record()))
    spool.close()
    again = open_spool(tmp_path / "one")
    assert [number for number, _ in head(again, 99, LIMIT)] == [4, 5, 7]


def test_a_spool_of_an_earlier_version_is_read(tmp_path: Path, open_spool: Open) -> None:
    """Without checksums; what is added has them."""
    (tmp_path / "old").mkdir()
    with closing(sqlite3.connect(tmp_path / "old" / DATABASE)) as database:
        database.execute(
            "CREATE TABLE records (sequence INTEGER PRIMARY KEY, topic TEXT NOT NULL, key TEXT, "
            "value BLOB NOT NULL, headers BLOB NOT NULL, size INTEGER NOT NULL)"
        )
        database.execute("INSERT INTO records VALUES (1, 't', 'k', x'61', x'90', 40)")
        database.commit()
    spool = open_spool(tmp_path / "old")
    put(spool, (2, record()))
    assert head(spool) == [(2, record())]
    (old,) = spool.head(Lane("t"), -1, 9, LIMIT)
    assert old == Numbered(1, Record("t", "k", b"a", []))


_WORKER = """
import sys
from pathlib import Path
from listeners.publish.lanes import Lane
from listeners.publish.rows import Numbered
from listeners.publish.spool import Spool
from mirror.kafka.record import Header, Record
spool = Spool(Path(sys.argv[1]), 1 << 30)
for number in range(0, 100000, 5):
    spool.put([Numbered(n, Record("topic", "k", b"%d" % n, [])) for n in range(number, number + 5)])
    print("put", number + 4, flush=True)
    if number % 15 == 10:
        gone = [one.sequence for one in spool.head(Lane("topic"), -1, 4, 1 << 20)]
        print("removing", gone[-1], flush=True)
        spool.remove({Lane("topic"): gone})
        print("removed", gone[-1], flush=True)
"""


@pytest.mark.parametrize("lines", [1, 7, 30, 101, 202])
def test_a_kill_at_any_point_keeps_what_was_stored(tmp_path: Path, lines: int) -> None:
    """Between putting and removing: what was stored is there in order, what was removed is not."""
    arguments = [sys.executable, "-c", _WORKER, str(tmp_path / "dead")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        said = [victim.stdout.readline() for _ in range(lines)]
        victim.kill()
        said += victim.stdout.readlines()
    last = dict.fromkeys(("put", "removing", "removed"), -1)
    for line in said:
        if line.endswith("\n"):
            word, number = line.split()
            last[word] = int(number)
    (spool,) = adopt(tmp_path, LIMIT, tmp_path / "own")
    numbers = [number for number, _ in head(spool, 1_000_000, LIMIT * 100)]
    spool.close()
    assert numbers == list(range(numbers[0], numbers[-1] + 1)), "no hole, in order"
    assert numbers[0] in {last["removed"] + 1, last["removing"] + 1, last["removed"] + 5}
    assert numbers[-1] - last["put"] in {0, 5}, "at most the batch that was being told of"


def test_lanes_are_read_each_by_itself(tmp_path: Path, open_spool: Open) -> None:
    """What waits for one partition is not in the way of the others, and is counted apart."""
    spool = open_spool(tmp_path / "one")
    lanes = {number: lane_of("topic", f"k{number % 7}", number, 4) for number in range(40)}
    spool.put([Numbered(n, record(key=f"k{n % 7}"), lane.place) for n, lane in lanes.items()])
    for lane in set(lanes.values()):
        numbers = [number for number, place in lanes.items() if place == lane]
        assert spool.lanes[lane] == len(numbers)
        assert [numbered.sequence for numbered in spool.head(lane, -1, 99, LIMIT)] == numbers
        assert [
            numbered.sequence for numbered in spool.head(lane, numbers[1], 2, LIMIT)
        ] == numbers[2:4]
        spool.remove({lane: numbers})
        assert lane not in spool.lanes
    assert (spool.records, spool.bytes) == (0, 0)


def test_a_topic_that_grows_gets_other_lanes(tmp_path: Path, open_spool: Open) -> None:
    """Some records at a time; a spool of which the partitions were not known likewise."""
    spool = open_spool(tmp_path / "one")
    put(spool, *[(number, record(key=f"k{number % 7}")) for number in range(25)])
    assert [spool.repartition("topic", 4, 10) for _ in range(3)] == [False, False, True]
    assert spool.repartition("topic", 6, 100)
    wanted = {number: lane_of("topic", f"k{number % 7}", number, 6) for number in range(25)}
    found = {
        numbered.sequence: numbered.lane
        for lane in spool.lanes
        for numbered in spool.head(lane, -1, 99, LIMIT)
    }
    assert found == wanted
    assert sum(spool.lanes.values()) == 25


def damaged(directory: Path) -> tuple[list[Spool], list[Salvage]]:
    """What the next process adopts, and what it is told of damage."""
    told: list[Salvage] = []
    return adopt(directory, LIMIT, directory / "own", told.append), told


@pytest.mark.parametrize("left", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("name", [DATABASE, f"{DATABASE}-wal"])
def test_what_a_truncated_spool_lost_is_an_interval(tmp_path: Path, name: str, left: float) -> None:
    """Database or log cut, the database whole thereafter or not: how many and from when is known,
    until a gap is filed for it."""
    before = wall_ms()
    spool = Spool(tmp_path / "dead", LIMIT)
    if name == DATABASE:
        put(spool, *[(number, record(bytes(500))) for number in range(100)])
        spool._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    else:
        for number in range(100):
            put(spool, (number, record(bytes(500))))
    copy = tmp_path / "spools" / "dead"
    copy.mkdir(parents=True)
    for file in (DATABASE, f"{DATABASE}-wal", EXTENT):
        (copy / file).write_bytes((tmp_path / "dead" / file).read_bytes())
    spool.close()
    size = (copy / name).stat().st_size
    os.truncate(copy / name, int(size * left))
    adopted, told = damaged(copy.parent)
    saved = sum(spool.records for spool in adopted)
    (result,) = told
    assert result.lost is not None
    assert result.lost.records == 100 - saved > 0
    assert (saved > 0) == (left > 0), "what is whole is saved"
    assert result.lost.from_ms < before <= wall_ms() < result.lost.to_ms + 1_000
    assert losses(copy.parent) == [result.lost]
    for inherited in adopted:
        inherited.close()


FILES = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", EXTENT)


@pytest.mark.parametrize("many", [0, 1_000], ids=["empty", "full"])
@pytest.mark.parametrize(
    "gone",
    [names for count in range(len(FILES)) for names in itertools.combinations(FILES, count + 1)],
    ids="+".join,
)
def test_a_spool_without_some_of_its_files_is_no_silent_loss(
    tmp_path: Path, gone: tuple[str, ...], many: int
) -> None:
    """Whichever files of a killed process are removed: all records are adopted, or a gap is due.
    Only a folder with no file at all has nothing to show."""
    before = wall_ms()
    spool = Spool(tmp_path / "dead", LIMIT)
    put(spool, *[(number, record(bytes(200))) for number in range(many)])
    copy = tmp_path / "spools" / "dead"
    copy.mkdir(parents=True)
    for name in {*FILES, "lock"} - set(gone):
        (copy / name).write_bytes((tmp_path / "dead" / name).read_bytes())
    spool.close()
    adopted, told = damaged(copy.parent)
    saved = sum(spool.records for spool in adopted)
    for inherited in adopted:
        inherited.close()
    if len(gone) == len(FILES):
        assert (saved, told) == (0, [])
    elif many and saved < many:
        (lost,) = losses(copy.parent)
        assert lost.records in {many - saved, None}
        assert lost.from_ms < before <= wall_ms() < lost.to_ms + 1_000
        assert [result.lost for result in told] == [lost]
    elif EXTENT not in gone:
        assert told == [], "no false alarm"
        assert list(copy.parent.iterdir()) == ([copy] if many else [])
    if not many or saved < many:
        assert damaged(copy.parent) == ([], []), "told once"


@pytest.mark.parametrize("many", [0, 10])
def test_a_stopped_process_leaves_no_torn_spool(tmp_path: Path, many: int) -> None:
    """Stopped or given up, with records or without: the next process finds nothing missing."""
    for name, end in (("closed", Spool.close), ("abandoned", Spool.abandon)):
        spool = Spool(tmp_path / name, LIMIT)
        put(spool, *[(number, record()) for number in range(many)])
        end(spool)
    adopted, told = damaged(tmp_path)
    assert (sum(spool.records for spool in adopted), told) == (2 * many, [])
    for inherited in adopted:
        inherited.close()


def test_a_spool_without_its_extent_lost_an_unknown_number(tmp_path: Path) -> None:
    """The interval is then that of the files."""
    stored(tmp_path / "dead", 50)
    (tmp_path / "dead" / EXTENT).unlink()
    (tmp_path / "dead" / DATABASE).write_bytes(b"junk" * 100)
    _, told = damaged(tmp_path)
    lost = told[0].lost
    assert lost is not None
    assert lost.records is None
    assert lost.from_ms < wall_ms() < lost.to_ms


def test_a_killed_process_gives_no_false_alarm(tmp_path: Path) -> None:
    """Put, removed, put again: the extent never claims more than there is."""
    spool = Spool(tmp_path / "dead", LIMIT)
    put(spool, *[(number, record()) for number in range(10)])
    remove(spool, *range(10))
    put(spool, *[(number, record()) for number in range(10, 15)])
    spool.abandon()
    adopted, told = damaged(tmp_path)
    assert ([inherited.records for inherited in adopted], told) == ([5], [])
    adopted[0].close()


def test_a_loss_after_a_loss_reaches_as_far_back(tmp_path: Path) -> None:
    """What was saved once and is damaged again is as old as it was."""
    stored(tmp_path / "dead", 400)
    os.truncate(tmp_path / "dead" / DATABASE, 80_000)
    (first,), (told,) = damaged(tmp_path)
    assert told.lost is not None
    first.abandon()
    os.truncate(first.folder / DATABASE, 0)
    for end in ("-wal", "-shm"):
        (first.folder / f"{DATABASE}{end}").unlink(missing_ok=True)
    _, (again,) = damaged(tmp_path)
    assert isinstance(again.lost, Lost)
    assert again.lost.from_ms <= told.lost.from_ms
    assert len(losses(tmp_path)) == 2
