"""What Genesys should not send and may: the reading stays sane, bounded and quick."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from mirror.conversation.event import Pii
from mirror.conversation.normaliser import Normaliser, Personal, Reading
from mirror.conversation.normaliser.analytics import AnalyticsBody, body_of
from mirror.conversation.normaliser.normaliser import LARGE_FRAME_BYTES, MAX_LEGS, MAX_VALUES
from tests.unit.conversation.build import (
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

CONNECTED = leg("connected", connectedTime=at(1_000), held=False)
ENDED = leg(
    "disconnected", connectedTime=at(1_000), disconnectedTime=at(9_000), disconnectType="peer"
)
TOPIC = b'{"topicName":"v2.users.u.conversations","eventBody":%s}'
QUICK_SECONDS = 2.0  # seconds, on a machine with other work
ONE_FRAME_SECONDS = 0.5  # a tenth, and room for such a machine


def read(*participants: dict[str, Any], reader: Reader | None = None, **fields: Any) -> Reading:
    """A reading of a frame, of which nothing is asserted."""
    return (reader or Reader()).read(frame(conversation(*participants, **fields)))


def quickly(raw: bytes) -> Reading:
    """A reading that takes no longer than a listener can spare."""
    normaliser = Normaliser()
    began = time.process_time()
    reading = normaliser.frame(raw, at(0), 0.0)
    assert time.process_time() - began < QUICK_SECONDS
    return reading


# --- times ----------------------------------------------------------------------------------------

BROKEN = "2021-04-2T10:00:00.000Z"


@pytest.mark.parametrize(
    ("shown", "lost"),
    [
        ({**CONNECTED, "connectedTime": BROKEN}, "answer"),
        ({**ENDED, "disconnectedTime": BROKEN}, "disconnect"),
        ({**CONNECTED, "held": True, "startHoldTime": BROKEN}, "hold"),
        ({**CONNECTED, "state": "parked", "parkTime": BROKEN}, "park"),
        ({**ENDED, "afterCallWork": {"state": "pending", "startTime": BROKEN}}, "acw"),
    ],
)
def test_a_broken_date_makes_a_dead_letter_and_an_event_at_our_time(
    shown: dict[str, Any], lost: str
) -> None:
    """The transition is told all the same, once, whatever its time was meant to be."""
    reader = Reader()
    reader.frame(participant(leg("alerting"), medium="email"))
    reading = read(participant(shown, medium="email"), reader=reader)
    assert reading.problem is not None
    assert (reading.problem.stage, reading.problem.error) == ("schema", "InvalidTime")
    event = only(reading.events, lost)
    assert (event.occurred_at, event.estimated) == (event.received_at, True)
    again = read(participant(shown, medium="email"), reader=reader)
    assert again.events == []


def test_a_broken_date_in_analytics_is_a_dead_letter_too() -> None:
    """Not only an answer that is missing."""
    segments = [{"segmentType": "interact", "segmentStart": BROKEN}]
    session = {"sessionId": "l", "mediaType": "voice", "segments": segments}
    body = {"conversationId": "c", "participants": [{"participantId": "p", "sessions": [session]}]}
    reading = Normaliser().analytics(msgspec.json.encode(body), at(0), 0.0)
    assert reading.problem is not None
    assert reading.problem.error == "InvalidTime"
    assert "answer" in types(reading.events)


# --- attributes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("personal", [Personal(), Personal("key")])
def test_attributes_that_are_no_text_make_no_dead_letter(personal: Personal) -> None:
    """Null is left out; numbers and more stand as their JSON."""
    reader = Reader(Normaliser(personal=personal))
    attributes = {"a": None, "b": 1, "c": True, "d": ["x"], "e": {"f": None}, "g": "", "h": "text"}
    reading = read(participant(CONNECTED, attributes=attributes), reader=reader)
    assert reading.problem is None
    told = only(reading.events, "answer").attributes
    assert told is not None
    assert set(told) == set("bcdegh")
    assert all(isinstance(value, str) for value in told.values())
    for odd in (None, {}, {"": ""}):
        assert read(participant(CONNECTED, attributes=odd), reader=reader).problem is None


def test_attributes_are_not_decoded_without_need() -> None:
    """With `MIRROR_PII=drop` nothing of them is read but who consults, whatever its type."""
    odd: tuple[Any, ...] = (None, 17, [], {"x": 1}, "true")
    for value in odd:
        shown = participant(CONNECTED, attributes={"consultInitiator": value, "card": 4111})
        assert read(shown).problem is None


def test_a_leg_that_nobody_can_name_makes_a_dead_letter() -> None:
    """Its participant has no id; what else the frame shows is told."""
    nameless = {**participant(CONNECTED), "id": None}
    reading = read(nameless, participant(CONNECTED, participant_id="p-2"))
    assert reading.problem is not None
    assert reading.problem.error == "MissingParticipantId"
    assert types(reading.events) == ["start", "answer"]
    assert read({"purpose": "acd"}, participant(CONNECTED)).problem is None


# --- media ----------------------------------------------------------------------------------------


def test_an_unknown_medium_keeps_its_conversation_open_while_it_lives() -> None:
    """It is counted by name and a dead letter; what is known beside it is told."""
    reader = Reader()
    shown = participant(ENDED)
    for state, end in (("connected", False), ("disconnected", True)):
        shown["holograms"] = [{"id": "h", "state": state}]
        reading = read(shown, reader=reader)
        assert reading.strange == {"holograms"}
        assert reading.problem is not None
        assert reading.problem.error == "UnknownMedium"
        assert "holograms" in reading.problem.message
        assert ("end" in types(reading.events)) == end


def test_rest_says_that_an_unknown_medium_is_over() -> None:
    """Whatever state it lags behind in."""
    shown = participant(ENDED)
    shown["holograms"] = [{"id": "h", "state": "connected"}]
    raw = msgspec.json.encode(conversation(shown, endTime=at(9_500)))
    reading = Normaliser().conversation(raw, at(10_000), 0.0)
    assert reading.strange == {"holograms"}
    assert only(reading.events, "end").occurred_at == at(9_000)


def test_names_of_unknown_media_are_few_and_short() -> None:
    """They are counted and logged."""
    shown = participant(ENDED)
    shown["holograms"] = [{"id": "h", "state": "disconnected"}]
    for number in range(100):
        shown[f"{number}" + "x" * 10_000] = [{"id": "h", "state": "connected"}]
    reading = read(shown)
    assert len(reading.strange) < 10
    assert reading.problem is not None
    assert len(reading.problem.message) < 1_000
    assert "end" not in types(reading.events)


def test_names_of_unknown_media_are_few_in_all_participants_together() -> None:
    """A frame has thousands of participants."""
    people = [
        {**participant(ENDED, participant_id=f"p-{number}"), f"m{number}": [{"state": "connected"}]}
        for number in range(100)
    ]
    reading = read(*people)
    assert len(reading.strange) < 10
    assert {"m0", "others"} <= reading.strange


def test_an_array_without_states_is_no_medium() -> None:
    """Genesys adds arrays of other things."""
    shown = participant(ENDED)
    shown["badges"] = [{"id": "x", "colour": "red"}]
    reading = read(shown)
    assert (reading.strange, reading.problem) == (frozenset(), None)
    assert "end" in types(reading.events)


def test_a_medium_that_nobody_knew_is_told_once_in_a_repeated_frame() -> None:
    """Its bytes are recognised, and still keep the conversation open."""
    reader = Reader()
    shown = participant(ENDED)
    shown["holograms"] = [{"id": "h", "state": "connected"}]
    other = participant(CONNECTED, participant_id="p-2")
    read(shown, other, reader=reader)
    assert "end" not in types(
        read(shown, participant(ENDED, participant_id="p-2"), reader=reader).events
    )


# --- ids ------------------------------------------------------------------------------------------


def test_a_correlation_id_of_absurd_length_is_left_out() -> None:
    """700 kB would stand in each event; the frame itself is sound."""
    body = conversation(
        participant(CONNECTED), *(participant(ENDED, participant_id=f"q{n}") for n in range(50))
    )
    raw = msgspec.json.encode(
        {
            "topicName": "v2.users.u.conversations",
            "eventBody": body,
            "metadata": {"CorrelationId": "x" * 700_000},
        }
    )
    reading = quickly(raw)
    assert reading.problem is None
    assert {event.correlation_id for event in reading.events} == {None}


def test_participants_without_an_id_are_left_out() -> None:
    """Nothing could name their legs; the conversation goes on while they do."""
    unnamed, ended = participant(CONNECTED), participant(ENDED)
    del unnamed["id"], ended["id"]
    assert read(unnamed).events == []
    reader = Reader()
    other = participant(ENDED, participant_id="p-2")
    assert types(read(unnamed, other, reader=reader).events)[-1] == "disconnect"
    assert types(read(ended, other, reader=reader).events) == ["end"]


def test_communications_without_an_id_are_named_by_their_medium() -> None:
    """Of each medium one: a second one is no leg of its own, but keeps the conversation open."""
    bare = {name: value for name, value in ENDED.items() if name != "id"}
    live = {name: value for name, value in CONNECTED.items() if name != "id"}
    reader = Reader()
    events = read(participant(bare, live), reader=reader).events
    assert types(events) == ["start", "answer", "disconnect"]
    assert {e.communication_id for e in events} == {None}
    assert list(folded(events).legs) == ["p-1 call"]
    assert types(read(participant(bare, bare), reader=reader).events) == ["end"]
    both = participant(bare)
    both["callbacks"] = [live]
    assert list(folded(read(both).events).legs) == ["p-1 call", "p-1 callback"]


def test_two_communications_with_one_id_are_one_leg() -> None:
    """The first one counts, so that the same frame says the same each time."""
    reader = Reader()
    first = read(participant(CONNECTED, ENDED), reader=reader)
    assert types(first.events) == ["start", "answer"]
    assert read(participant(CONNECTED, ENDED), reader=reader).events == []
    assert types(read(participant(ENDED, CONNECTED), reader=reader).events) == ["disconnect"]
    assert types(read(participant(ENDED, ENDED), reader=reader).events) == ["end"]


# --- order ----------------------------------------------------------------------------------------


def test_the_order_of_arrays_means_nothing() -> None:
    """Legs are known by their ids, wherever they stand."""
    reader = Reader()
    other = {**ENDED, "id": "comm-2"}
    people = participant(CONNECTED, other), participant(CONNECTED, participant_id="p-2")
    read(*people, reader=reader)
    assert read(*reversed(people), reader=reader).events == []
    assert read(people[1], participant(other, CONNECTED), reader=reader).events == []


def test_an_end_is_sticky_and_a_leg_that_lives_again_changes_nothing() -> None:
    """Frames carry no order: what shows an ended leg alive is late."""
    reader = Reader()
    read(participant(CONNECTED), reader=reader)
    assert types(read(participant(ENDED), reader=reader).events) == ["disconnect", "end"]
    terminated = participant({**ENDED, "state": "terminated"})
    assert read(terminated, reader=reader).events == []
    assert read(participant(CONNECTED), reader=reader).events == []
    assert read(terminated, reader=reader).events == []


def test_legs_that_replace_each_other_end_each_conversation_anew() -> None:
    """Where only the latest communication is shown, another `end` of as many legs is another."""
    reader = Reader()
    first = only(read(participant(ENDED), reader=reader).events, "end")
    events = read(participant({**ENDED, "id": "comm-2"}), reader=reader).events
    assert types(events) == ["answer", "disconnect", "end"]
    assert only(events, "end").event_id != first.event_id


# --- size -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inside",
    [
        b'{"id":"c","participants":[{"id":"p","calls":[' + b"{}," * 1_500_000 + b"{}]}]}",
        b'{"id":"c","x":[' + b"[]," * 5_000_000 + b"[]]}",
        b'{"id":"c","participants":[' + b"{}," * 1_500_000 + b"{}]}",
        b'{"id":"c","participants":[{"id":"p","attributes":{"x":[' + b"[]," * 500_000 + b"[]]}}]}",
        b'{"id":"c","participants":[' + b"1," * 2_000_000 + b"1]}",
        b'{"id":"c","participants":[{"id":"p","calls":[' + b"1," * 2_000_000 + b"1]}]}",
        b'{"id":"c","participants":[{"id":"p","calls":[' + b'"",' * 2_000_000 + b'""]}]}',
        b'{"id":"c","participants":[{"id":"p","attributes":{'
        + b'"a":1,' * 2_000_000
        + b'"a":1}}]}',
    ],
)
def test_too_many_values_are_a_dead_letter_at_once(inside: bytes) -> None:
    """Objects are dear in memory, and other channels wait."""
    reading = quickly(TOPIC % inside)
    assert (reading.kind, reading.events) == ("garbage", [])
    assert reading.problem is not None
    assert reading.problem.error == "TooManyValues"


def test_too_many_values_in_a_body_of_rest_are_one_too() -> None:
    """Answers of 32 MiB are taken."""
    raw = b'{"id":"c","participants":[{"id":"p","calls":[' + b"{}," * 1_500_000 + b"{}]}]}"
    began = time.process_time()
    readings = [
        Normaliser().conversation(raw, at(0), 0.0),
        Normaliser().analytics(
            b'{"conversationId":"c","participants":[' + b"{}," * 1_500_000 + b"{}]}", at(0), 0.0
        ),
    ]
    assert time.process_time() - began < 2 * QUICK_SECONDS
    for reading in readings:
        assert reading.problem is not None
        assert reading.problem.error == "TooManyValues"


def test_a_frame_that_is_partly_wrong_is_read_quickly() -> None:
    """Though it has thousands of legs."""
    shown = [{**ENDED, "id": f"l-{number}"} for number in range(4_000)]
    reading = quickly(frame(conversation(participant({"id": 17}, *shown))))
    assert types(reading.events).count("disconnect") == 4_000
    assert reading.problem is not None
    assert reading.problem.error == "ValidationError"


@pytest.mark.parametrize(
    "calls",
    [b'{"id":1},' * 20_000, b'{"id":1},' * 200_000, b"1," * 20_000, b"1," * 100_000],
    ids=["legs", "a large frame of legs", "numbers", "more numbers"],
)
def test_a_frame_that_is_wrong_all_over_is_given_up(calls: bytes) -> None:
    """Each value that does not fit costs a little more than others."""
    inside = b'{"id":"c","participants":[{"id":"p","calls":[' + calls + b"{}]}]}"
    began = time.process_time()
    reading = Normaliser().frame(TOPIC % inside, at(0), 0.0)
    assert time.process_time() - began < ONE_FRAME_SECONDS
    assert reading.events == []
    assert reading.problem is not None


@pytest.mark.parametrize(
    ("is_wrong", "per_participant"), [(False, 1), (False, 1_000), (True, 1_000)]
)
def test_more_legs_than_a_loop_can_spare_are_a_dead_letter(
    is_wrong: bool, per_participant: int
) -> None:
    """Each leg is compared, and becomes events that are written at once."""
    legs = [leg("connected", id=f"l-{number}") for number in range(MAX_LEGS + 1)]
    people = [
        participant(*legs[n : n + per_participant], participant_id=f"p-{n}")
        for n in range(0, len(legs), per_participant)
    ]
    raw = frame(conversation(*people, message=17 if is_wrong else None))
    began = time.process_time()
    reading = Normaliser().frame(raw, at(0), 0.0)
    assert time.process_time() - began < ONE_FRAME_SECONDS
    assert (reading.kind, reading.events) == ("conversation", [])
    assert reading.problem is not None
    assert reading.problem.error == "TooManyLegs"


def test_a_body_of_rest_may_have_more_legs() -> None:
    """A janitor may take its time: so even such a conversation reaches Kafka."""
    legs = [leg("connected", id=f"l-{number}") for number in range(MAX_LEGS + 1)]
    raw = msgspec.json.encode(conversation(participant(*legs)))
    reading = Normaliser().conversation(raw, at(0), 0.0)
    assert reading.problem is None
    assert len(reading.events) > MAX_LEGS


@pytest.mark.parametrize(
    ("pii", "inside"),
    [
        ("drop", b'"calls":[' + b"{}," * 49_000 + b"{}]"),
        ("drop", b'"calls":[' + b'{"segments":[{"type":"alert"}]},' * 16_000 + b"{}]"),
        ("drop", b",".join(b'"m%d":[{"state":"x"}]' % n for n in range(24_000))),
        (
            "keep",
            b'"calls":[{"id":"l","state":"connected"}],"attributes":{'
            + b",".join(b'"%d":1' % n for n in range(149_000))
            + b"}",
        ),
    ],
    ids=["legs", "segments", "unknown media", "attributes"],
)
def test_the_worst_frames_within_the_bounds_cost_what_a_loop_can_spare(
    pii: Pii, inside: bytes
) -> None:
    """Some tenth of a second, on a machine with nothing else to do."""
    raw = TOPIC % b'{"id":"c","participants":[{"id":"p","purpose":"agent",%s}]}' % inside
    normaliser = Normaliser(personal=Personal.of(pii, ""))
    began = time.process_time()
    reading = normaliser.frame(raw, at(0), 0.0)
    assert time.process_time() - began < ONE_FRAME_SECONDS
    assert reading.problem is not None
    assert reading.problem.error != "TooManyValues"


def test_a_session_of_analytics_costs_the_same_among_many() -> None:
    """No list of the sessions before is copied for each."""
    sessions = [{"sessionId": f"l-{number}", "mediaType": "voice"} for number in range(60_000)]
    body = {"conversationId": "c", "participants": [{"participantId": "p", "sessions": sessions}]}
    found = msgspec.json.decode(msgspec.json.encode(body), type=AnalyticsBody)
    began = time.process_time()
    person = (body_of(found)[0].participants or [])[0]
    assert time.process_time() - began < QUICK_SECONDS
    assert person.calls is not None
    assert [call.id for call in person.calls[:2]] == ["l-0", "l-1"]
    assert len(person.calls) == 60_000


def test_a_large_sound_conversation_is_read() -> None:
    """Some hundred participants with long attributes: more bytes than any limit of values."""
    people = [
        participant(
            {**ENDED, "id": f"l-{number}"},
            participant_id=f"p-{number}",
            attributes={f"a{n}": "x" * 200 for n in range(20)},
        )
        for number in range(300)
    ]
    raw = frame(conversation(*people))
    assert len(raw) > LARGE_FRAME_BYTES
    assert raw.count(b"{") < MAX_VALUES
    reading = quickly(raw)
    assert reading.problem is None
    assert types(reading.events).count("disconnect") == 300


@pytest.mark.parametrize(
    ("shown", "fields"),
    [
        ({**ENDED, "disconnectType": "transfer.consult"}, {}),
        (ENDED, {"consultParticipantId": "p-c"}),
    ],
)
def test_a_long_thread_costs_what_it_is_long(shown: dict[str, Any], fields: dict[str, Any]) -> None:
    """No leg of thousands is compared with all others to see who consulted whom."""
    times = [(at(n * 1_000), at(n * 1_000 + 900)) for n in range(MAX_LEGS)]
    people = [
        participant(
            {**shown, "connectedTime": began, "disconnectedTime": over},
            medium="message",
            participant_id=f"p-{number}",
            **fields,
        )
        for number, (began, over) in enumerate(times)
    ]
    assert len(quickly(frame(conversation(*people))).events) >= 2 * len(people)
