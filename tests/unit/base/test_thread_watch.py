"""Threads that report progress: which one hangs, since when, and what is told of it."""

from __future__ import annotations

from mirror.base.log import capture_logs
from mirror.base.thread_watch import PATIENCE_SECONDS, ThreadWatch


class Clock:
    """Monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_thread_hangs_beyond_its_patience() -> None:
    """Up to then it may be busy, and one turn makes it well again."""
    clock = Clock()
    thread_watch = ThreadWatch(clock=clock)
    report_progress = thread_watch.of("tracker")
    report_progress()
    clock.now += PATIENCE_SECONDS
    assert thread_watch.hung() == {}
    clock.now += 1
    assert thread_watch.hung() == {"tracker": PATIENCE_SECONDS + 1}
    report_progress()
    assert thread_watch.hung() == {}


def test_each_thread_is_judged_by_itself() -> None:
    """One that turns does not speak for one that hangs."""
    clock = Clock()
    thread_watch = ThreadWatch(patience=10.0, clock=clock)
    good, bad = thread_watch.of("discovery"), thread_watch.of("tracker")
    good()
    bad()
    clock.now += 8
    good()
    clock.now += 8
    assert thread_watch.hung() == {"tracker": 16.0}
    assert thread_watch.reasons() == ("the thread tracker hangs: no progress for 16s",)


def test_a_rest_is_no_hang() -> None:
    """Who said that it rests is expected after its rest, however long; then as any other."""
    clock = Clock()
    thread_watch = ThreadWatch(patience=10.0, clock=clock)
    report_progress = thread_watch.of("zombies")
    report_progress(rest=3_600.0)
    clock.now += 3_610
    assert thread_watch.hung() == {}
    clock.now += 1
    assert thread_watch.hung() == {"zombies": 11.0}
    report_progress(rest=3_600.0)
    report_progress()  # woken before its time
    clock.now += 11
    assert thread_watch.hung() == {"zombies": 11.0}


def test_a_thread_is_judged_from_its_first_turn_on() -> None:
    """One that has not begun, since what it needs is awaited, does not hang."""
    clock = Clock()
    thread_watch = ThreadWatch(clock=clock)
    thread_watch.of("kafka")
    clock.now += 100_000
    assert thread_watch.all_progress()
    assert thread_watch.reasons() == ()


def test_a_hang_is_told_once_and_its_end_too() -> None:
    """The log has one line when a thread hangs and one when it goes on."""
    clock = Clock()
    with capture_logs() as lines:
        thread_watch = ThreadWatch(patience=10.0, clock=clock)
        report_progress = thread_watch.of("gaps")
        report_progress()
        assert thread_watch.all_progress()
        clock.now += 12
        assert [thread_watch.all_progress() for _ in range(3)] == [False] * 3
        report_progress()
        assert thread_watch.all_progress()
        clock.now += 12
        assert not thread_watch.all_progress()
    told = [(line["event"], line["log_level"], line["thread"]) for line in lines]
    assert told == [
        ("thread_hung", "error", "gaps"),
        ("thread_recovered", "info", "gaps"),
        ("thread_hung", "error", "gaps"),
    ]
    assert lines[0]["seconds"] == 12
