"""Analytics bodies, ends for the janitor, agent states, personal fields, and their schema."""

from __future__ import annotations

from typing import Any

import jsonschema
import msgspec
import pytest

from mirror.conversation.agent_event import AgentEvent
from mirror.conversation.ending import ending
from mirror.conversation.event import Event, Role
from mirror.conversation.legs import LegKey, leg_key
from mirror.conversation.normaliser import Normaliser, Personal
from mirror.conversation.schema import agent_event_schema, event_schema
from tests.unit.conversation.build import (
    ARRAY,
    Reader,
    at,
    conversation,
    folded,
    frame,
    leg,
    only,
    participant,
    types,
)


class Live(msgspec.Struct):
    """What somebody knows of a leg of which no end was seen."""

    participant_id: str
    medium: str
    communication_id: str | None = None
    purpose: str | None = None
    agent_id: str | None = None
    queue_id: str | None = None
    role: Role | None = None
    role_participant_id: str | None = None
    direction: str | None = None

    @property
    def key(self) -> LegKey:
        """What names it."""
        return leg_key(self.participant_id, self.communication_id, self.medium)


ENDED = leg(
    "disconnected", connectedTime=at(1_000), disconnectedTime=at(9_000), disconnectType="transfer"
)


def analytics(**fields: Any) -> dict[str, Any]:
    """An answered, held, transferred call of one agent, as analytics tells it."""
    segments = [
        {"segmentType": "alert", "segmentStart": at(500), "segmentEnd": at(1_000)},
        {"segmentType": "interact", "segmentStart": at(1_000), "segmentEnd": at(5_000)},
        {"segmentType": "hold", "segmentStart": at(5_000), "segmentEnd": at(6_000)},
        {
            "segmentType": "interact",
            "segmentStart": at(6_000),
            "segmentEnd": at(9_000),
            "disconnectType": "transfer",
            "queueId": "q-1",
        },
        {
            "segmentType": "wrapup",
            "segmentStart": at(9_000),
            "segmentEnd": at(12_000),
            "wrapUpCode": "w-1",
        },
    ]
    session = {"sessionId": "comm-1", "mediaType": "voice", "segments": segments}
    shown = {"participantId": "p-1", "purpose": "agent", "userId": "u-1", "sessions": [session]}
    return {
        "conversationId": "c-1",
        "conversationStart": at(400),
        "conversationEnd": at(9_000),
        "participants": [shown],
        **fields,
    }


def test_analytics_names_transitions_as_frames_do() -> None:
    """Sessions and segments give the ids and times of the frames that were missed."""
    raw = msgspec.json.encode(analytics())
    told = Normaliser().analytics(raw, at(99_000), 0.0).events
    reader = Reader()
    held = leg("connected", connectedTime=at(1_000), held=True, startHoldTime=at(5_000))
    seen = reader.frame(participant(leg("alerting")))
    seen += reader.frame(participant(held))
    seen += reader.frame(participant({**held, "held": False}))
    wrapup = {"code": "w-1", "endTime": at(12_000)}
    done = {"startAcwTime": at(9_000), "endAcwTime": at(12_000)}
    seen += reader.frame(participant(ENDED, wrapup=wrapup, **done))
    expected = {e.event_id: e.event_type for e in seen if e.origin != "snapshot"}
    assert {e.event_id: e.event_type for e in told} == expected
    assert {e.origin for e in told} == {"backfill"}
    assert only(told, "resume").occurred_at == at(6_000)


@pytest.mark.parametrize("first", range(5))
def test_the_places_of_segments_mean_nothing(first: int) -> None:
    """Only their times say what came first, in analytics and in REST."""
    body = analytics()
    told = Normaliser().analytics(msgspec.json.encode(body), at(99_000), 0.0).events
    segments = body["participants"][0]["sessions"][0]["segments"]
    segments[:] = segments[first:] + segments[:first]
    turned = Normaliser().analytics(msgspec.json.encode(body), at(99_000), 0.0).events
    assert turned == told
    alerts = [{"type": "Alert", "startTime": at(ms)} for ms in (500, 700, 600, 900, 800)]
    rung = leg("connected", segments=alerts[first:] + alerts[:first])
    assert only(Reader().rest(participant(rung)), "alert").occurred_at == at(500)


def test_analytics_of_media_without_a_name_do_not_end() -> None:
    """An `end` names all legs; where one cannot be named there is none."""
    body = analytics()
    body["participants"].append(
        {"participantId": "p-2", "sessions": [{"mediaType": "unknown", "segments": []}]}
    )
    told = Normaliser().analytics(msgspec.json.encode(body), at(99_000), 0.0).events
    assert "disconnect" in types(told)
    assert "end" not in types(told)


