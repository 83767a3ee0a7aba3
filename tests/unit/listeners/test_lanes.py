"""Which lanes stand still, and how far all of them are, by librdkafka's statistics."""

from __future__ import annotations

import msgspec
import pytest

from listeners.publish.lanes import (
    MOST_SAMPLES,
    STALL_SECONDS,
    Lane,
    LaneWatch,
    Partition,
    StalledPartition,
    Statistics,
    Topic,
    lane_of,
    places,
)
from mirror.kafka.broker_states import NONE
from mirror.kafka.partition import Partitions, partition


def sample(awaited: int = 0, awaiting: int = 0, **lanes: tuple[int, int]) -> Statistics:
    """Statistics of topic `t`: `p0=(entered, left)`, …; how many awaited metadata, and still do."""
    partitions = {
        name[1:]: Partition(int(name[1:]), leader=1, msgs=entered, acked_msgid=entered - left)
        for name, (entered, left) in lanes.items()
    }
    if awaited:
        partitions["-1"] = Partition(-1, msgs=awaited, msgq_cnt=awaiting)
    brokers = b'{"one:9092/1": {"nodeid": 1, "nodename": "one:9092", "state": "UP"}}'
    return Statistics(ts=0, topics={"t": Topic(partitions)}, brokers=msgspec.Raw(brokers))


def test_durability_is_that_of_the_lane_that_is_furthest_behind() -> None:
    """One partition stands still, the other goes on: what is told stands still with the first."""
    watch = LaneWatch(0.0, Partitions({}))
    watch.sample(sample(p0=(10, 0), p1=(10, 0)), 1.0)
    watch.sample(sample(p0=(10, 0), p1=(10, 0)), 2.0)
    watch.sample(sample(p0=(20, 10), p1=(20, 5)), 3.0)
    assert watch.durable_at() == 2.0
    for second in range(4, 10):
        watch.sample(sample(p0=(20 + second, 10 + second), p1=(20 * second, 1)), float(second))
    assert watch.durable_at() == 2.0, "the ten of partition 0 still wait"
    watch.sample(sample(p0=(29, 9), p1=(500, 1)), 10.0)
    assert watch.durable_at() == 3.0


def test_what_awaits_metadata_is_not_taken_for_acknowledged() -> None:
    """It leaves the lane without partition for another one, and is counted there anew; on its way
    it is in none of them."""
    watch = LaneWatch(0.0, Partitions({}))
    watch.sample(sample(5, 5), 1.0)
    watch.sample(sample(5, 0), 2.0)
    watch.sample(sample(5, 0, p0=(5, 5)), 3.0)
    watch.sample(sample(5, 0, p0=(5, 5)), 4.0)
    watch.sample(sample(5, 0, p0=(5, 0)), 5.0)
    assert watch.durable_at() == 4.0
    watch.sample(sample(7, 0, p0=(5, 0)), 6.0)
    watch.sample(sample(7, 0, p0=(7, 2)), 7.0)
    watch.sample(sample(7, 0, p0=(7, 2)), 8.0)
    assert watch.durable_at() == 5.0


def test_an_empty_producer_is_durable_now() -> None:
    """No sample need be waited for."""
    watch = LaneWatch(0.0, Partitions({}))
    watch.sample(sample(p0=(10, 10)), 1.0)
    watch.is_empty(1.5)
    assert watch.durable_at() == 1.5


def test_a_topic_that_vanishes_holds_nothing_back() -> None:
    """Its records were given back; its partitions are in no further sample."""
    watch = LaneWatch(0.0, Partitions({}))
    watch.sample(sample(p0=(10, 10), p1=(3, 0)), 1.0)
    gone = Statistics(ts=0, topics={}, brokers=NONE)
    for second in (2.0, 3.0):
        watch.sample(gone, second)
    assert watch.durable_at() == 2.0
    assert watch.stalled(20.0) == []


def test_a_lane_that_stands_still_is_named_with_its_leader() -> None:
    """The others flow; an idle one does not count."""
    watch = LaneWatch(0.0, Partitions({}))
    for second in range(8):
        watch.sample(sample(p0=(5, 5), p1=(10 * second + 1, 1), p2=(4, 0)), float(second))
    assert watch.stalled(STALL_SECONDS) == []
    assert watch.stalled(STALL_SECONDS + 0.1) == [StalledPartition("t", 0, "one:9092, UP")]


def test_partitions_are_learned() -> None:
    """Those that exist, not what awaits metadata; what is known first counts, also when the topic
    grows; fewer are followed, and back."""
    known = Partitions({})
    watch = LaneWatch(0.0, known)
    watch.sample(sample(3, 3, p0=(0, 0), p1=(0, 0)), 1.0)
    assert known == {"t": 2}
    watch.sample(sample(p0=(0, 0), p1=(0, 0), p2=(0, 0)), 2.0)
    assert known == {"t": 2}
    watch.sample(sample(p0=(0, 0)), 3.0)
    assert known == {"t": 1}
    watch.sample(sample(p0=(0, 0), p1=(0, 0), p2=(0, 0)), 4.0)
    assert known == {"t": 2}


def test_samples_are_bounded() -> None:
    """A lane that stands still for an hour keeps no hour of samples."""
    watch = LaneWatch(0.0, Partitions({}))
    for second in range(MOST_SAMPLES * 2):
        watch.sample(sample(p0=(second + 1, second + 1)), float(second))
    assert len(watch._samples) == MOST_SAMPLES


def test_statistics_are_dated_by_when_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are served later: what was handed in meanwhile is not among them."""
    monkeypatch.setattr("listeners.publish.lanes._clock", lambda: 100.0)
    now = iter((7.0, 8.0))
    watch = LaneWatch(0.0, Partitions({}), lambda: next(now))
    text = '{"ts": 99500000, "topics": {}, "brokers": {}, "eos": {"idemp_state": "Assigned"}}'
    assert not watch.is_ready
    watch.statistics(text)
    watch.statistics(text)
    assert watch.durable_at() == 6.5
    assert watch.is_ready


def test_lanes_follow_the_key() -> None:
    """As librdkafka places it; without a key they take turns, without a count all is one lane."""
    lane = lane_of("t", "c1", 7, 12)
    assert lane.partition == partition("c1", 12)
    first, end = places(12)
    assert first <= lane.place < end
    assert [lane_of("t", None, number, 3).partition for number in range(4)] == [0, 1, 2, 0]
    assert lane_of("t", "c1", 7, 0) == Lane("t")
    assert Lane("t").partition == -1
