"""Who does not serve: both ways of each question that Genesys leaves open."""

from __future__ import annotations

from typing import Any

import pytest

from mirror.conversation.event import Event
from tests.unit.conversation.build import Reader, at, folded, participant

ASKS = {"state": "connected", "connectedTime": at(1_000), "direction": "inbound", "id": "comm-1"}
ASKED = {"state": "connected", "connectedTime": at(3_000), "direction": "inbound", "id": "comm-2"}
KEY = {"consultParticipantId": "p-customer"}
MARK: dict[str, Any] = {"attributes": {"consultInitiator": "true"}}


def roles(events: list[Event]) -> dict[str | None, tuple[str | None, str | None]]:
    """Participant → role, and on whom, as a consumer's view has it."""
    view = folded(events)
    return {leg.participant_id: (leg.role, leg.role_participant_id) for leg in view.legs.values()}


@pytest.mark.parametrize("marked", [MARK, {}], ids=["attribute", "no attribute"])
@pytest.mark.parametrize("witnessed", [True, False], ids=["witnessed", "first sight"])
def test_who_consults_serves_and_who_is_consulted_does_not(
    marked: dict[str, Any], witnessed: bool
) -> None:
    """With the attribute that the recorded frame has, and without it."""
    reader = Reader()
    events = reader.frame(participant(ASKS)) if witnessed else []
    events += reader.frame(
        participant(ASKS, **KEY, **marked), participant(ASKED, participant_id="p-2", **KEY)
    )
    assert roles(events) == {"p-1": (None, None), "p-2": ("consult", "p-customer")}


@pytest.mark.parametrize("keys", [{}, KEY], ids=["keys gone", "keys kept"])
def test_whom_a_transfer_left_serves(keys: dict[str, Any]) -> None:
    """Whether the keys of the consultation go with its end or stay."""
    reader = Reader()
    events = reader.frame(participant(ASKS, **KEY), participant(ASKED, participant_id="p-2", **KEY))
    over = {**ASKS, "state": "disconnected", "disconnectedTime": at(5_000)}
    left = participant({**over, "disconnectType": "transfer"}, **keys)
    stays = participant(ASKED, participant_id="p-2", **keys)
    events += reader.frame(left, stays)
    events += reader.frame(left, {**stays, "name": "a later frame"})
    view = folded(events)
    assert [leg.participant_id for leg in view.legs.values() if leg.serves] == ["p-2"]


@pytest.mark.parametrize("kind", ["transfer", "transfer.consult"])
def test_a_completed_consultation_is_one_transfer(kind: str) -> None:
    """Whatever the end of who consulted is called."""
    reader = Reader()
    reader.frame(participant(ASKS, **KEY), participant(ASKED, participant_id="p-2", **KEY))
    over = {**ASKS, "state": "disconnected", "disconnectedTime": at(5_000)}
    events = reader.frame(
        participant({**over, "disconnectType": kind}), participant(ASKED, participant_id="p-2")
    )
    told = [event for event in events if event.event_type == "transfer"]
    assert [event.participant_id for event in told] == ["p-1"]


@pytest.mark.parametrize("kind", ["transfer.consult", "peer"])
def test_a_cancelled_consultation_is_no_transfer(kind: str) -> None:
    """Whatever the end of who was consulted is called; it was a consultation to its end."""
    reader = Reader()
    reader.frame(participant(ASKS, **KEY), participant(ASKED, participant_id="p-2", **KEY))
    over = {**ASKED, "state": "terminated", "disconnectedTime": at(5_000)}
    events = reader.frame(
        participant(ASKS), participant({**over, "disconnectType": kind}, participant_id="p-2")
    )
    assert [(event.event_type, event.role) for event in events] == [("disconnect", "consult")]


def test_barging_counts_before_coaching_before_monitoring() -> None:
    """Whether earlier keys stay on the supervisor or not; each change is a reading."""
    legs = {"state": "connected", "connectedTime": at(2_000), "id": "comm-2"}
    reader = Reader()
    keys: dict[str, str] = {}
    found = []
    for name in ("monitored", "coached", "barged"):
        keys[f"{name}ParticipantId"] = "p-1"
        events = reader.frame(
            participant(ASKS),
            participant(legs, participant_id="p-2", purpose="user", **keys),
        )
        found += [
            (event.event_type, event.role, event.role_participant_id)
            for event in events
            if event.participant_id == "p-2"
        ]
    assert [triple for triple in found if triple[1] != "monitor"] == [
        ("answer", "coach", "p-1"),
        ("answer", "barge", "p-1"),
    ]
    assert found[0] == ("answer", "monitor", "p-1")


@pytest.mark.parametrize("marked", [MARK, {}], ids=["attribute", "no attribute"])
def test_a_late_frame_shows_the_role_that_a_leg_had(marked: dict[str, Any]) -> None:
    """A process that saw the consultation after its end alone has no role for the leg itself."""
    reader = Reader()
    over = {**ASKED, "state": "terminated", "disconnectedTime": at(5_000)}
    ended = participant(over, participant_id="p-2")
    reader.frame(participant(ASKS), ended)
    rings = {"state": "alerting", "id": "comm-2", "direction": "inbound"}
    events = reader.frame(
        participant(ASKS, **KEY, **marked), participant(rings, participant_id="p-2", **KEY)
    )
    assert [(event.event_type, event.role, event.role_participant_id) for event in events] == [
        ("alert", "consult", "p-customer")
    ]
    later = reader.frame(participant(ASKS), {**ended, "wrapup": {"code": "done"}})
    assert {event.role for event in later} == {None}  # what the leg is now is known as before


@pytest.mark.parametrize("key", ["monitored", "coached", "barged"])
def test_a_late_frame_shows_whom_a_leg_monitored(key: str) -> None:
    """Also where the key went with the end, before the first frame that was read."""
    reader = Reader()
    ended = participant(
        {**ASKED, "state": "terminated", "disconnectedTime": at(5_000)}, participant_id="p-2"
    )
    reader.frame(participant(ASKS), ended)
    rings = {"state": "alerting", "id": "comm-2", "direction": "inbound"}
    events = reader.frame(
        participant(ASKS),
        participant(rings, participant_id="p-2", **{f"{key}ParticipantId": "p-1"}),
    )
    role = {"monitored": "monitor", "coached": "coach", "barged": "barge"}[key]
    assert [(event.event_type, event.role, event.role_participant_id) for event in events] == [
        ("alert", role, "p-1")
    ]
