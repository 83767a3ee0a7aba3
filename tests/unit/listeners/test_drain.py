"""How the store is emptied, lane by lane. Kafka is a list; the integration tests have brokers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, Producer

from listeners.counters import Counters
from listeners.publish.drain import PAUSE_MOST_SECONDS, RENEW_AFTER_SECONDS, TRIAL_RECORDS, Drain
from listeners.publish.lanes import STALL_SECONDS, Lane, lane_of
from listeners.publish.line import PAUSE_FIRST_SECONDS
from listeners.publish.rows import Numbered
from listeners.publish.spool import Spool, SpoolError
from listeners.publish.store import ADOPT_EVERY_SECONDS, ASK_EVERY_SECONDS, Store
from mirror.kafka.partition import Partitions
from mirror.kafka.record import Record
from mirror.settings import load
from tests.unit.listeners.brokers import error

PARTITIONS = 4
TOPIC = "topic"


class Brokers:
    """Takes what a producer is given, and answers at the next poll.

    `frozen`: (topic, partition) that never answers; `refusing`: topic → why it takes nothing;
    `bad`: values that no broker takes, and with them their batch.
    """

    def __init__(self) -> None:
        self.log: list[tuple[str, int]] = []
        self.tries: list[int] = []
        self.frozen: set[tuple[str, int]] = set()
        self.refusing: dict[str, KafkaError] = {}
        self.bad: set[int] = set()
        self.purged = 0
        self._given: list[tuple[str, int, int, Callable[..., None]]] = []

    def produce(
        self,
        topic: str,
        value: bytes,
        key: str,
        partition: int = -1,
        *,
        on_delivery: Callable[..., Any],
        headers: Any,
    ) -> None:
        """As confluent-kafka's."""
        assert (key, headers) == (str(int(value) % 10), [])
        self.tries.append(int(value))
        self._given.append((topic, partition, int(value), on_delivery))

    def poll(self, _seconds: float) -> None:
        """Serve the delivery reports; what comes together for a partition is a batch."""
        given, self._given = self._given, []
        for topic, partition, number, report in given:
            batch = {n for t, p, n, _ in given if (t, p) == (topic, partition)}
            if (topic, partition) in self.frozen:
                self._given.append((topic, partition, number, report))
            elif topic in self.refusing:
                report(self.refusing[topic], None)
            elif batch & self.bad:
                alone = "MSG_SIZE_TOO_LARGE" if number in self.bad else "_INVALID_DIFFERENT_RECORD"
                report(error(alone), None)
            else:
                self.log.append((topic, number))
                report(None, None)

    def purge(self, **_how: bool) -> None:
        """As confluent-kafka's."""
        self.purged += 1
        given, self._given = self._given, []
        for *_, report in given:
            report(error("_PURGE_INFLIGHT"), None)

    def __len__(self) -> int:
        return len(self._given)

    @property
    def numbers(self) -> list[int]:
        """What came, in order."""
        return [number for _, number in self.log]


