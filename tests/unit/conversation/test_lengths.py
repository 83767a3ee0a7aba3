"""Texts of absurd length: wherever one stands, the events stay small and the rest is read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, get_args, get_origin

import msgspec
import pytest

from mirror.conversation.normaliser import Normaliser, Personal, Reading
from mirror.conversation.normaliser.agents import AgentFrame
from mirror.conversation.normaliser.analytics import AnalyticsBody
from mirror.conversation.normaliser.bodies import Communication, PersonalBody, PersonalFrame
from mirror.conversation.normaliser.lengths import MAX_WORD
from mirror.conversation.normaliser.personal import FREE_SIZE, MAX_ATTRIBUTES, MAX_COPIES, MAX_TEXT
from tests.unit.conversation.build import at, conversation, frame, leg, participant, types

LEGS = 30
# Without these nothing can be told.
NAMELESS = {
    "topicName",
    "eventBody.id",
    "id",
    "conversationId",
    "eventBody.participants.id",
    "participants.id",
    "participants.participantId",
    "participants.sessions.mediaType",
}
HUGE = 300_000
QUICK_SECONDS = 2.0  # on a machine with other work
SMALL = 3_000  # bytes: more than any event of sound texts
ENDED = leg(
    "disconnected",
    connectedTime=at(1_000),
    disconnectedTime=at(9_000),
    disconnectType="peer",
    wrapup={"code": "code-1", "endTime": at(10_000)},
    afterCallWork={"state": "complete", "startTime": at(9_000), "endTime": at(11_000)},
)
SEGMENT = {
    "segmentType": "interact",
    "segmentStart": at(1_000),
    "segmentEnd": at(9_000),
    "disconnectType": "peer",
    "queueId": "q-1",
}
AGENT = {
    "topicName": "v2.users.u-1.activity",
    "eventBody": {
        "presence": {
            "presenceDefinition": {"id": "d-1", "systemPresence": "BUSY"},
            "modifiedDate": at(0),
        },
        "routingStatus": {"status": "IDLE", "startTime": at(0)},
    },
    "metadata": {"CorrelationId": "corr-1"},
}
ARRAYS = {"calls", "screenMonitorings"}  # of the media, which are all alike
# Not in events, or no reason for a dead letter: the topic and the conversation's id have problems
# of their own, and a flat presence stands beside the one that is read.
SILENT = (
    "metadata.CorrelationId",
    "eventBody.message",
    "message",
    "eventBody.startTime",
    "startTime",
    "eventBody.endTime",
    "endTime",
)


def texts(kind: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """The paths of all texts that a struct and the structs in it can have."""
    for field in msgspec.structs.fields(kind):
        here = (*path, field.encode_name)
        for inner in get_args(field.type) or (field.type,):
            element = get_args(inner)[0] if get_origin(inner) is list else inner
            if inner is str:
                yield ".".join(here)
            elif isinstance(element, type) and issubclass(element, msgspec.Struct):
                is_like_another = element is Communication and field.encode_name not in ARRAYS
                yield from () if is_like_another else texts(element, here)


def put(document: Any, path: list[str], size: int) -> None:
    """Put a long text at `path` into `document`, in all elements of arrays of legs."""
    name, *rest = path
    if not rest:
        document[name] = "x" * size
        return
    inner = document.setdefault(name, [{}] if name == "segments" else {})
    if isinstance(inner, list):
        for item in inner:
            put(item, rest, size // len(inner))
    else:
        put(inner, rest, size)


def legs() -> list[dict[str, Any]]:
    """Ended communications."""
    return [{**deepcopy(ENDED), "id": f"l-{number}"} for number in range(LEGS)]


def shown(path: list[str]) -> dict[str, Any]:
    """A body of frames and REST with a long text at `path`."""
    person = participant(*legs())
    if path[1:2] == ["screenMonitorings"]:
        person["screenMonitorings"] = person.pop("calls")
    body = conversation(person, participant(leg("connected"), participant_id="p-2"))
    put(body, path, HUGE)
    return body


def of_frame(path: str, *, spoilt: bool = False) -> Reading:
    """The reading of a frame, perhaps one with a value of a wrong type."""
    document: dict[str, Any] = {"topicName": "v2.users.u-1.conversations"}
    head, *rest = path.split(".")
    document["eventBody"] = shown(rest) if head == "eventBody" else shown(["x"])
    if head != "eventBody":
        put(document, [head, *rest], HUGE)
    if spoilt:
        document["eventBody"]["participants"].append({"id": 17})
    return reader().frame(msgspec.json.encode(document), at(0), 0.0)


def of_salvaged(path: str) -> Reading:
    """The reading of a frame that is partly wrong."""
    return of_frame(path, spoilt=True)


def of_rest(path: str) -> Reading:
    """The reading of a body of REST."""
    raw = msgspec.json.encode(shown(path.split(".")))
    return reader().conversation(raw, at(0), 0.0)


def of_analytics(path: str) -> Reading:
    """The reading of a result of analytics."""
    sessions = [
        {"sessionId": f"l-{number}", "mediaType": "voice", "segments": [{**SEGMENT}]}
        for number in range(LEGS)
    ]
    person = {"participantId": "p-1", "purpose": "agent", "userId": "u-1", "sessions": sessions}
    other = {"participantId": "p-2", "sessions": [{"sessionId": "l", "mediaType": "voice"}]}
    document = {"conversationId": "c-1", "participants": [person, other]}
    put(document, path.split("."), HUGE)
    return reader().analytics(msgspec.json.encode(document), at(0), 0.0)


def of_agents(path: str) -> Reading:
    """The reading of an agent's frame."""
    document = msgspec.json.decode(msgspec.json.encode(AGENT))
    put(document, path.split("."), HUGE)
    return reader().frame(msgspec.json.encode(document), at(0), 0.0)