def test_analytics_of_a_live_call_leave_it_live() -> None:
    """Without `conversationEnd` and with an open last segment nothing has ended."""
    body = analytics()
    del body["conversationEnd"]
    body["participants"][0]["sessions"][0]["segments"][1:] = [
        {"segmentType": "interact", "segmentStart": at(1_000)}
    ]
    told = Normaliser().analytics(msgspec.json.encode(body), at(99_000), 0.0).events
    assert types(told) == ["start", "alert", "answer"]


def test_the_janitor_ends_under_the_ids_of_frames() -> None:
    """Missing disconnects and the end are those that a frame would have told; then `finalize`."""
    reader = Reader()
    live = leg("connected", connectedTime=at(1_000))
    second = {**live, "id": "comm-2"}
    other = participant(live, participant_id="p-2", medium="chat")
    reader.frame(participant(ENDED, second), other)
    legs = [Live("p-1", "call", "comm-2"), Live("p-2", "chat", "comm-1")]
    told = ending("c-1", legs, ["p-1 comm-1"], received_at=at(99_000), reason="not_found")
    assert types(told) == ["disconnect", "disconnect", "end", "finalize"]
    assert {e.origin for e in told} == {"janitor"}
    assert all(e.estimated and e.occurred_at == e.received_at for e in told)
    assert [e.reason for e in told] == [None, None, None, "not_found"]
    over = {"state": "disconnected", "disconnectedTime": at(20_000)}
    seen = reader.frame(
        participant(ENDED, {**second, **over}),
        participant({**live, **over}, participant_id="p-2", medium="chat"),
    )
    assert [e.event_id for e in told[:3]] == [e.event_id for e in seen]


def test_the_janitor_may_know_when() -> None:
    """With Genesys' own end the times are its, and not estimated."""
    legs = [Live("p-1", "call")]
    told = ending("c-1", legs, [], received_at=at(9), reason="ended", ended_at=at(5))
    assert {(e.occurred_at, e.estimated) for e in told} == {(at(5), False)}


def agent_frame(word: str, body: dict[str, Any]) -> list[AgentEvent]:
    """Agent events of a frame of a user topic."""
    reading = Reader().read(frame(body, f"v2.users.u-1.{word}"))
    assert (reading.kind, reading.events, reading.problem) == ("agent", [], None)
    return reading.agents


def test_agent_states_have_one_id_from_both_topics() -> None:
    """`activity` tells what `presence` and `routingStatus` tell, under the same ids."""
    definition = {"id": "pd-1", "systemPresence": "On Queue"}
    presence = {"presenceDefinition": definition, "modifiedDate": at(1)}
    routing = {"status": "IDLE", "startTime": at(2)}
    both = agent_frame("activity", {"id": "u-1", "presence": presence, "routingStatus": routing})
    (presence_event,) = agent_frame("presence", presence)
    (routing_event,) = agent_frame("routingStatus", {"id": "u-1", "routingStatus": routing})
    assert [e.event_id for e in both] == [presence_event.event_id, routing_event.event_id]
    assert (presence_event.user_id, presence_event.presence, presence_event.occurred_at) == (
        "u-1",
        "ON_QUEUE",
        at(1),
    )
    assert (routing_event.routing_status, routing_event.occurred_at, routing_event.origin) == (
        "IDLE",
        at(2),
        "live",
    )


def test_an_undated_presence_is_a_snapshot_reading() -> None:
    """As in the recorded frame: the state, at our time, with an id of its own."""
    (event,) = agent_frame("presence", {"presenceDefinition": {"systemPresence": "AWAY"}})
    assert (event.presence, event.origin, event.estimated) == ("AWAY", "snapshot", True)


@pytest.mark.parametrize("body", [{}, {"routingStatus": 17}, {"presence": {}}, {"presence": "x"}])
def test_odd_agent_frames_raise_nothing(body: dict[str, Any]) -> None:
    """Nothing to tell, and a problem where a type is wrong."""
    reading = Reader().read(frame(body, "v2.users.u-1.activity"))
    assert reading.agents == []
    assert (reading.problem is not None) == any(isinstance(v, int | str) for v in body.values())


AFTERWARDS = ("disconnect", "transfer", "acw", "acw_end", "wrapup", "end")
WRAPUP = {"code": "w-1", "endTime": at(9_500)}
PERSON: dict[str, Any] = {
    "name": "Jo Secret",
    "address": "tel:+15550001",
    "ani": "+15550002",
    "dnis": "+15550003",
    "attributes": {"card": "4111"},
}


