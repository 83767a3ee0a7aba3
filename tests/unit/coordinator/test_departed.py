"""Topics that come back are a gap from when they were received last, not something new."""

from __future__ import annotations

from coordinator.plan.coverage import Interval, ShardCoverage, advance, note_back, received_until
from coordinator.plan.departed import Departed
from mirror.fleet.words import Shard

HOUR_MS = 3_600_000


def test_what_comes_back_is_known_with_its_time() -> None:
    """Once, and not beyond the horizon."""
    departed = Departed(48 * HOUR_MS)
    assert departed.look({"a": 10, "b": 20}, {"b"}, 30) == {}
    assert departed.look({"b": 40}, {"a", "b"}, 50) == {"a": 10}
    assert departed.look({"a": 60, "b": 60}, {"a", "b"}, 70) == {}
    departed.look({"a": 80}, {"b"}, 90)
    assert departed.look({}, {"a", "b"}, 49 * HOUR_MS) == {}


def test_the_next_leader_knows_what_departed() -> None:
    """From Redis; and a Redis that has forgotten it takes nothing from who remembers."""
    first, second = Departed(HOUR_MS), Departed(HOUR_MS)
    first.look({"a": 10}, {"b"}, 20)
    second.recall(first.until)
    second.recall({})
    before = second.until
    assert second.look({"b": 30}, {"b"}, 40) == {}
    assert second.until is before  # nothing to store
    assert second.look({"b": 30}, {"a", "b"}, 40) == {"a": 10}
    assert second.until == {}


def test_moved_topics_are_a_gap_until_their_new_channel_has_them() -> None:
    """From the last frame of the shard that they left: what began and ended meanwhile counts."""
    shards = {"1": Shard("1", ("a", "b"), 1)}
    coverage = {"1": ShardCoverage(until_ms=1000)}
    until = received_until(coverage, shards)
    assert until == {"a": 1000, "b": 1000}
    after = {"1": Shard("1", ("a",), 2), "2": Shard("2", ("b",), 2)}
    note_back(coverage, {"2": ["b"]}, after, until)
    assert received_until(coverage, after) == {"a": 1000, "b": 1000}
    old = Interval(0, 1500, shard_epoch=1, lasting=True)
    assert advance(coverage, after, {"1": [old]}) == []
    (gap,) = advance(coverage, after, {"2": [Interval(1800, 2000, shard_epoch=2, lasting=True)]})
    assert (gap.kind, gap.topics, gap.from_ms, gap.to_ms) == ("gap", ("b",), 1000, 2000)


def test_what_was_never_received_is_not_called_received() -> None:
    """It waits for its first coverage, wherever it waits."""
    shards = {"1": Shard("1", ("a",), 1)}
    assert received_until({"1": ShardCoverage()}, shards) == {}
    assert received_until({}, shards) == {}
