"""A conversation as legs over time."""

from __future__ import annotations

from dashboard.reader.floor import Floor
from dashboard.reader.timeline import MOST_MARKS, timeline
from tests.unit.dashboard.build import NOW_MS, event, leg
from tests.unit.dashboard.test_floor import A_CALL


def test_a_leg_is_drawn_stretch_by_stretch() -> None:
    """Ringing, talking, held, talking, after-call work, each from and to when it happened."""
    floor = Floor()
    for step in A_CALL:
        floor.fold(step, NOW_MS)
    known = floor.known("c")
    assert known is not None
    told = timeline(known.view, known.marks)
    agent = next(shown for shown in told["legs"] if shown["purpose"] == "agent")
    seconds = [
        (state, (since - NOW_MS) / 1000, until and (until - NOW_MS) / 1000)
        for state, since, until in agent["stretches"]
    ]
    assert seconds == [
        ("ringing", 10, 15),
        ("talking", 15, 20),
        ("held", 20, 30),
        ("talking", 30, 60),
        ("acw", 60, 90),
    ]
    assert told["state"] == "ended"


def test_late_events_are_drawn_where_they_belong() -> None:
    """The order is that of when things occurred, not of when they were read."""
    floor = Floor()
    for step in (leg("answer", "agent", 15), leg("hold", "agent", 20), leg("alert", "agent", 10)):
        floor.fold(step, NOW_MS)
    known = floor.known("c")
    assert known is not None
    (only,) = timeline(known.view, known.marks)["legs"]
    assert [state for state, *_ in only["stretches"]] == ["ringing", "talking", "held"]
    assert only["stretches"][-1][2] is None


def test_marks_are_bounded() -> None:
    """A conversation that is parked and taken up for ever does not fill memory."""
    floor = Floor()
    floor.fold(event("start"), NOW_MS)
    for number in range(MOST_MARKS):
        floor.fold(leg("park" if number % 2 else "unpark", "agent", number), NOW_MS)
    known = floor.known("c")
    assert known is not None
    assert len(known.marks) == MOST_MARKS
