"""Threads that say that they turn: which one hangs, since when, and what is told of it."""

from __future__ import annotations

from mirror.base.log import capture_logs
from mirror.base.turns import PATIENCE, Turns


class Clock:
    """Monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_thread_hangs_beyond_its_patience() -> None:
    """Up to then it may be busy, and one turn makes it well again."""
    clock = Clock()
    turns = Turns(clock=clock)
    turned = turns.of("tracker")
    turned()
    clock.now += PATIENCE
    assert turns.stuck() == {}
    clock.now += 1
    assert turns.stuck() == {"tracker": PATIENCE + 1}
    turned()
    assert turns.stuck() == {}


def test_each_thread_is_judged_by_itself() -> None:
    """One that turns does not speak for one that hangs."""
    clock = Clock()
    turns = Turns(patience=10.0, clock=clock)
    good, bad = turns.of("discovery"), turns.of("tracker")
    good()
    bad()
    clock.now += 8
    good()
    clock.now += 8
    assert turns.stuck() == {"tracker": 16.0}
    assert turns.reasons() == ("the thread tracker hangs: it has not turned for 16s",)


def test_a_rest_is_no_hang() -> None:
    """Who said that it rests is expected after its rest, however long; then as any other."""
    clock = Clock()
    turns = Turns(patience=10.0, clock=clock)
    turned = turns.of("zombies")
    turned(rest=3_600.0)
    clock.now += 3_610
    assert turns.stuck() == {}
    clock.now += 1
    assert turns.stuck() == {"zombies": 11.0}
    turned(rest=3_600.0)
    turned()  # woken before its time
    clock.now += 11
    assert turns.stuck() == {"zombies": 11.0}


def test_a_thread_is_judged_from_its_first_turn_on() -> None:
    """One that has not begun, since what it needs is awaited, does not hang."""
    clock = Clock()
    turns = Turns(clock=clock)
    turns.of("kafka")
    clock.now += 100_000
    assert turns.all_turn()
    assert turns.reasons() == ()


def test_a_hang_is_told_once_and_its_end_too() -> None:
    """The log has one line when a thread hangs and one when it goes on."""
    clock = Clock()
    with capture_logs() as lines:
        turns = Turns(patience=10.0, clock=clock)
        turned = turns.of("gaps")
        turned()
        assert turns.all_turn()
        clock.now += 12
        assert [turns.all_turn() for _ in range(3)] == [False] * 3
        turned()
        assert turns.all_turn()
        clock.now += 12
        assert not turns.all_turn()
    told = [(line["event"], line["log_level"], line["thread"]) for line in lines]
    assert told == [
        ("thread_hangs", "error", "gaps"),
        ("thread_recovered", "info", "gaps"),
        ("thread_hangs", "error", "gaps"),
    ]
    assert lines[0]["seconds"] == 12
