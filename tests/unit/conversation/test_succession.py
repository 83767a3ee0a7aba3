"""Communications of one participant, one after another: each keeps what is its own."""

from __future__ import annotations

from typing import Any

import pytest

from mirror.conversation.event import Event
from tests.unit.conversation.build import Reader, at, leg, only, participant, types

WORK = {"state": "complete", "startTime": at(5_000), "endTime": at(9_000)}
CODE = {"code": "A", "endTime": at(9_000)}
LINGERS: dict[str, Any] = {"startAcwTime": at(5_000), "endAcwTime": at(9_000), "wrapup": CODE}
OWN: dict[str, Any] = {"afterCallWork": WORK, "wrapup": CODE}


def first(**fields: Any) -> dict[str, Any]:
    """A communication that is over."""
    times = {"connectedTime": at(1_000), "disconnectedTime": at(5_000)}
    return leg("disconnected", id="l-1", **times, **fields)


def second(state: str = "connected", **fields: Any) -> dict[str, Any]:
    """The one after it, of the same agent."""
    if state != "alerting":
        fields |= {"connectedTime": at(20_000)}
    if state == "disconnected":
        fields |= {"disconnectedTime": at(30_000)}
    return leg(state, id="l-2", **fields)


@pytest.mark.parametrize("own", [OWN, {}])
@pytest.mark.parametrize("replaced", [False, True])
def test_after_call_work_that_lingers_on_the_participant_is_not_the_next_legs(
    own: dict[str, Any], replaced: bool
) -> None:
    """Its times lie before the next leg was connected; the next leg's own work is told."""
    before = [] if replaced else [first(**own)]
    reader = Reader()
    told = reader.frame(participant(first(**own), medium="message", **LINGERS))
    assert types(told)[-4:] == ["acw", "acw_end", "wrapup", "end"]
    events: list[Event] = []
    for shown in (second("alerting"), second(), second("disconnected")):
        events += reader.frame(participant(*before, shown, medium="message", **LINGERS))
    assert types(events) == ["alert", "answer", "disconnect", "end"]
    work: dict[str, Any] = {"startAcwTime": at(30_000), "endAcwTime": at(33_000)}
    code = {"code": "B", "endTime": at(33_000)}
    theirs = {"afterCallWork": {"state": "complete", "startTime": at(30_000)}, "wrapup": code}
    ended = second("disconnected", **(theirs if own else {}))
    events = reader.frame(participant(*before, ended, medium="message", wrapup=code, **work))
    assert types(events) == ["acw", "acw_end", "wrapup"]
    assert only(events, "acw").occurred_at == at(30_000)
    assert only(events, "wrapup").wrapup_code == "B"


@pytest.mark.parametrize("marks", [{}, {"attributes": {"consultInitiator": "true"}}])
def test_who_served_before_can_be_consulted_by_whom_he_left(marks: dict[str, Any]) -> None:
    """Not his participant serves, but the leg of him that lives."""
    party: dict[str, Any] = {"consultParticipantId": "p-c"}
    left = first(disconnectType="transfer")
    serves = leg("connected", id="l-9", connectedTime=at(3_000))
    reader = Reader()
    reader.frame(participant(leg("connected", id="l-1", connectedTime=at(1_000))))
    reader.frame(participant(left), participant(serves, participant_id="p-2"))
    asks = participant(serves, participant_id="p-2", **party, **marks)
    for shown, kind in ((second("alerting"), "alert"), (second(), "answer")):
        event = only(reader.frame(participant(left, shown, **party), asks), kind)
        assert (event.role, event.role_participant_id) == ("consult", "p-c")


def test_a_leg_keeps_its_queue_when_its_end_shows_the_next_one() -> None:
    """A transfer to another queue of which the next leg is yet to come."""
    reader = Reader()
    connected = leg("connected", id="l-1", connectedTime=at(1_000))
    reader.frame(participant(connected, medium="message", queueId="q-1"))
    left = first(disconnectType="transfer")
    events = reader.frame(participant(left, medium="message", queueId="q-2"))
    assert [event.queue_id for event in events if event.participant_id] == ["q-1", "q-1"]
    events = reader.frame(participant(left, second("alerting"), medium="message", queueId="q-2"))
    assert only(events, "alert").queue_id == "q-2"
