"""Where conversations stand on the floor, and what is counted."""

from __future__ import annotations

import time
from typing import Any

from dashboard.reader.floor import MOST_OVER, OVER_KEPT_MS, Floor, Row
from dashboard.reader.floor_position import ACW_LONGEST_MS, STATES
from mirror.conversation.event import Event
from mirror.fleet.tracked import Tracked, TrackedLeg
from tests.unit.dashboard.build import NOW_MS, at, event, leg

QUICK_SECONDS = 2.0  # seconds, on a machine with other work


def floor_after(*events: Event) -> Floor:
    """A floor that has read these."""
    floor = Floor()
    for step in events:
        floor.fold(step, NOW_MS)
    return floor


def counts(row: Row) -> dict[str, int]:
    """What is not zero."""
    found = dict(zip(STATES, row.counts(), strict=True)) | {"acw": row.acw}
    return {name: number for name, number in found.items() if number}


def tracked_leg(who: str, **fields: Any) -> TrackedLeg:
    """What the tracker has of the leg that `build.leg` makes of `who`."""
    return TrackedLeg(
        participant_id=f"p-{who}", communication_id="call", medium="call", purpose=who, **fields
    )


A_CALL = [
    event("start"),
    leg("answer", "customer"),
    leg("answer", "ivr", 0),
    leg("disconnect", "ivr", 5),
    leg("answer", "acd", 5),
    leg("alert", "agent", 10),
    leg("answer", "agent", 15),
    leg("disconnect", "acd", 15),
    leg("hold", "agent", 20),
    leg("resume", "agent", 30, hold_started_at=at(20)),
    leg("disconnect", "agent", 60),
    leg("disconnect", "customer", 60),
    event("end", 60),
    leg("acw", "agent", 60, state="disconnected"),
    leg("wrapup", "agent", 80, state="disconnected", wrapup_code="w"),
    leg("acw_end", "agent", 90, state="disconnected"),
]


def test_a_call_goes_through_its_places() -> None:
    """Menu, queue, agent, hold, after-call work: one place at a time, and none when it is over."""
    floor = Floor()
    course: list[dict[str, int]] = []
    for step in A_CALL:
        floor.fold(step, NOW_MS)
        now = counts(floor.total())
        if not course or course[-1] != now:
            course.append(now)
    assert course == [
        {},
        {"other": 1},
        {"ivr": 1},
        {"other": 1},
        {"waiting": 1},
        {"talking": 1},
        {"held": 1},
        {"talking": 1},
        {"other": 1},
        {},
        {"acw": 1},
        {},
    ]
    assert floor.live == 0


def test_an_agent_who_rings_leaves_the_caller_waiting() -> None:
    """While an agent's phone rings, the conversation waits since it came into the queue."""
    floor = floor_after(*A_CALL[:6])
    assert counts(floor.queues["q1"]) == {"waiting": 1}
    assert floor.queues["q1"].oldest_ms == NOW_MS + 5_000
    assert floor.agent_counts() == {"ringing": 1}


def test_repeats_change_nothing() -> None:
    """Two replicas give each event twice: the counts are those of one, and the second is told."""
    floor = floor_after(*A_CALL[:7])
    before = counts(floor.total())
    assert [floor.fold(step, NOW_MS) for step in A_CALL[:7]] == [False] * 7
    assert counts(floor.total()) == before


def test_an_agent_counts_once_in_the_state_that_counts_most() -> None:
    """Talking in one conversation and in after-call work of another is talking."""
    floor = floor_after(
        leg("answer", "agent", agent_id="u"),
        leg("acw", "agent", conversation_id="d", agent_id="u", state="disconnected"),
    )
    assert floor.agent_counts() == {"talking": 1}
    floor.fold(leg("disconnect", "agent", 5, agent_id="u"), NOW_MS)
    assert floor.agent_counts() == {"acw": 1}


def test_after_call_work_ends_without_a_code() -> None:
    """A code may come before its end, behind it, or never: its end alone counts."""
    assert counts(floor_after(*A_CALL[:-1]).total()) == {"acw": 1}
    assert counts(floor_after(*A_CALL[:-2], A_CALL[-1]).total()) == {}


def test_who_does_not_serve_is_nobodys_agent() -> None:
    """A supervisor who listens, and who is consulted, are not counted as talking."""
    listens = leg("answer", "user", 16, agent_id="boss", role="monitor", communication_id="m")
    floor = floor_after(*A_CALL[:8], listens)
    assert floor.agent_counts() == {"talking": 1}
    floor.fold(leg("disconnect", "agent", 20), NOW_MS)
    assert floor.agent_counts() == {}
    assert "talking" not in counts(floor.total())