class Scene:
    """A store, a drain and brokers, with a clock turned by the test."""

    def __init__(self, folder: Path, spool_limit: str = "64MiB") -> None:
        self.counters = Counters()
        settings = load(
            {
                "MIRROR_SPOOL_DIR": str(folder),
                "MIRROR_SPOOL_LIMIT": spool_limit,
                "MIRROR_TOPIC": TOPIC,
            }
        )
        self.store = Store(settings, "listener-1", self.counters, 0.0)
        self.brokers = Brokers()
        self.buried: list[tuple[int, str]] = []
        self.now = 0.0
        self.made = 0
        self.can_make = True
        self.partitions = Partitions({TOPIC: PARTITIONS, "letters": 1})
        self.store.placed.update(self.partitions)
        self.drain = Drain(self.store, self._make, self._dead_letter, self.partitions)

    def _make(self, _now: float, _statistics: object) -> Producer | None:
        self.made += 1
        return cast("Producer", self.brokers) if self.can_make else None

    def _dead_letter(self, record: Record, reason: KafkaError) -> bool:
        number = 1000 + int(record.value)
        letter = Record("letters", str(number % 10), str(number).encode(), [])
        if not self.store.replace(number, letter, self.now):
            return False
        self.buried.append((int(record.value), reason.name()))
        return True

    def lane(self, sequence: int, topic: str = TOPIC) -> Lane:
        """Where a record goes: keys are `0` … `9`."""
        return lane_of(topic, str(sequence % 10), sequence, self.partitions.get(topic, 0))

    def keep(self, *sequences: int, topic: str = TOPIC) -> None:
        """Hand in records whose values are their numbers."""
        for sequence in sequences:
            record = Record(topic, str(sequence % 10), str(sequence).encode(), [])
            self.store.keep(sequence, record, self.lane(sequence, topic), self.now)

    def turn(self, seconds: float = 0.1) -> None:
        """Let time pass."""
        self.now += seconds
        self.store.tick(self.now)
        self.drain.step(self.now, may_send=True)

    def thread_watch(self, seconds: float, step: float = 0.1) -> None:
        """Let much time pass."""
        for _ in range(round(seconds / step)):
            self.turn(step)

    def until_empty(self) -> None:
        """Drain all."""
        for _ in range(2_000):
            if not self.store.waiting:
                return
            self.turn()
        raise AssertionError(f"still there: {self.store.waiting}, {self.drain.problems()}")

    def by_lane(self, numbers: list[int]) -> dict[Lane, list[int]]:
        """The numbers of each lane, in their order."""
        found: dict[Lane, list[int]] = {}
        for number in numbers:
            found.setdefault(self.lane(number), []).append(number)
        return found


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A scene with an empty store."""
    found = Scene(tmp_path)
    yield found
    found.store.close()


@contextmanager
def refusing(_store: Store) -> Iterator[None]:
    """The disk is full meanwhile."""

    def put(_self: Spool, _records: object) -> list[Numbered]:
        raise SpoolError("the disk is full")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Spool, "put", put)
        yield


def test_each_lane_is_emptied_in_order_and_once(scene: Scene) -> None:
    """Thousands of records over several lanes, some coming while it drains."""
    scene.keep(*range(1, 3_001))
    scene.thread_watch(0.3)
    scene.keep(*range(3_001, 4_001))
    scene.until_empty()
    numbers = scene.brokers.numbers
    assert sorted(numbers) == list(range(1, 4_001))
    assert all(found == sorted(found) for found in scene.by_lane(numbers).values())
    assert scene.brokers.tries == numbers, "nothing was sent twice"
    assert scene.drain.delivered == 4_000


def test_what_was_taken_back_last_goes_first(scene: Scene) -> None:
    """Reports of failure come in any order: the oldest may be stored behind newer ones."""
    scene.keep(15, 35)
    scene.store.commit(0.0)
    scene.keep(5, 25)
    scene.store.commit(0.0)
    scene.until_empty()
    assert scene.brokers.numbers == [5, 15, 25, 35]


@pytest.mark.parametrize("name", ["TOPIC_AUTHORIZATION_FAILED", "_UNKNOWN_TOPIC", "UNKNOWN"])
def test_a_topic_that_cannot_be_written_waits_by_itself(scene: Scene, name: str) -> None:
    """Dead letters may not be written: events go on, are sent once, and letters are tried again
    with growing pauses until they can."""
    scene.brokers.refusing["letters"] = error(name)
    scene.keep(*range(501, 504), topic="letters")
    scene.keep(*range(1, 201))
    scene.thread_watch(60.0)
    assert {lane.topic for lane in scene.store.waiting} == {"letters"}
    assert sorted(scene.brokers.numbers) == list(range(1, 201))
    tries = [number for number in scene.brokers.tries if number > 500]
    assert 60.0 / PAUSE_MOST_SECONDS <= len(tries) / 3 <= 60.0 / PAUSE_MOST_SECONDS + 6
    (problem,) = scene.drain.problems()
    assert problem.topic == "letters"
    assert name in problem.text
    del scene.brokers.refusing["letters"]
    scene.thread_watch(PAUSE_MOST_SECONDS + 0.5)
    assert scene.store.waiting == {}
    assert scene.brokers.numbers[-3:] == [501, 502, 503]
    assert scene.drain.problems() == []


def test_a_frozen_partition_waits_by_itself(scene: Scene) -> None:
    """The others go on; it has few records in flight, is named, and goes on where it stood."""
    frozen = scene.lane(1)
    scene.brokers.frozen.add((TOPIC, frozen.partition))
    scene.keep(*range(1, 1_001))
    scene.thread_watch(STALL_SECONDS + 1.0)
    mine = scene.by_lane(list(range(1, 1_001)))[frozen]
    assert scene.store.waiting == {frozen: len(mine)}
    assert len(scene.brokers) == TRIAL_RECORDS
    (problem,) = scene.drain.problems()
    assert (problem.topic, problem.partition) == (TOPIC, frozen.partition)
    scene.brokers.frozen.clear()
    scene.until_empty()
    assert scene.brokers.numbers[-len(mine) :] == mine
    assert scene.brokers.tries.count(mine[0]) == 1
    assert scene.brokers.purged == 0


def test_a_producer_that_moves_nothing_is_replaced(scene: Scene) -> None:
    """After `RENEW_AFTER_SECONDS`, should it be librdkafka's fault; order stays."""
    scene.brokers.frozen |= {(TOPIC, number) for number in range(PARTITIONS)}
    scene.keep(*range(1, 101))
    scene.thread_watch(RENEW_AFTER_SECONDS + 1.0)
    assert (scene.brokers.purged, scene.made) == (1, 2)
    scene.brokers.frozen.clear()
    scene.until_empty()
    assert all(found == sorted(found) for found in scene.by_lane(scene.brokers.numbers).values())
    assert sorted(scene.brokers.numbers) == list(range(1, 101))


