"""The lag of the tracker: how many records wait, and how old the oldest of them may be."""

from __future__ import annotations

from coordinator.tracker.lag import Lag

CLOCK = 1_795_776_000.0


def test_nothing_waits() -> None:
    """Without waiting records there is no age."""
    lag = Lag(100.0)
    lag.measured({0: 0, 1: 0}, 150.0, CLOCK)
    assert (lag.records, lag.seconds) == (0, 0.0)


def test_a_partition_of_which_nothing_was_folded_waits_since_the_start() -> None:
    """Nothing else is known of the age of its records."""
    lag = Lag(100.0)
    lag.measured({0: 3, 1: 4}, 130.0, CLOCK)
    assert (lag.records, lag.seconds) == (7, 30.0)


def test_a_waiting_record_is_younger_than_the_last_folded_one() -> None:
    """So the oldest one is at most as old as that."""
    lag = Lag(100.0)
    lag.folded(0, CLOCK - 20.0)
    lag.measured({0: 5}, 700.0, CLOCK)
    assert lag.seconds == 20.0


def test_a_waiting_record_came_after_the_last_time_when_none_waited() -> None:
    """The record that was folded last may be of last night."""
    lag = Lag(100.0)
    lag.folded(0, CLOCK - 40_000.0)
    lag.measured({0: 0}, 700.0, CLOCK)
    lag.measured({0: 1}, 702.0, CLOCK + 2.0)
    assert (lag.records, lag.seconds) == (1, 2.0)


def test_the_oldest_partition_counts_and_a_clock_behind_makes_no_negative_age() -> None:
    """The records' clock may be ahead of ours."""
    lag = Lag(100.0)
    lag.folded(0, CLOCK + 5.0)
    lag.folded(1, CLOCK - 3.0)
    lag.measured({0: 1, 1: 1}, 200.0, CLOCK)
    assert lag.seconds == 3.0
    lag.reassigned(200.0)
    lag.measured({0: 1}, 230.0, CLOCK)
    assert lag.seconds == 30.0
