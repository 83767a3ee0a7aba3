"""Whatever bytes come, reading them raises nothing, and what can be read is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.conversation.normaliser import Normaliser, Reading
from tests.unit.conversation.build import at, conversation, frame, leg, participant, types

CASE = Path(__file__).parents[2] / "recordings" / "cases" / "S18_blind_transfer_to_queue.json"
WHOLE = json.loads(CASE.read_bytes())[-1]  # a frame of six participants
RAW = json.dumps(WHOLE).encode()
TOPIC = b'{"topicName":"v2.users.u.conversations","eventBody":%s}'
WRONG: tuple[Any, ...] = (0, -1.5, True, "x", [], [1], [[]], {}, {"id": 1}, None, [None])


def read(raw: bytes) -> Reading:
    """Read a frame by a new normaliser; its events can always be encoded."""
    reading = Normaliser().frame(raw, at(0), 0.0)
    for event in reading.events:
        assert msgspec.json.decode(msgspec.json.encode(event), type=type(event)) == event
        event.event_id.encode()
    return reading


@given(st.binary(max_size=300))
def test_any_bytes_are_garbage_at_worst(raw: bytes) -> None:
    """Bytes without a topic are a problem, never an exception."""
    reading = read(raw)
    assert reading.kind == "garbage"
    assert reading.problem is not None


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    if not isinstance(value, dict | list):
        return [path]
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [path, *(place for key, part in inner for place in paths(part, (*path, key)))]


@given(st.data())
def test_a_wrong_value_anywhere_spoils_only_itself(data: st.DataObject) -> None:
    """A value of another type at any place of a frame raises nothing. Inside a participant it takes
    no transition from another one."""
    document = json.loads(RAW)
    place = data.draw(st.sampled_from([p for p in paths(document) if p]))
    target = document
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = data.draw(st.sampled_from(WRONG))
    reading = read(json.dumps(document).encode())
    if place[:2] == ("eventBody", "participants") and len(place) > 2:
        spoiled = WHOLE["eventBody"]["participants"][place[2]]["id"]
        sound = [e for e in read(RAW).events if e.participant_id not in {None, spoiled}]
        assert sound
        assert [e for e in reading.events if e in sound] == sound


@given(st.integers(0, 4_000), st.binary(min_size=1, max_size=3))
def test_a_mutated_frame_raises_nothing(where: int, change: bytes) -> None:
    """Bytes overwritten or cut anywhere in a frame."""
    read(RAW[:where] + change + RAW[where + len(change) :])
    read(RAW[:where])


def test_a_field_of_the_wrong_type_leaves_the_rest() -> None:
    """The other participant's events come, and the dead letter says where it was wrong."""
    spoiled = participant(leg("connected", connectedTime=17), participant_id="p-1")
    sound = participant(leg("connected", connectedTime=at(1)), participant_id="p-2")
    reading = read(frame(conversation(spoiled, sound)))
    assert types(reading.events).count("answer") == 1
    assert reading.problem is not None
    assert reading.problem.stage == "schema"
    assert "$.eventBody.participants[0].calls[0].connectedTime" in reading.problem.message


@pytest.mark.parametrize("lost", ["leg", {"id": "p-2", "calls": ["leg"]}, {"calls": "leg"}])
def test_a_leg_that_could_not_be_read_may_live(lost: object) -> None:
    """So nothing says that the conversation is over, until REST or the next frame says so."""
    over = participant(leg("disconnected", connectedTime=at(1), disconnectedTime=at(2)))
    body = {"id": "c-1", "participants": [over, lost]}
    normaliser = Normaliser()
    reading = normaliser.frame(frame(body), at(3), 3.0)
    assert types(reading.events) == ["start", "answer", "disconnect"]
    assert reading.problem is not None
    rest = msgspec.json.encode({**body, "endTime": at(2)})
    assert types(normaliser.conversation(rest, at(4), 4.0).events) == ["end"]
    reading = Normaliser().frame(frame(conversation({**over, "wrapup": "A"})), at(3), 3.0)
    assert types(reading.events)[-1] == "end"


def test_a_partial_reading_releases_no_hold() -> None:
    """A `held` that could not be read is not `false`."""
    normaliser = Normaliser()
    held = leg("connected", connectedTime=at(1), held=True, startHoldTime=at(2))
    normaliser.frame(frame(conversation(participant(held))), at(3), 3.0)
    odd = leg("connected", connectedTime=at(1), held="perhaps")
    reading = normaliser.frame(frame(conversation(participant(odd))), at(4), 4.0)
    assert reading.events == []
    assert reading.problem is not None


@pytest.mark.parametrize(
    ("raw", "stage"),
    [
        (b"", "decode"),
        (b"\xff\xfe", "decode"),
        (TOPIC % b'{"id":"c","note":"\xff"}', "decode"),
        (b'{"topicName":"x"', "decode"),
        (b'{"topicName":"x"} trailing', "decode"),
        (TOPIC % b'{"id":"c","x":NaN}', "decode"),
        (TOPIC % (b'{"x":' * 100_000 + b"1" + b"}" * 100_000), "decode"),
        (TOPIC % (b'{"id":"c","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "decode"),
        (b"[]", "schema"),
        (b"null", "schema"),
        (b"17", "schema"),
        (b"{}", "schema"),
        (b'{"topicName":null}', "schema"),
        (b'{"topicName":"%s"}' % (b"x" * 10_000), "schema"),
        (b'{"topicName":"v2.users.u.conversations"}', "conversation"),
        (TOPIC % b"{}", "conversation"),
        (TOPIC % b'{"id":""}', "conversation"),
        (TOPIC % (b'{"id":"%s"}' % (b"x" * 1_000)), "conversation"),
        (TOPIC % b'{"id":17}', "schema"),
        (TOPIC % b'{"id":1e999}', "schema"),
        (TOPIC % (b'{"id":' + b"1" * 10_000 + b"}"), "schema"),
    ],
)
def test_garbage_is_told_by_stage(raw: bytes, stage: str) -> None:
    """No events, a problem with its stage, and none of the frame's content in the message."""
    reading = read(raw)
    assert reading.events == []
    assert reading.problem is not None
    assert reading.problem.stage == stage
    assert len(reading.problem.message) < 300


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"1" * 5_000, b"0.1"])
def test_numbers_that_are_not_read_do_no_harm(number: bytes) -> None:
    """Numbers no machine holds, in fields that are skipped."""
    assert read(TOPIC % (b'{"id":"c","x":' + number + b"}")).problem is None


def test_half_a_surrogate_pair_is_repaired() -> None:
    """JSON can write it, UTF-8 cannot: the event has a replacement, the frame is a dead letter."""
    body = rb'{"id":"c","participants":[{"id":"p","purpose":"a\ud800b","calls":[{"state":"x"}]}]}'
    reading = read(TOPIC % body)
    assert types(reading.events) == ["start"]
    assert reading.problem is not None
    body = body.replace(b'"x"', b'"alerting"')
    (alert,) = [e for e in read(TOPIC % body).events if e.event_type == "alert"]
    assert alert.purpose == "a\N{REPLACEMENT CHARACTER}b"


def test_repeated_keys_and_nul_pass() -> None:
    """The last of two equal keys counts; NUL is a character like any other."""
    reading = read(TOPIC % rb'{"id":"a","id":"b\u0000","participants":[{"id":"p","calls":[{}]}]}')
    assert [e.conversation_id for e in reading.events] == ["b\0"]
    assert reading.problem is None