def personal_event(personal: Personal | None) -> Event:
    """An answer of a participant with personal fields."""
    reader = Reader(Normaliser(personal=personal))
    shown = participant(leg("connected", connectedTime=at(1)), **PERSON)
    return only(reader.frame(shown), "answer")


def test_personal_fields_are_dropped_by_default() -> None:
    """No byte of them is in the event."""
    encoded = msgspec.json.encode(personal_event(None))
    assert not any(word in encoded for word in (b"Secret", b"1555", b"4111", b"card"))


def test_personal_fields_can_be_kept() -> None:
    """As they came, where the operator says so."""
    event = personal_event(Personal())
    assert (event.participant_name, event.ani, event.dnis) == (
        "Jo Secret",
        "+15550002",
        "+15550003",
    )
    assert (event.address, event.attributes) == ("tel:+15550001", {"card": "4111"})


def test_personal_fields_can_be_hashed() -> None:
    """Equal under one key, different under another, 32 digits, and nothing of the value."""
    hashed, again, other = (personal_event(Personal(key)) for key in ("k1", "k1", "k2"))
    assert hashed.ani == again.ani != other.ani
    assert hashed.ani is not None
    assert len(hashed.ani) == 32
    assert b"4111" not in msgspec.json.encode(hashed)


def check(event: object, schema: dict[str, Any]) -> None:
    """Validate what an event is on the wire, in JSON and in MessagePack."""
    validator = jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    validator.validate(msgspec.json.decode(msgspec.json.encode(event)))
    validator.validate(msgspec.msgpack.decode(msgspec.msgpack.encode(event)))


@pytest.mark.parametrize("medium", sorted(ARRAY))
def test_events_of_every_medium_fit_the_schema(medium: str) -> None:
    """What is produced is what `mirror schema` promises, by an independent validator."""
    work = {"startAcwTime": at(9_000), "endAcwTime": at(9_500)}
    events = Reader().frame(participant(ENDED, medium=medium, wrapup=WRAPUP, **work))
    assert types(events) == ["start", "answer", *AFTERWARDS]
    for event in events:
        assert event.media_type in {medium, None}
        check(event, event_schema())


def test_janitor_and_agent_events_fit_the_schema() -> None:
    """Also those that no frame made."""
    for event in ending("c", [Live("p", "call")], [], received_at=at(1), reason="ended"):
        check(event, event_schema())
    for agent in agent_frame("presence", {"presenceDefinition": {"id": "x"}}):
        check(agent, agent_event_schema())


@pytest.mark.parametrize(
    "change",
    [
        {"more": 1},
        {"event_type": "mute"},
        {"occurred_at": "2026-11-23 10:00"},
        {"event_id": "x"},
        {"media_type": "fax"},
        {"schema_version": 2},
    ],
)
def test_the_schema_refuses_what_is_no_event(change: dict[str, Any]) -> None:
    """Further fields, unknown words of ours, other forms; and every field is required."""
    event = msgspec.to_builtins(Reader().frame(participant(ENDED))[0])
    validator = jsonschema.Draft202012Validator(event_schema())
    assert validator.is_valid(event)
    assert not validator.is_valid({**event, **change})
    assert not validator.is_valid({k: v for k, v in event.items() if k != "ani"})


def test_every_field_of_the_schema_is_described() -> None:
    """`mirror schema` is documentation too."""
    for schema in (event_schema(), agent_event_schema()):
        assert all(field["description"] for field in schema["properties"].values())


def test_a_conversation_of_all_media_at_once_ends_once() -> None:
    """Eleven legs, one start, one end."""
    shown = [participant(ENDED, medium=m, participant_id=f"p-{m}") for m in sorted(ARRAY)]
    events = Reader().read(frame(conversation(*shown))).events
    assert types(events).count("disconnect") == 11
    assert (types(events).count("start"), types(events).count("end")) == (1, 1)


def test_only_what_a_leg_is_after_its_end_says_how_it_was_disconnected() -> None:
    """A body of an ended leg tells its history as frames would have told it."""
    shown = leg(
        "disconnected",
        connectedTime=at(1_000),
        disconnectedTime=at(9_000),
        disconnectType="peer",
        startAlertingTime=at(500),
        segments=[{"type": "Hold", "startTime": at(2_000), "endTime": at(3_000)}],
    )
    events = Reader().rest(participant(shown), startTime=at(0))
    assert types(events)[1:-1] == ["alert", "answer", "hold", "resume", "disconnect"]
    assert [event.disconnect_type for event in events[1:-1]] == [None] * 4 + ["peer"]


