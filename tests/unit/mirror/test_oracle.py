"""The oracle: finds what is missing, what was invented and what came twice."""

from __future__ import annotations

from typing import Any

import msgspec

from mirror.event import Event
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