def reader() -> Normaliser:
    """A normaliser that keeps personal values."""
    return Normaliser(personal=Personal())


def size(reading: Reading) -> int:
    """Bytes of all events."""
    return sum(len(msgspec.json.encode(event)) for event in [*reading.events, *reading.agents])


SOURCES: dict[Callable[[str], Reading], Any] = {
    of_frame: PersonalFrame,
    of_salvaged: PersonalFrame,
    of_rest: PersonalBody,
    of_analytics: AnalyticsBody,
    of_agents: AgentFrame,
}
CASES = [
    pytest.param(read, path, id=f"{read.__name__}-{path}")
    for read, kind in SOURCES.items()
    for path in texts(kind)
]


def test_the_cases_are_those_of_all_structs() -> None:
    """The walk found texts of each depth, personal ones among them."""
    found = set(texts(PersonalFrame))
    assert {
        "topicName",
        "eventBody.associatedConversation.id",
        "eventBody.participants.monitoredParticipantId",
        "eventBody.participants.ani",
        "eventBody.participants.calls.ourMedium",
        "eventBody.participants.screenMonitorings.segments.startTime",
        "eventBody.participants.calls.wrapup.code",
    } <= found
    assert "participants.sessions.segments.wrapUpCode" in set(texts(AnalyticsBody))
    assert "eventBody.presenceDefinition.systemPresence" in set(texts(AgentFrame))


@pytest.mark.parametrize(("read", "path"), CASES)
def test_a_text_of_absurd_length_is_in_no_event(read: Callable[[str], Reading], path: str) -> None:
    """The frame is a dead letter; what else it shows is told."""
    began = time.process_time()
    reading = read(path)
    assert time.process_time() - began < QUICK_SECONDS
    for event in [*reading.events, *reading.agents]:
        assert len(msgspec.json.encode(event)) < SMALL
    if reading.problem is not None:
        assert len(msgspec.json.encode(reading.problem)) < 500
    elif read is not of_analytics:
        assert path in SILENT
    if path not in NAMELESS and read is not of_agents:
        assert reading.events


@pytest.mark.parametrize("read", [of_frame, of_rest])
def test_a_long_text_with_escapes_is_found(read: Callable[[str], Reading]) -> None:
    """The quick look at the bytes of a participant goes from quote to quote."""
    person = participant(*legs(), userId='"' * HUGE)
    raw = frame(conversation(person))
    if read is of_rest:
        raw = msgspec.json.encode(conversation(person))
        reading = reader().conversation(raw, at(0), 0.0)
    else:
        reading = reader().frame(raw, at(0), 0.0)
    assert reading.problem is not None
    assert reading.problem.error == "TextTooLong"
    assert {event.agent_id for event in reading.events} == {None}


