"""The oracle: finds what is missing, what was invented and what came twice."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from harness.oracle import judge, restorable
from mirror.conversation.event import Event
from mirror.conversation.legs import leg_key, transition_id
from simulator.ledger import Truth


def _truth(event_type: str, *, seq: int = 1, sent: bool = True, **fields: Any) -> Truth:
    record = {"seq": seq, "conversation_id": "c", "event_type": event_type, "occurred_at": "T1"}
    return msgspec.convert({**record, "first_sent_ms": 1 if sent else None, **fields}, Truth)


def _event(event_type: str, event_id: str = "1", **fields: Any) -> Event:
    record = {"event_id": event_id, "event_type": event_type, "conversation_id": "c"}
    times = {"state": "connected", "occurred_at": "T1", "received_at": "T2"}
    return msgspec.convert({**record, **times, **fields}, Event)


LEG: dict[str, Any] = {"participant_id": "p", "communication_id": "l", "media_type": "call"}
AGENT = LEG | {"purpose": "agent"}


def test_the_same_transitions_are_clean() -> None:
    """One truth, seen by both replicas: one duplicate, nothing else."""
    verdict = judge([_truth("answer", **LEG)], [_event("answer", **LEG), _event("answer", **LEG)])
    assert verdict.clean
    assert (verdict.records, verdict.events, verdict.repeats) == (2, 1, 1)


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
    assert (verdict.events, verdict.transitions, verdict.readings) == (2, 0, 1)


def test_after_call_work_is_the_legs() -> None:
    """Two legs of one participant have two after-call works."""
    truths = [_truth("acw", seq=n, **LEG | {"communication_id": f"l{n}"}) for n in (1, 2)]
    verdict = judge(truths, [_event("acw", **LEG | {"communication_id": "l2"})])
    assert [truth.communication_id for truth in verdict.missing] == ["l1"]


def test_codes_are_told_apart() -> None:
    """Another code is another `wrapup`; a wrong one is invented, and the right one missing."""
    truths = [_truth("wrapup", seq=n, **LEG, wrapup_code=code) for n, code in enumerate("AB", 1)]
    verdict = judge(truths, [_event("wrapup", code, **LEG, wrapup_code=code) for code in "AC"])
    assert [truth.wrapup_code for truth in verdict.missing] == ["B"]
    assert [event.wrapup_code for event in verdict.invented] == ["C"]


def test_a_code_that_was_replaced_cannot_be_restored() -> None:
    """REST has the latest code alone."""
    assert restorable(_truth("wrapup", **LEG, wrapup_code="B"))
    assert not restorable(_truth("wrapup", **LEG, wrapup_code="A", replaced=True))
    assert restorable(_truth("acw_end", **LEG))
    assert not restorable(_truth("hold", **LEG))


def test_codes_of_a_corrected_leg_have_no_certain_time() -> None:
    """One that comes back was saved twice: who came late knows the second time alone."""
    truths = [_truth("wrapup", seq=n, **LEG, wrapup_code=code) for n, code in enumerate("AB", 1)]
    events = [_event("wrapup", code, **LEG, wrapup_code=code, occurred_at="T7") for code in "AB"]
    assert judge(truths, events).clean
    assert judge(truths[:1], events[:1]).altered


def test_an_unpark_is_named_by_its_park() -> None:
    """By its id, since no field says which park it ends; the park itself by its time."""
    key = leg_key("p", "l", "call")
    truths = [
        _truth(kind, seq=seq, **LEG, park_time=time, occurred_at=time if kind == "park" else "T9")
        for seq, (kind, time) in enumerate(
            [("park", "P1"), ("unpark", "P1"), ("park", "P2"), ("unpark", "P2")]
        )
    ]
    told = [_event("park", f"park {time}", **LEG, occurred_at=time) for time in ("P1", "P2")]
    unpark = transition_id("c", key, "unpark", "P2")
    told.append(_event("unpark", unpark, **LEG, estimated=True, occurred_at="T8"))
    verdict = judge(truths, told)
    assert [(t.event_type, t.park_time) for t in verdict.missing] == [("unpark", "P1")]
    assert not verdict.invented
    assert judge(truths, [_event("unpark", "of no park", **LEG)]).invented


def test_the_end_of_a_hold_that_ended_with_its_leg_flapped() -> None:
    """It is not true, but nobody invented the hold: frames may have overtaken one another."""
    truths = [
        _truth("hold", **LEG, hold_started_at="H1"),
        _truth("park", **LEG, park_time="T1"),
    ]
    unpark = transition_id("c", leg_key("p", "l", "call"), "unpark", "T1")
    events = [
        _event("hold", "1", **LEG, hold_started_at="H1"),
        _event("park", "2", **LEG),
        _event("resume", "3", **LEG, hold_started_at="H1"),
        _event("unpark", unpark, **LEG, estimated=True),
        _event("resume", "4", **LEG, hold_started_at="H2"),
    ]
    verdict = judge(truths, events)
    assert [event.event_id for event in verdict.flapped] == ["3", unpark]
    assert [event.event_id for event in verdict.invented] == ["4"]
    assert judge(truths, events[:4]).clean


def test_a_role_is_compared_where_it_never_changed() -> None:
    """A plain agent is nobody's supervisor; who only monitored, never did anything else."""
    plain = [_truth("answer", **AGENT), _truth("disconnect", **AGENT)]
    wrong = _event("answer", **AGENT, role="monitor", role_participant_id="q")
    fields = [alteration.field for alteration in judge(plain, [wrong]).altered]
    assert fields == ["role", "role_participant_id"]
    role: dict[str, Any] = {"role": "monitor", "role_participant_id": "q"}
    supervisor = [_truth(kind, **AGENT, **role) for kind in ("answer", "disconnect")]
    assert judge(supervisor, [_event("answer", **AGENT)]).altered
    assert not judge(supervisor[:1], [_event("answer", **AGENT)]).altered  # it may change yet


