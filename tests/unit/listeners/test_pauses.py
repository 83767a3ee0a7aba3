"""New records of a lane wait for its last stored ones, in order, and not for long."""

from __future__ import annotations

from listeners.publish.lanes import lane_of
from listeners.publish.pauses import BARRED_SECONDS, LITTLE, MOST_RECORDS, PAUSE_SECONDS, Pauses
from mirror.kafka.record import Record

LANE = lane_of("topic", "key", 0, 4)
RECORD = Record("topic", "key", b"v", [])


def take(pauses: Pauses, sequence: int, *, left: int = 1, now: float = 10.0) -> bool:
    """Offer a record of the lane while Kafka takes what is stored."""
    return pauses.take(LANE, sequence, RECORD, left, now, now)


def test_what_is_new_goes_on_when_nothing_stored_is_left() -> None:
    """In the order in which it came."""
    pauses = Pauses()
    assert all(take(pauses, number) for number in (5, 6, 7))
    assert pauses.has(LANE)
    assert pauses.over({LANE: 1}, 10.1) == []
    assert pauses.over({}, 10.2) == [LANE]
    assert [sequence for sequence, _ in pauses.end(LANE)] == [5, 6, 7]
    assert not pauses
    assert pauses.count == 0


def test_a_pause_that_was_in_vain_ends_and_is_not_tried_again_at_once() -> None:
    """The records are given back while older ones still wait."""
    pauses = Pauses()
    assert take(pauses, 5)
    end = 10.0 + PAUSE_SECONDS
    assert pauses.over({LANE: 1}, end) == [LANE]
    pauses.end(LANE)
    assert not take(pauses, 6, now=end + BARRED_SECONDS / 2)
    assert take(pauses, 7, now=end + BARRED_SECONDS)


def test_no_lane_pauses_that_will_not_be_empty_soon() -> None:
    """Much is left of it, Kafka takes nothing, or its partition is not known."""
    pauses = Pauses()
    assert not take(pauses, 5, left=LITTLE + 1)
    assert not pauses.take(LANE, 5, RECORD, 1, None, 10.0)
    assert not pauses.take(LANE, 5, RECORD, 1, 1.0, 10.0)
    assert not pauses.take(lane_of("topic", "key", 0, 0), 5, RECORD, 1, 10.0, 10.0)
    assert take(pauses, 5)
    assert take(pauses, 6, left=LITTLE + 1), "once it pauses, all that is new does"


def test_what_pauses_is_bounded() -> None:
    """When there is too much, all lanes that wait for others end their pause."""
    pauses = Pauses()
    for number in range(MOST_RECORDS):
        assert take(pauses, number)
    assert pauses.over({LANE: 1}, 10.1) == [LANE]


def test_a_lane_of_other_partitions_is_told_apart() -> None:
    """The topic has grown: what paused may belong elsewhere."""
    pauses = Pauses()
    assert take(pauses, 5)
    assert pauses.misplaced(lane_of("topic", "other", 1, 4)) == []
    assert pauses.misplaced(lane_of("topic", "key", 1, 8)) == [LANE]
    assert pauses.misplaced(lane_of("another", "key", 1, 8)) == []