def test_a_word_that_is_just_short_enough_stays() -> None:
    """Of a large participant, in a frame and in what was salvaged."""
    person = participant(*legs(), userId="u" * MAX_WORD, x="x" * 10_000)
    for odd in ([], [{"id": 17}]):
        reading = reader().frame(frame(conversation(person, *odd)), at(0), 0.0)
        assert {event.agent_id for event in reading.events} == {None, "u" * MAX_WORD}
        assert (reading.problem is None) == (not odd)


# --- personal values ------------------------------------------------------------------------------


@pytest.mark.parametrize("personal", [Personal(), Personal("key")])
@pytest.mark.parametrize(
    "attributes",
    [
        {f"k{number}": "v" for number in range(50_000)},
        {"a": "x" * 700_000},
        {"x" * 700_000: "a"},
        {"a": ["x" * 700_000]},
        {f"k{number}": "x" * 500 for number in range(130)},
    ],
)
def test_attributes_cost_what_they_are_long(personal: Personal, attributes: dict[str, Any]) -> None:
    """However many legs have them, and whatever becomes of them."""
    many = [{**ENDED, "id": f"l-{number}"} for number in range(500)]
    raw = frame(conversation(participant(*many, attributes={"first": "1", **attributes})))
    normaliser = Normaliser(personal=personal)
    began = time.process_time()
    reading = normaliser.frame(raw, at(0), 0.0)
    assert time.process_time() - began < QUICK_SECONDS
    assert size(reading) < MAX_COPIES * len(raw) + 2 * FREE_SIZE
    assert types(reading.events).count("disconnect") == 500
    assert reading.problem is not None
    assert reading.problem.error == "TextTooLong"
    told = reading.events[1].attributes
    assert told is not None
    assert "first" in told
    assert len(told) <= MAX_ATTRIBUTES


@pytest.mark.parametrize("name", ["ani", "dnis", "name", "address"])
def test_a_personal_text_has_a_length_of_its_own(name: str) -> None:
    """Addresses are longer than words."""
    field = {"name": "participant_name"}.get(name, name)
    for length, told in ((MAX_TEXT, "x" * MAX_TEXT), (MAX_TEXT + 1, None)):
        person = participant(*legs(), **{name: "x" * length})
        reading = reader().frame(frame(conversation(person)), at(0), 0.0)
        assert {getattr(event, field) for event in reading.events[1:-1]} == {told}
        assert (reading.problem is None) == (told is not None)


def test_personal_values_are_made_once_for_all_events() -> None:
    """Each is hashed once, not once for each event."""

    class Counted(Personal):
        calls = 0

        def hidden(self, value: str) -> str:
            Counted.calls += 1
            return super().hidden(value)

    person = participant(*legs(), ani="+49", attributes={f"a{n}": "x" for n in range(10)})
    reading = Normaliser(personal=Counted("key")).frame(frame(conversation(person)), at(0), 0.0)
    assert len([event for event in reading.events if event.attributes]) > 2 * LEGS
    assert Counted.calls == 11


def test_a_sound_participant_with_many_attributes_and_events_has_all_of_them() -> None:
    """Some legs with 10 kB each are no reason to leave anything out."""
    person = participant(*legs(), attributes={f"a{n}": "x" * 100 for n in range(100)})
    reading = reader().frame(frame(conversation(person)), at(0), 0.0)
    assert reading.problem is None
    told = [event.attributes for event in reading.events if event.participant_id]
    assert all(attributes is not None and len(attributes) == 100 for attributes in told)


def test_too_many_personal_values_do_not_hold_the_conversation_up() -> None:
    """They change no transition, so the frame counts as complete, and its repeat is none."""
    normaliser = reader()
    held = leg("connected", connectedTime=at(1_000), held=True, startHoldTime=at(2_000))
    over = leg("connected", connectedTime=at(1_000), held=False)
    attributes = {"a": "x" * 700_000}
    for shown_leg in (held, over):
        raw = frame(conversation(participant(shown_leg, attributes=attributes)))
        events = normaliser.frame(raw, at(3_000), 0.0).events
    assert "resume" in types(events)
    assert normaliser.frame(raw, at(4_000), 1.0).events == []