def test_a_role_that_changed_is_compared_where_it_was_witnessed() -> None:
    """An alert is told only by who saw it; an answer also by who came after the consult."""
    role: dict[str, Any] = {"role": "consult", "role_participant_id": "q"}
    truths = [
        _truth("alert", **AGENT, **role),
        _truth("answer", **AGENT, **role),
        _truth("disconnect", **AGENT),
    ]
    assert not judge(truths, [_event("answer", **AGENT)]).altered
    assert judge(truths, [_event("alert", **AGENT)]).altered


def test_the_queue_is_that_of_the_leg() -> None:
    """Of a participant in two queues, one that is not the leg's is wrong; none may be unknown."""
    truths = [
        _truth("answer", **AGENT | {"communication_id": f"l{n}"}, queue_id=f"q{n}") for n in (1, 2)
    ]

    def told(queue: str | None) -> list[str]:
        event = _event("answer", **AGENT | {"communication_id": "l1"}, queue_id=queue)
        return [alteration.field for alteration in judge(truths, [event]).altered]

    assert told("q1") == told(None) == []
    assert told("q2") == ["queue_id"]
    one_queue = [_truth("answer", **AGENT, queue_id="q1")]
    assert judge(one_queue, [_event("answer", **AGENT)]).altered


def test_the_link_is_compared_where_it_is_told() -> None:
    """Frames carry it; REST has no such field; analytics also tells where a merge led to."""
    truths = [_truth("answer", **LEG, linked_conversation_id="served")]
    assert judge(truths, [_event("answer", **LEG)]).altered
    assert judge(truths, [_event("answer", **LEG, origin="backfill")]).clean
    other = _event("answer", **LEG, origin="backfill", linked_conversation_id="other")
    assert judge(truths, [other]).altered
    merged = _truth("disconnect", **LEG, linked_conversation_id="served", merged_into="other")
    assert not judge([*truths, merged], [other]).altered


def test_a_ringing_may_have_either_of_its_times() -> None:
    """That of the communication, or that of the segment, a few milliseconds before."""
    truths = [_truth("alert", **LEG, segment_at="T0")]
    for time, right in (("T1", True), ("T0", True), ("T9", False)):
        verdict = judge(truths, [_event("alert", **LEG, occurred_at=time, origin="backfill")])
        assert verdict.clean is right


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
    assert [(alteration.field, alteration.event) for alteration in verdict.altered] == [
        (field, wrong)
    ]
    assert not verdict.clean


def test_an_estimated_time_is_not_compared() -> None:
    """It is the time at which a process read the frame."""
    event = _event("alert", **LEG, estimated=True, occurred_at="T5")
    assert judge([_truth("alert", **LEG)], [event]).clean


@pytest.mark.parametrize(
    ("order", "late"),
    [
        (["alert", "answer", "disconnect", "acw", "wrapup", "acw_end"], []),
        (["disconnect", "acw", "acw_end", "wrapup"], []),
        (["disconnect", "acw_end", "acw"], ["acw"]),
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
