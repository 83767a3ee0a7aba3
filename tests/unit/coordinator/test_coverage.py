"""Covered intervals and gaps: what nobody received is in the ledger, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coordinator.plan.coverage import (
    SLACK_MS,
    Interval,
    ShardCoverage,
    advance,
    intervals,
    note_fresh,
    received_until,
    uncovered,
)
from mirror.fleet.words import Beat, ChannelReport, Shard

HORIZON_MS = 31 * 24 * 3_600_000
SHARDS = {"1": Shard("1", ("t1", "t2"), 5)}


def run(*passes: list[Interval]) -> tuple[ShardCoverage, list[tuple[int, int]]]:
    """The frontier after `passes`, and the gaps that they filed."""
    coverage: dict[str, ShardCoverage] = {}
    gaps = []
    for seen in passes:
        gaps += [(gap.from_ms, gap.to_ms) for gap in advance(coverage, SHARDS, {"1": seen})]
    return coverage["1"], gaps


def test_coverage_ends_at_the_last_frame_not_at_its_detection() -> None:
    """I10: a socket silent since 1000 covered until 1000, whenever its successor came."""
    _, gaps = run([Interval(0, 1000)], [Interval(36_000, 36_500, lasting=True)])
    assert gaps == [(1000, 36_000)]


def test_the_other_replica_closes_what_one_lost() -> None:
    """Two replicas that overlap leave no gap although each had one."""
    _, gaps = run([Interval(0, 1000), Interval(0, 5000)], [Interval(0, 9000), Interval(4000, 9000)])
    assert gaps == []


def test_a_quiet_channel_is_waited_for() -> None:
    """A channel that still receives may only be quiet: its next frame tells, not its successor."""
    quiet = Interval(0, 1000, lasting=True)
    coverage, gaps = run([quiet], [quiet, Interval(8000, 8100, lasting=True)])
    assert (coverage.until_ms, gaps) == (1000, [])
    coverage, gaps = run(
        [quiet], [Interval(0, 30_000, lasting=True), Interval(8000, 30_000, lasting=True)]
    )
    assert (coverage.until_ms, gaps) == (30_000, [])


def test_a_quiet_channel_that_ends_leaves_its_gap() -> None:
    """Waited for in vain: what lies behind its last frame is a gap after all."""
    _, gaps = run([Interval(0, 1000, lasting=True)], [Interval(8000, 9000, lasting=True)])
    assert gaps == [(1000, 8000)]


def test_a_hole_is_seen_while_it_lasts() -> None:
    """Since the last frame, for as long as nobody receives; then the gap is filed."""
    coverage: dict[str, ShardCoverage] = {}
    lost = {"1": [Interval(0, 1000)]}
    advance(coverage, SHARDS, {"1": [Interval(0, 1000, lasting=True)]})
    assert uncovered(coverage, SHARDS, {"1": [Interval(0, 1000, lasting=True)]}) == {}
    advance(coverage, SHARDS, lost)
    assert uncovered(coverage, SHARDS, lost) == {"1": 1000}
    assert uncovered(coverage, SHARDS, {}) == {"1": 1000}
    back = {"1": [Interval(9000, 9100, lasting=True)]}
    (gap,) = advance(coverage, SHARDS, back)
    assert (gap.from_ms, gap.to_ms) == (1000, 9000)
    assert uncovered(coverage, SHARDS, back) == {}


def test_new_topics_are_a_hole_from_the_horizon_on() -> None:
    """A shard that nobody has received yet is told of too."""
    coverage: dict[str, ShardCoverage] = {}
    now = HORIZON_MS * 2
    note_fresh(coverage, {"1": ["t1"]}, SHARDS, now, HORIZON_MS)
    assert uncovered(coverage, SHARDS, {}) == {"1": now - HORIZON_MS}


def test_missing_reports_are_no_gap() -> None:
    """Redis was away for a minute: the channel tells afterwards that it went on."""
    _, gaps = run([Interval(0, 1000, lasting=True)], [], [], [Interval(0, 61_000, lasting=True)])
    assert gaps == []


def test_new_topics_begin_with_a_snapshot_gap() -> None:
    """From the horizon to the first frame of a channel that knows of them, and only once."""
    coverage: dict[str, ShardCoverage] = {}
    now = HORIZON_MS * 2
    note_fresh(coverage, {"1": ["t2"]}, SHARDS, now, HORIZON_MS)
    older = Interval(now - 10, now, shard_epoch=4, lasting=True)
    assert advance(coverage, SHARDS, {"1": [older]}) == []
    newer = Interval(now - 10, now + 900, shard_epoch=5, lasting=True)
    (gap,) = advance(coverage, SHARDS, {"1": [newer]})
    assert (gap.kind, gap.topics) == ("snapshot", ("t2",))
    assert (gap.from_ms, gap.to_ms) == (now - HORIZON_MS, now + 900)
    assert advance(coverage, SHARDS, {"1": [newer]}) == []


def test_reports_become_intervals_in_redis_time() -> None:
    """Ages count back from the Redis time of the beat; what covers nothing has no interval."""
    report = ChannelReport(
        shard="1",
        replica="a",
        epoch=1,
        client="c",
        state="live",
        covered_ms=500,
        last_frame_ms=200,
        rejected=("T1",),
    )
    lost = ChannelReport(shard="2", replica="a", epoch=1, client="c", state="lost")
    beat = Beat(listener="l", host="h", pid=1, version="0", state="live", channels=(report, lost))
    found = intervals({"l": beat, "stray": beat}, {"l": 10_000}, {"l"})
    assert found == {"1": [Interval(9500, 9800, 0, True, frozenset({"t1"}))]}


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 400), st.integers(0, 60)), max_size=3),
        min_size=1,
        max_size=10,
    )
)
def test_every_moment_is_covered_or_in_a_gap(passes: list[list[tuple[int, int]]]) -> None:
    """Whatever is reported in whatever order, from the first frame to the frontier each moment
    was received by a channel or is in a filed gap."""
    seen = [
        [Interval(start * 1000, (start + length) * 1000) for start, length in spans]
        for spans in passes
    ]
    coverage, gaps = run(*seen)
    told = [interval for batch in seen for interval in batch]
    if coverage.until_ms is None:
        assert not told
        return
    begin = min(interval.start_ms for interval in next(batch for batch in seen if batch))
    for moment in range(begin, coverage.until_ms, 500):
        received = any(interval.start_ms <= moment <= interval.end_ms for interval in told)
        assert received or any(start <= moment <= end for start, end in gaps), moment
    assert all(end - start > SLACK_MS for start, end in gaps)


def refused(*topics: str, start: int = 0, end: int, lasting: bool = True) -> Interval:
    """A channel that Genesys refuses these topics."""
    return Interval(start, end, 5, lasting, frozenset(topics))


def test_topics_that_all_channels_are_refused_are_a_gap_until_one_has_them() -> None:
    """From the last frame of a channel that had them; the frontier of the others goes on."""
    coverage: dict[str, ShardCoverage] = {}
    assert advance(coverage, SHARDS, {"1": [refused(end=1000)]}) == []
    for end in (2000, 3000, 4000):
        assert advance(coverage, SHARDS, {"1": [refused("t2", end=end)]}) == []
    assert received_until(coverage, SHARDS) == {"t1": 4000, "t2": 1000}
    (gap,) = advance(coverage, SHARDS, {"1": [refused(end=9000)]})
    assert (gap.topics, gap.from_ms, gap.to_ms, gap.kind) == (("t2",), 1000, 9000, "gap")
    assert coverage["1"].pending == ()


def test_topics_that_one_channel_has_are_no_gap() -> None:
    """Until that channel ends: then from its last frame on, whenever its death was noticed."""
    coverage: dict[str, ShardCoverage] = {}
    for end in (1000, 2000, 3000):
        pair = [refused("t2", end=end), refused(end=min(end, 2000))]
        assert advance(coverage, SHARDS, {"1": pair}) == []
        assert coverage["1"].pending == ()
    for end in (4000, 5000):
        pair = [refused("t2", end=end), refused(end=2000, lasting=False)]
        assert advance(coverage, SHARDS, {"1": pair}) == []
    assert received_until(coverage, SHARDS) == {"t1": 5000, "t2": 2000}
    pair = [refused("t2", end=9000), refused(start=8000, end=8500)]
    (gap,) = advance(coverage, SHARDS, {"1": pair})
    assert (gap.topics, gap.from_ms, gap.to_ms) == (("t2",), 2000, 8500)


def test_new_topics_that_are_refused_wait_for_their_snapshot() -> None:
    """The others have theirs at once."""
    coverage: dict[str, ShardCoverage] = {}
    now = HORIZON_MS * 2
    note_fresh(coverage, {"1": ["t1", "t2"]}, SHARDS, now, HORIZON_MS)
    (gap,) = advance(coverage, SHARDS, {"1": [refused("t2", start=now, end=now + 9)]})
    assert (gap.topics, gap.kind) == (("t1",), "snapshot")
    (gap,) = advance(coverage, SHARDS, {"1": [refused(start=now, end=now + 99)]})
    assert (gap.topics, gap.kind, gap.from_ms) == (("t2",), "snapshot", now - HORIZON_MS)


def test_topics_that_two_replicas_have_by_turns_are_two_gaps() -> None:
    """Each has the topic that the other is refused, within one second. The ledger files an id
    once, so an id in common would lose one of the snapshots."""
    coverage: dict[str, ShardCoverage] = {}
    now = HORIZON_MS * 2
    note_fresh(coverage, {"1": ["t1", "t2"]}, SHARDS, now, HORIZON_MS)
    first = refused("t2", start=now, end=now + 100)
    filed = advance(coverage, SHARDS, {"1": [first]})
    filed += advance(coverage, SHARDS, {"1": [first, refused("t1", start=now, end=now + 600)]})
    assert [gap.topics for gap in filed] == [("t1",), ("t2",)]
    assert len({gap.id for gap in filed}) == 2
