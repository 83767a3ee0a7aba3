"""The oracle: finds what is missing, what was invented and what came twice."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mirror.conversation.event import Event
from mirror.sandbox.oracle import Truth, judge


def _truth(event_type: str, *, seq: int = 1, sent: bool = True, **fields: Any) -> Truth:
    record = {"seq": seq, "conversation_id": "c", "event_type": event_type, "occurred_at": "T1"}
    return msgspec.convert({**record, "first_sent_ms": 1 if sent else None, **fields}, Truth)


def _event(event_type: str, event_id: str = "1", **fields: Any) -> Event:
    record = {"event_id": event_id, "event_type": event_type, "conversation_id": "c"}
    times = {"state": "connected", "occurred_at": "T1", "received_at": "T2"}
    return msgspec.convert({**record, **times, **fields}, Event)


LEG: dict[str, Any] = {"participant_id": "p", "media_type": "call"}


def test_the_same_transitions_are_clean() -> None:
    """One truth, seen by both replicas: one duplicate, nothing else."""
    verdict = judge([_truth("answer", **LEG)], [_event("answer", **LEG), _event("answer", **LEG)])
    assert verdict.clean
    assert (verdict.records, verdict.events, verdict.duplicates) == (2, 1, 1)


def test_what_was_sent_and_not_consumed_is_missing() -> None:
    """Only what left on an open socket can be missed."""
    verdict = judge([_truth("answer", **LEG), _truth("hold", seq=2, sent=False, **LEG)], [])
    assert [truth.event_type for truth in verdict.missing] == ["answer"]


def test_holds_are_told_apart_by_their_start() -> None:
    """The second hold of a leg does not stand for the first."""
    truths = [_truth("hold", seq=n, **LEG, hold_started_at=f"H{n}") for n in (1, 2)]
    verdict = judge(truths, [_event("hold", **LEG, hold_started_at="H2")])
    assert [truth.hold_started_at for truth in verdict.missing] == ["H1"]


def test_an_event_without_truth_is_invented() -> None:
    """Snapshot readings are no transitions and may stand alone."""
    verdict = judge([], [_event("answer", **LEG), _event("hold", "2", **LEG, origin="snapshot")])
    assert [event.event_type for event in verdict.invented] == ["answer"]


def test_after_call_work_is_the_participants() -> None:
    """The medium does not count."""
    verdict = judge(
        [_truth("acw", participant_id="p", media_type="call")],
        [_event("acw", participant_id="p", media_type="callback")],
    )
    assert verdict.clean


def test_what_nobody_could_receive_is_unseen_not_missing() -> None:
    """No socket was open. A conversation without queue and user has no topic at all."""
    truths = [
        _truth("answer", sent=False, **LEG, agent_id="u"),
        _truth("answer", seq=2, sent=False, **LEG | {"conversation_id": "without topic"}),
    ]
    verdict = judge(truths, [])
    assert [truth.seq for truth in verdict.unseen] == [1]
    assert verdict.missing == []


@pytest.mark.parametrize(
    ("field", "told"),
    [("agent_id", "other"), ("purpose", "customer"), ("occurred_at", "T9"), ("direction", None)],
)
def test_a_record_that_says_something_else_is_altered(field: str, told: str | None) -> None:
    """Even where the first record of that id was right."""
    leg = LEG | {"agent_id": "u", "purpose": "agent", "direction": "inbound"}
    right, wrong = _event("answer", **leg), _event("answer", **{**leg, field: told})
    verdict = judge([_truth("answer", **leg)], [right, wrong])
    assert [(one.field, one.event) for one in verdict.altered] == [(field, wrong)]
    assert not verdict.clean


def test_an_estimated_time_is_not_compared() -> None:
    """It is the time at which a process read the frame."""
    event = _event("alert", **LEG, estimated=True, occurred_at="T5")
    assert judge([_truth("alert", **LEG)], [event]).clean


@pytest.mark.parametrize(
    ("order", "late"),
    [
        (["alert", "answer", "disconnect", "acw", "wrapup"], []),
        (["answer", "alert", "disconnect"], ["alert"]),
        (["answer", "disconnect", "park"], ["park"]),
        (["answer", "wrapup", "acw"], ["acw"]),
    ],
)
def test_order_is_that_of_a_leg(order: list[str], late: list[str]) -> None:
    """By the rule of GUARANTEES.md, after dropping repeated ids."""
    events = [_event(kind, kind, **LEG) for kind in [*order, order[0]]]
    assert [event.event_type for event in judge([], events).disordered] == late


def test_holds_are_ordered_by_their_start() -> None:
    """A hold and its resume belong together; the next hold comes after both."""
    right = [("hold", "H1"), ("resume", "H1"), ("hold", "H2"), ("resume", "H2")]
    wrong = [right[0], right[2], right[1], right[3]]

    def events(pairs: list[tuple[str, str]]) -> list[Event]:
        return [_event(kind, kind + at, **LEG, hold_started_at=at) for kind, at in pairs]

    assert judge([], events(right)).disordered == []
    assert [e.event_id for e in judge([], events(wrong)).disordered] == ["resumeH1"]


def test_what_is_not_live_may_come_late() -> None:
    """Back-fill tells of the past behind what is newer."""
    events = [_event("disconnect", **LEG), _event("answer", "2", **LEG, origin="backfill")]
    assert judge([], events).disordered == []
