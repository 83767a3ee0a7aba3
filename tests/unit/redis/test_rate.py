"""The rate rule within one process, by a clock of the test's own."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.redis.rate import LONGEST_PAUSE_SECONDS, Meter


@given(st.lists(st.floats(0, 5), max_size=200))
def test_no_window_has_more_than_rate_and_burst(pauses: list[float]) -> None:
    """Whatever the pattern of asking, no minute passes more than its rate and the burst."""
    meter, now, passed = Meter(per_minute=60, burst=10), 0.0, []
    for pause in pauses:
        now += pause
        if meter.ask(now) == 0.0:
            passed.append(now)
    for start in passed:
        assert sum(start <= moment < start + 60 for moment in passed) <= 60 + 10 + 1


def test_the_answer_is_when_to_come_back() -> None:
    """Asking again after the told pause succeeds, a moment before it does not."""
    meter = Meter(per_minute=60, burst=1)
    assert meter.ask(100.0) == 0.0
    pause = meter.ask(100.0)
    assert 0.9 < pause <= 1.0
    assert meter.ask(100.0 + pause - 0.01) > 0
    assert meter.ask(100.0 + pause) == 0.0


def test_a_push_holds_everything_back() -> None:
    """Nothing passes until the pause is over; a shorter push does not shorten it."""
    meter = Meter(per_minute=60, burst=5)
    meter.push(10.0, 30.0)
    meter.push(10.0, 1.0)
    assert 29.0 < meter.ask(10.0) <= 31.0
    assert meter.ask(42.0) == 0.0


@pytest.mark.parametrize("seconds", [math.inf, math.nan, 1e15])
def test_a_push_has_an_end(seconds: float) -> None:
    """Whatever somebody asks for, calls go on after the longest pause."""
    meter = Meter(per_minute=60, burst=5)
    meter.push(10.0, seconds)
    assert meter.ask(10.0) <= LONGEST_PAUSE_SECONDS + 1
    assert meter.ask(10.0 + LONGEST_PAUSE_SECONDS + 1) == 0.0
