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


RINGS = {"state": "alerting", "direction": "inbound", "id": "comm-3"}
GONE = {"state": "disconnected", "disconnectedTime": at(5_000)}
TARGETS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "an outside party": (
        {"purpose": "external", "userId": None},
        ASKED,
        {**ASKED, "disconnectedTime": at(90_000)},
    ),
    "an outside party that rings": (
        {"purpose": "external", "userId": None},
        {"state": "dialing", "direction": "outbound", "id": "comm-2"},
        {**ASKED, "connectedTime": at(6_000), "disconnectedTime": at(90_000)},
    ),
    "a queue": (
        {"purpose": "acd", "userId": None, "queueId": "q-2"},
        ASKED,
        {**ASKED, "disconnectedTime": at(90_000), "disconnectType": "transfer"},
    ),
    "a colleague who rings": (
        {"purpose": "user", "userId": "u-2"},
        {**RINGS, "id": "comm-2"},
        {**ASKED, "connectedTime": at(6_000), "disconnectedTime": at(90_000)},
    ),
    "a colleague": (
        {"purpose": "user", "userId": "u-2"},
        ASKED,
        {**ASKED, "disconnectedTime": at(90_000)},
    ),
}


@pytest.mark.parametrize("kind", ["transfer", "transfer.consult"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("other_rings", [False, True])
@pytest.mark.parametrize("sight", ["witnessed", "at the end of the consultation", "after all"])
def test_whoever_takes_over_it_is_one_transfer(
    kind: str, target: str, other_rings: bool, sight: str
) -> None:
    """An outside party, a queue in which the caller waits, a colleague; each may ring still, and so
    may another colleague. Whoever comes later tells the same.
    """
    facts, lives, over = TARGETS[target]
    facts = {"participant_id": "p-2", **facts}
    customer = participant(
        {**ASKS, "id": "comm-0", "connectedTime": at(0)},
        participant_id="p-customer",
        purpose="customer",
    )
    others = [participant(RINGS, participant_id="p-3")] if other_rings else []
    left = participant({**ASKS, **GONE, "disconnectType": kind})
    reader, told = Reader(), []
    if sight == "witnessed":
        reader.frame(customer, participant(ASKS))
        told += reader.frame(customer, participant(ASKS, **KEY), participant(lives, **facts, **KEY))
        told += reader.frame(customer, participant(ASKS), participant(lives, **facts), *others)
    if sight != "after all":
        told += reader.frame(customer, left, participant(lives, **facts), *others)
    last = participant({**over, "state": "disconnected"}, **facts)
    ended = [participant({**RINGS, **GONE, "disconnectedTime": at(9_000)}, participant_id="p-3")]
    told += reader.frame(customer, left, last, *(ended if other_rings else []))
    transfers = [event.participant_id for event in told if event.event_type == "transfer"]
    assert transfers == ["p-1"]
    rest = Reader().rest(customer, left, last, *(ended if other_rings else []))
    assert [e.participant_id for e in rest if e.event_type == "transfer"] == ["p-1"]


@pytest.mark.parametrize("kind", ["transfer", "transfer.consult", "peer"])
@pytest.mark.parametrize("witnessed", [True, False])
@pytest.mark.parametrize("others", ["nobody", "a colleague rings", "a queue waits", "a monitor"])
def test_whatever_a_cancelled_consultation_is_called_it_is_no_transfer(
    kind: str, witnessed: bool, others: str
) -> None:
    """Whoever else is there, the consulting agent goes on. Who never saw the consultation cannot
    tell a plain transfer from one.
    """
    beside = {
        "nobody": [],
        "a colleague rings": [participant(RINGS, participant_id="p-3")],
        "a queue waits": [
            participant(
                {**ASKED, "id": "comm-3", "connectedTime": at(4_000)},
                participant_id="p-3",
                purpose="acd",
            )
        ],
        "a monitor": [
            participant(
                {**ASKED, "id": "comm-3", "connectedTime": at(4_000)},
                participant_id="p-3",
                purpose="user",
                monitoredParticipantId="p-1",
            )
        ],
    }[others]
    reader = Reader()
    events: list[Event] = []
    if witnessed:
        events += reader.frame(
            participant(ASKS, **KEY), participant(ASKED, participant_id="p-2", **KEY), *beside
        )
    over = {**ASKED, **GONE, "disconnectType": kind}
    ended = participant(over, participant_id="p-2")
    events += reader.frame(participant(ASKS), ended, *beside)
    gone = participant({**ASKS, **GONE, "disconnectedTime": at(60_000), "disconnectType": "peer"})
    events += reader.frame(gone, ended, *beside)
    is_told = "transfer" in [event.event_type for event in events]
    assert is_told == (kind == "transfer" and not witnessed)


def test_a_consulted_agent_who_took_over_may_transfer() -> None:
    """Also where no frame showed that it was no consultation any more."""
    reader = Reader()
    reader.frame(participant(ASKS, **KEY), participant(ASKED, participant_id="p-2", **KEY))
    left = participant({**ASKS, **GONE, "disconnectType": "transfer"})
    later = {**GONE, "disconnectedTime": at(60_000), "disconnectType": "transfer"}
    events = reader.frame(left, participant({**ASKED, **later}, participant_id="p-2"))
    told = [event.participant_id for event in events if event.event_type == "transfer"]
    assert told == ["p-1", "p-2"]


def test_who_watches_a_screen_names_whom() -> None:
    """The participant has a key of its own for that, which says nothing of its other legs."""
    shown = participant(
        {**ASKED, "connectedTime": at(2_000)},
        medium="screen_monitoring",
        participant_id="p-9",
        purpose="user",
    )
    for keys, on in (({}, None), ({"screenMonitoredParticipantId": "p-1"}, "p-1")):
        assert roles(Reader().frame({**shown, **keys})) == {"p-9": ("monitor", on)}
        assert roles(Reader().frame(participant(ASKS, **keys))) == {"p-1": (None, None)}


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