def test_analytics_lags_and_takes_no_hold_back() -> None:
    """A hold that frames told since its data were made is not ended by what it shows."""
    talked = {"segmentType": "interact", "segmentStart": at(1_000)}
    session = {"sessionId": "comm-1", "mediaType": "voice", "segments": [talked]}
    someone = {"participantId": "p-1", "purpose": "agent", "userId": "u-1", "sessions": [session]}
    body = {"conversationId": "c-1", "conversationStart": at(0), "participants": [someone]}
    reader = Reader()
    connected = leg("connected", connectedTime=at(1_000))
    events = reader.frame(participant(connected))
    events += reader.frame(participant({**connected, "held": True, "startHoldTime": at(5_000)}))
    asked_at = at((reader.seconds + 60) * 1_000)
    told = Normaliser().analytics(msgspec.json.encode(body), asked_at, 0.0).events
    assert types(told, snapshots=True) == ["start", "answer"]
    (seen,) = folded([*events, *told]).legs.values()
    assert (seen.held, seen.hold_started_at) == (True, at(5_000))


def test_after_call_work_in_analytics_says_that_the_leg_is_over() -> None:
    """Also where the conversation goes on and the last segment has no disconnect type."""
    segments = [
        {"segmentType": "interact", "segmentStart": at(1_000), "segmentEnd": at(2_000)},
        {"segmentType": "wrapup", "segmentStart": at(2_000)},
    ]
    session = {"sessionId": "comm-1", "mediaType": "voice", "segments": segments}
    someone = {"participantId": "p-1", "purpose": "agent", "sessions": [session]}
    body = {"conversationId": "c-1", "conversationStart": at(0), "participants": [someone]}
    told = Normaliser().analytics(msgspec.json.encode(body), at(9_000), 0.0).events
    assert types(told) == ["start", "answer", "disconnect", "acw", "end"]
    assert only(told, "end").occurred_at == at(2_000)


def test_analytics_tells_every_code_in_its_order() -> None:
    """Each wrap-up segment has its own, wherever it stands; the last one may have none yet."""
    segments: list[dict[str, str | None]] = [
        {"segmentType": "interact", "segmentStart": at(1_000), "segmentEnd": at(2_000)},
        {"segmentType": "wrapup", "segmentStart": at(4_000), "wrapUpCode": None},
        {
            "segmentType": "wrapup",
            "segmentStart": at(3_000),
            "segmentEnd": at(4_000),
            "wrapUpCode": "B",
        },
        {
            "segmentType": "wrapup",
            "segmentStart": at(2_000),
            "segmentEnd": at(3_000),
            "wrapUpCode": "A",
        },
    ]
    session = {"sessionId": "comm-1", "mediaType": "voice", "segments": segments}
    someone = {"participantId": "p-1", "purpose": "agent", "sessions": [session]}
    body = {"conversationId": "c-1", "conversationStart": at(0), "participants": [someone]}
    normaliser = Normaliser()
    told = normaliser.analytics(msgspec.json.encode(body), at(9_000), 0.0).events
    codes = [(e.wrapup_code, e.occurred_at) for e in told if e.event_type == "wrapup"]
    assert codes == [("A", at(3_000)), ("B", at(4_000))]
    assert only(told, "acw").occurred_at == at(2_000)
    assert folded(told).legs["p-1 comm-1"].wrapup_code == "B"
    segments[1] |= {"segmentEnd": at(5_000), "wrapUpCode": "C"}
    told = normaliser.analytics(msgspec.json.encode(body), at(10_000), 1.0).events
    assert [e.wrapup_code for e in told if e.event_type == "wrapup"] == ["C"]


def test_each_session_of_analytics_has_its_own_role() -> None:
    """Who monitored, then barged in and then served did so in three sessions."""
    sessions = [
        {
            "sessionId": f"comm-{number}",
            "mediaType": "voice",
            "segments": [
                {
                    "segmentType": "interact",
                    "segmentStart": at(number * 1_000),
                    "segmentEnd": at(number * 1_000 + 500),
                    "disconnectType": "client",
                }
            ],
            **keys,
        }
        for number, keys in enumerate(
            ({"monitoredParticipantId": "p-1"}, {"bargedParticipantId": "p-1"}, {})
        )
    ]
    someone = {"participantId": "p-9", "purpose": "user", "sessions": sessions}
    body = {"conversationId": "c-1", "conversationEnd": at(9_000), "participants": [someone]}
    told = Normaliser().analytics(msgspec.json.encode(body), at(9_000), 0.0).events
    assert [e.role for e in told if e.event_type == "answer"] == ["monitor", "barge", None]