def test_after_call_work_whose_end_was_lost_lapses() -> None:
    """It counts for a while only."""
    floor = floor_after(*A_CALL[:-1])
    floor.forget(NOW_MS + 60_000 + ACW_LONGEST_MS - 1)
    assert counts(floor.total()) == {"acw": 1}
    floor.forget(NOW_MS + 60_000 + ACW_LONGEST_MS)
    assert counts(floor.total()) == {}
    assert floor.agent_counts() == {}


def test_what_is_over_is_forgotten_in_time_and_number() -> None:
    """Memory is bounded: by age, and by number whatever the age."""
    floor = floor_after(*A_CALL)
    assert floor.known("c") is not None
    floor.forget(NOW_MS + OVER_KEPT_MS)
    assert floor.known("c") is None
    for number in range(MOST_OVER + 5):
        floor.fold(leg("disconnect", "customer", conversation_id=f"c{number}"), NOW_MS)
    floor.forget(NOW_MS)
    assert floor.known("c4") is None
    assert floor.known("c5") is not None


def test_the_tracker_fills_in_what_began_before() -> None:
    """What the log no longer tells of is taken from the tracker, and goes on from there."""
    floor = Floor()
    tracked = Tracked(
        NOW_MS - 3_600_000,
        [
            tracked_leg("customer", state="connected"),
            tracked_leg("agent", agent_id="u", queue_id="q1", state="connected", answered=True),
        ],
    )
    floor.adopt("c", tracked, NOW_MS)
    assert counts(floor.queues["q1"]) == {"talking": 1}
    floor.fold(leg("hold", "agent", 1), NOW_MS)
    assert counts(floor.total()) == {"held": 1}
    floor.fold(leg("disconnect", "agent", 2), NOW_MS)
    floor.fold(leg("disconnect", "customer", 2), NOW_MS)
    assert floor.live == 0


def test_the_tracker_does_not_overrule_the_log() -> None:
    """It lags: what the log has ended stays ended, what the log shows is not added twice."""
    floor = floor_after(*A_CALL[:7])
    leg_of_log = tracked_leg("agent", agent_id="u", queue_id="q1")
    floor.adopt("c", Tracked(NOW_MS, [leg_of_log]), NOW_MS)
    assert counts(floor.total()) == {"talking": 1}
    over = floor_after(*A_CALL)
    over.adopt("c", Tracked(NOW_MS, [leg_of_log]), NOW_MS)
    assert over.live == 0


def test_counts_are_the_sum_of_the_conversations() -> None:
    """However events interleave, rows say what a count of the conversations says."""
    floor = Floor()
    for step in range(len(A_CALL)):
        for number in range(12):
            if step >= number:
                event = A_CALL[step - number]
                floor.fold(leg_of(event, f"c{number}", f"q{number % 3}"), NOW_MS)
        places = [known.place for known in floor.conversations()]
        for queue, row in floor.queues.items():
            for state in STATES:
                standing = [p for p in places if p and (p.queue, p.state) == (queue, state)]
                assert row.states[state] == len(standing)
            assert len(row.waiting) == row.states["waiting"]


def leg_of(event: Event, conversation: str, queue: str) -> Event:
    """The same event of another conversation and queue."""
    import msgspec

    changed = msgspec.structs.replace(event, conversation_id=conversation)
    changed.event_id = f"{conversation}-{event.event_id}"
    changed.queue_id = queue if event.queue_id else None
    return changed


def test_a_long_thread_costs_what_lives_of_it() -> None:
    """Its thousands of ended legs are not looked at again with each event."""
    floor = Floor()
    floor.fold(leg("answer", "customer"), NOW_MS)
    began = time.process_time()
    for number in range(4_000):
        name = f"l-{number}"
        for kind in ("alert", "answer", "disconnect"):
            event = leg(kind, "agent", number, communication_id=name, media_type="message")
            floor.fold(event, NOW_MS)
        if number == 0:
            assert counts(floor.queues["q1"]) == {"other": 1}
    assert time.process_time() - began < QUICK_SECONDS
    floor.fold(leg("answer", "agent", 5_000, communication_id="l-x", queue_id="q2"), NOW_MS)
    assert counts(floor.queues["q2"]) == {"talking": 1}
    assert counts(floor.queues["q1"]) == {}