def test_a_record_that_is_refused_costs_itself_alone(scene: Scene) -> None:
    """Its batch is sent again one by one; a dead letter takes its place; each other one came once
    and in order."""
    scene.brokers.bad.add(31)
    scene.keep(*range(1, 61))
    scene.until_empty()
    assert scene.buried == [(31, "MSG_SIZE_TOO_LARGE")]
    events = [number for topic, number in scene.brokers.log if topic == TOPIC]
    assert sorted(events) == [number for number in range(1, 61) if number != 31]
    assert all(found == sorted(found) for found in scene.by_lane(events).values())
    assert [number for topic, number in scene.brokers.log if topic == "letters"] == [1031]


def test_the_dead_letter_is_stored_before_its_record_goes(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between the two leaves one of them at least (I9)."""
    scene.brokers.bad.add(1)
    scene.keep(1)
    seen: list[dict[Lane, int]] = []
    remove = scene.store.remove

    def watched(*arguments: Any) -> None:
        seen.append(dict(scene.store._own.lanes))
        remove(*arguments)

    monkeypatch.setattr(scene.store, "remove", watched)
    scene.until_empty()
    assert seen[0] == {scene.lane(1): 1, scene.lane(1001, "letters"): 1}


def test_a_producer_that_lost_its_place_is_replaced(scene: Scene) -> None:
    """By a fault of its own nothing is lost."""
    scene.brokers.refusing[TOPIC] = error("OUT_OF_ORDER_SEQUENCE_NUMBER")
    scene.keep(*range(1, 11))
    scene.thread_watch(0.2)
    scene.brokers.refusing.clear()
    scene.thread_watch(PAUSE_FIRST_SECONDS + 0.5)
    assert scene.made == 2
    assert sorted(scene.brokers.numbers) == list(range(1, 11))


def test_without_a_producer_records_wait(scene: Scene) -> None:
    """One that cannot be made now is asked for again."""
    scene.can_make = False
    scene.keep(1, 2)
    scene.thread_watch(1.0)
    assert scene.brokers.tries == []
    scene.can_make = True
    scene.until_empty()
    assert sorted(scene.brokers.numbers) == [1, 2]


@pytest.mark.parametrize("most", [1, 2, 99])
def test_what_waits_in_memory_is_merged_with_the_disk(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """The oldest wait in memory, for the disk refuses, while newer are on it."""
    scene.keep(15, 35)
    scene.store.commit(0.0)
    with refusing(scene.store):
        scene.keep(5, 25, 45)
        scene.store.commit(0.0)
        monkeypatch.setattr("listeners.publish.drain.TRIAL_RECORDS", most)
        monkeypatch.setattr("listeners.publish.drain.WINDOW_RECORDS", most)
        scene.until_empty()
    assert scene.brokers.numbers == [5, 15, 25, 35, 45]


def test_what_waited_in_memory_goes_behind_the_disk(scene: Scene) -> None:
    """A disk that refused: first what it holds, then what memory held, also once it takes again."""
    scene.keep(5, 15)
    scene.store.commit(0.0)
    with refusing(scene.store):
        scene.keep(25, 35)
        scene.store.commit(0.0)
        scene.keep(45)
    scene.now = ASK_EVERY_SECONDS
    scene.until_empty()
    assert scene.brokers.numbers == [5, 15, 25, 35, 45]


def test_what_moves_from_memory_to_the_disk_in_flight_is_sent_once(scene: Scene) -> None:
    """The disk takes records again while Kafka is about to take them from memory: they leave the
    disk too."""
    frozen = (TOPIC, scene.lane(5).partition)
    with refusing(scene.store):
        scene.keep(5, 15)
        scene.store.commit(0.0)
        scene.brokers.frozen.add(frozen)
        scene.turn()
    scene.now = ASK_EVERY_SECONDS
    scene.turn()
    assert scene.store._own.records == 2
    scene.brokers.frozen.clear()
    scene.until_empty()
    scene.thread_watch(ADOPT_EVERY_SECONDS + 1.0, 1.0)
    assert scene.brokers.numbers == [5, 15]
    assert scene.store._own.records == 0


def test_a_record_without_room_that_was_in_flight_is_not_counted_on_disk(scene: Scene) -> None:
    """Else the spool would seem empty without the records that it has, and be removed."""
    scene.brokers.frozen |= {("letters", 0), (TOPIC, scene.lane(5).partition)}
    scene.keep(5)
    scene.store.commit(0.0)
    with refusing(scene.store):
        scene.keep(8, topic="letters")
        scene.store.commit(0.0)
        scene.turn()
    scene.now = ASK_EVERY_SECONDS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Spool, "put", lambda _self, records: list(records))  # no room
        scene.turn()
    assert scene.counters.lost == 1
    scene.brokers.frozen.discard(("letters", 0))
    scene.thread_watch(1.0)
    assert scene.brokers.log == [("letters", 8)]
    assert (scene.store._own.records, scene.store._own.stored([5])) == (1, [5])


def test_a_record_without_room_that_was_in_flight_may_be_refused(scene: Scene) -> None:
    """It is gone, and gets no dead letter; nor does the next record of its lane."""
    scene.brokers.bad.add(8)
    with refusing(scene.store):
        scene.keep(8, topic="letters")
        scene.store.commit(0.0)
        scene.turn()
        scene.turn()  # refused; now it is in flight alone
    scene.now = ASK_EVERY_SECONDS
    scene.brokers.frozen.add(("letters", 0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Spool, "put", lambda _self, records: list(records))  # no room
        scene.turn()
    scene.keep(9, topic="letters")
    scene.brokers.frozen.clear()
    scene.until_empty()
    assert scene.buried == []
    assert scene.brokers.log == [("letters", 9)]


def test_a_record_that_moves_to_the_disk_in_flight_may_be_refused(scene: Scene) -> None:
    """Its dead letter takes its place there."""
    scene.brokers.bad.add(5)
    with refusing(scene.store):
        scene.keep(5)
        scene.store.commit(0.0)
        scene.turn()
        scene.turn()  # refused; now it is in flight alone
    scene.now = ASK_EVERY_SECONDS
    scene.until_empty()
    assert scene.buried == [(5, "MSG_SIZE_TOO_LARGE")]
    assert scene.brokers.numbers == [1005]


def test_what_was_left_by_others_goes_first(scene: Scene, tmp_path: Path) -> None:
    """Two processes numbered their records alike; lane by lane the older spool is emptied first."""
    left = Spool(tmp_path / "dead", 1 << 20)
    for number in (5, 15, 7):
        record = Record(TOPIC, str(number % 10), str(100 + number).encode(), [])
        left.put([Numbered(number, record, scene.lane(number).place)])
    left.abandon()
    scene.keep(5, 15, 25)
    scene.until_empty()
    assert sorted(scene.brokers.numbers) == [5, 15, 25, 105, 107, 115]
    mine = [number for number in scene.brokers.numbers if number % 10 == 5]
    assert mine == [105, 115, 5, 15, 25]


def test_a_spool_found_damaged_is_replaced_by_what_is_whole(scene: Scene) -> None:
    """The rest arrives, later ones too."""
    scene.keep(*range(1, 101))
    scene.store.commit(0.0)
    scene.store._own._database.execute("UPDATE records SET value = x'00' WHERE sequence = 50")
    scene.until_empty()
    scene.keep(101)
    scene.until_empty()
    assert set(scene.brokers.numbers) == set(range(1, 102)) - {50}
    (lost,) = scene.store.losses
    assert lost.records == 1
    scene.store.settle(lost)
    assert scene.store.losses == []


def test_an_index_that_lost_records_is_damage(scene: Scene) -> None:
    """A lane that is counted and not found would wait for ever."""
    scene.keep(*range(1, 21))
    scene.store.commit(0.0)
    for counts in (scene.store._own.lanes, scene.store.waiting):
        counts[scene.lane(1)] += 3
    scene.until_empty()
    assert sorted(scene.brokers.numbers) == list(range(1, 21))
    assert scene.counters.spools_damaged == 1


def test_a_full_spool_that_is_drained_refuses_nothing_more(tmp_path: Path) -> None:
    """Nothing new comes here once Kafka is back, and what is received is covered all the same."""
    scene = Scene(tmp_path, spool_limit="64KiB")
    try:
        scene.brokers.frozen = {(TOPIC, number) for number in range(PARTITIONS)}
        scene.keep(*range(4_000))
        scene.turn()
        assert scene.counters.lost
        assert scene.store.refusing_since is not None
        scene.turn()
        assert scene.store.refusing_since is not None
        scene.brokers.frozen = set()
        scene.until_empty()
        scene.turn()
        assert scene.store.refusing_since is None
    finally:
        scene.store.close()


def fill_with_letters(scene: Scene) -> None:
    """Dead letters that cannot be written take all the room that they may."""
    scene.brokers.frozen = {("letters", 0)}
    scene.keep(*range(4_000), topic="letters")
    scene.turn()
    assert set(scene.store.refusing) == {"letters"}


def test_a_topic_that_cannot_be_written_costs_interactions_nothing(tmp_path: Path) -> None:
    """It fills its half in days. Then Kafka is away for a moment: all interactions are kept, and
    what is received stays covered."""
    scene = Scene(tmp_path, spool_limit="64KiB")
    try:
        fill_with_letters(scene)
        lost = scene.counters.lost
        scene.keep(*range(4_000, 4_200))
        scene.keep(*range(4_200, 4_300), topic="letters")
        scene.turn()
        assert scene.store.refusing_since is None
        assert scene.counters.lost == lost + 100
        assert scene.store.interactions_lost == 0
        for _ in range(50):
            scene.turn()
        assert sorted(scene.brokers.numbers) == list(range(4_000, 4_200))
        assert set(scene.store.refusing) == {"letters"}
    finally:
        scene.store.close()


def test_a_refused_interaction_becomes_a_dead_letter_however_full_the_spool_is(
    tmp_path: Path,
) -> None:
    """Kafka was away. The letter takes the place of the stored interaction."""
    scene = Scene(tmp_path, spool_limit="64KiB")
    try:
        everywhere = {(TOPIC, number) for number in range(PARTITIONS)}
        scene.brokers.frozen = {*everywhere, ("letters", 0)}
        scene.keep(*range(4_000))
        scene.turn()
        lost = scene.counters.lost
        assert lost
        scene.brokers.bad = {0, 1, 2}
        scene.brokers.frozen = {("letters", 0)}
        for _ in range(300):
            scene.turn()
        scene.brokers.frozen = set()
        scene.until_empty()
        assert scene.counters.lost == lost
        assert [number for topic, number in scene.brokers.log if topic == "letters"] == [
            1_000,
            1_001,
            1_002,
        ]
    finally:
        scene.store.close()


def test_a_refused_interaction_stays_while_its_dead_letter_has_no_place(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the disk nor memory takes the letter."""
    scene.keep(5, 15)
    scene.store.commit(scene.now)
    scene.brokers.bad = {5}
    with refusing(scene.store), monkeypatch.context() as patch:
        patch.setattr("listeners.publish.held.HELD_RECORDS", 0)
        scene.thread_watch(12)
        assert scene.buried == []
        assert scene.store._own.records == 2
    scene.until_empty()
    assert scene.buried == [(5, "MSG_SIZE_TOO_LARGE")]
    assert sorted(scene.brokers.log) == [("letters", 1_005), (TOPIC, 15)]
    assert scene.counters.lost == 0


def test_a_lost_dead_letter_of_an_interaction_counts_as_a_lost_interaction(tmp_path: Path) -> None:
    """So a gap is filed. The letter of a frame about agents does not count."""
    scene = Scene(tmp_path, spool_limit="64KiB")
    try:
        fill_with_letters(scene)
        topic = load({}).dead_letter_topic

        def lost(source: str | None) -> int:
            before = scene.store.interactions_lost
            letter = Record(topic, source, bytes(200), [])
            scene.store.keep(5_000, letter, Lane(topic), scene.now)
            scene.store.commit(scene.now)
            return scene.store.interactions_lost - before

        assert lost("v2.users.1.conversations") == 1
        assert lost(None) == 1
        assert lost("v2.users.1.presence") == 0
    finally:
        scene.store.close()


def test_interactions_are_kept_again_although_another_topic_still_fills_its_half(
    tmp_path: Path,
) -> None:
    """The spool was full and Kafka takes the interactions, which then never come here again."""
    scene = Scene(tmp_path, spool_limit="64KiB")
    try:
        fill_with_letters(scene)
        scene.brokers.frozen |= {(TOPIC, number) for number in range(PARTITIONS)}
        scene.keep(*range(4_000, 8_000))
        scene.turn()
        assert scene.store.refusing_since is not None
        assert scene.store.interactions_lost
        scene.brokers.frozen = {("letters", 0)}
        for _ in range(100):
            scene.turn()
        assert set(scene.store.refusing) == {"letters"}
        scene.brokers.frozen = set()
        scene.until_empty()
        scene.turn()
        assert not scene.store.refusing
    finally:
        scene.store.close()


def test_a_topic_that_cannot_be_written_costs_interactions_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk refuses too. Once it takes records, memory keeps none back that has no room there:
    it would wait for as long as its topic, and nothing would count as kept meanwhile."""
    scene = Scene(tmp_path, spool_limit="64KiB")
    try:
        fill_with_letters(scene)
        monkeypatch.setattr("listeners.publish.held.HELD_RECORDS", 100)
        lost = scene.counters.lost
        with refusing(scene.store):
            scene.keep(*range(4_000, 4_050), topic="letters")
            scene.store.commit(scene.now)
            scene.keep(*range(4_050, 4_100), topic="letters")
            scene.keep(*range(5_000, 5_050))
            scene.store.commit(scene.now)
        assert scene.store.refusing_since is None
        assert scene.counters.lost == lost + 50
        scene.now += ASK_EVERY_SECONDS
        scene.keep(*range(5_050, 5_060))
        scene.store.commit(scene.now)
        assert scene.store.refusing_since is None
        assert scene.counters.lost == lost + 100
        assert scene.store.durable_at == scene.now
        for _ in range(50):
            scene.turn()
        assert sorted(scene.brokers.numbers) == list(range(5_000, 5_060))
    finally:
        scene.store.close()


def test_records_of_new_lanes_may_come_while_lanes_are_told_to_stand_still(scene: Scene) -> None:
    """The loop hands in while the spool's thread looks through the lanes: neither ends by it."""
    scene.keep(1)

    class Log:
        """Written to while the lanes are looked through, which is when the loop hands in more."""

        def warning(self, *_: object, **_fields: object) -> None:
            scene.keep(*range(2, 10))

    scene.drain._log = cast("Any", Log())
    scene.drain.suspect(TOPIC, -1, "it stands still")
    scene.drain.suspect(TOPIC, scene.lane(1).partition, "it stands still in other words")
    assert scene.drain.problems()
