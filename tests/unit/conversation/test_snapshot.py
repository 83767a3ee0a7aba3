"""Recognising what is unchanged, participants and whole bodies, saves work and changes no event.

The reference is a normaliser that is made to forget, before each frame, what the last one looked
like: it reads every participant of every frame. Both are given the same frames, in every disorder
that Genesys or two topics can cause.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from mirror.conversation.event import Event
from mirror.conversation.normaliser import Normaliser, Personal, Reading
from mirror.conversation.normaliser import normaliser as module
from mirror.conversation.normaliser.memory import MAX_BODIES, MAX_BODY_BYTES
from mirror.conversation.normaliser.snapshot import Snapshot, recognise
from simulator.scenarios import SCENARIOS
from tests.unit.simulator.theatre import perform

AT = "2026-11-23T10:00:00.000Z"
TOPICS = ("v2.users.u1.conversations", "v2.routing.queues.q1.conversations")


def frame(body: Any, topic: str = TOPICS[0], **more: Any) -> bytes:
    """A notification of `body`; `more` stands behind it."""
    return msgspec.json.encode({"topicName": topic, "version": "2", "eventBody": body, **more})


def traced(body: Any, topic: str = TOPICS[0]) -> bytes:
    """A notification as Genesys sends it: a body that comes again can be recognised as a whole."""
    return frame(body, topic, metadata={"CorrelationId": str(uuid4())})


def told(
    frames: list[bytes],
    *,
    forgetful: bool,
    resting: bool = False,
    lost: frozenset[int] = frozenset(),
) -> list[Any]:
    """What a normaliser makes of the frames; before those of `lost` a socket was lost.

    With `resting` its conversation has been put to rest before each frame.
    """
    normaliser = Normaliser(personal=Personal())
    if resting:
        normaliser.memory.rest_after = 0.0
    readings = []
    for number, raw in enumerate(frames):
        if resting:
            normaliser.memory._tidy(float(number))
            assert normaliser.memory.resting == bool(number)
        if forgetful:
            for conversation in normaliser.memory._awake.values():
                conversation.known = []
                conversation.body = None
        if number in lost:
            normaliser.interrupted()
        readings.append(normaliser.frame(raw, f"{AT[:-4]}{number % 1000:03}Z", float(number)))
    return readings


def disordered(bodies: list[Any], rng: random.Random) -> Iterator[Any]:
    """The snapshots with repeats, with some late, and with some that are wrong in part."""
    for number, body in enumerate(bodies):
        yield body
        chance = rng.random()
        if chance < 0.3:
            yield body
        elif chance < 0.5:
            yield bodies[rng.randrange(number + 1)]
        elif chance < 0.6:
            wrong = msgspec.json.decode(msgspec.json.encode(body))
            wrong["participants"][rng.randrange(len(wrong["participants"]))]["purpose"] = 7
            yield wrong
        elif chance < 0.7:
            fewer = dict(body)
            fewer["participants"] = rng.sample(body["participants"], len(body["participants"]))
            yield fewer


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_recognising_and_resting_change_no_event(scenario: str) -> None:
    """In order, repeated, late, shuffled, wrong in part, after losses: the same readings."""
    for seed in range(3):
        bodies = [body for body, _ in perform(scenario, seed).frames]
        rng = random.Random(f"{scenario}-{seed}")
        mixed = list(disordered(bodies, rng))
        frames = [
            rng.choice((frame, traced))(body, topic)
            for body in mixed
            for topic in TOPICS[: rng.randrange(1, 3)]
        ]
        lost = frozenset(rng.sample(range(len(frames)), len(frames) // 8))
        expected = told(frames, forgetful=True, lost=lost)
        assert told(frames, forgetful=False, lost=lost) == expected
        assert told(frames, forgetful=False, resting=True, lost=lost) == expected
        assert sum(len(reading.events) for reading in expected) > 0


def test_what_is_unchanged_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five participants of whom one changed, one is decoded; of a repeated snapshot none."""
    decoded: list[int] = []

    def counting(raws: Any, last: Any, decode: Any) -> Snapshot:
        found = recognise(raws, last, decode)
        decoded.append(len(found.changed))
        return found

    monkeypatch.setattr(module, "recognise", counting)
    body = next(b for b, _ in reversed(perform("inbound_call", 1).frames))
    changed = msgspec.json.decode(msgspec.json.encode(body))
    changed["participants"][-1]["wrapup"] = {"code": "sold", "endTime": AT}
    people = len(body["participants"])
    told([frame(body), frame(body, TOPICS[1]), frame(changed), frame(body)], forgetful=False)
    assert people > 2
    assert decoded == [people, 0, 1, 1]


REPEATED = {
    "id": "1c1a063b-45bf-4719-9127-000000000001",
    "participants": [
        {"id": "p1", "purpose": "agent", "calls": [{"id": "l1", "state": "alerting"}]}
    ],
}


def test_a_body_that_comes_again_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """By another topic, under another correlation id: only what stands around it is."""
    normaliser = Normaliser()
    first = normaliser.frame(traced(REPEATED), AT, 0.0)
    assert [event.event_type for event in first.events] == ["start", "alert"]
    monkeypatch.setattr(module, "recognise", None)
    again = normaliser.frame(traced(REPEATED, TOPICS[1]), AT, 0.0)
    assert again == Reading("conversation", TOPICS[1])


@pytest.mark.parametrize(
    ("around", "problem"),
    [
        (lambda raw: raw[:-1], "DecodeError"),
        (lambda raw: raw.replace(b'"metadata":{', b'"metadata":{{'), "DecodeError"),
        (lambda raw: raw.replace(b'"version"', b'"version\xff"'), "UnicodeDecodeError"),
        (lambda raw: raw.replace(b'"topicName":"v', b'"topic":"v'), "MissingTopicName"),
    ],
)
def test_what_stands_around_a_repeated_body_is_judged_as_ever(around: Any, problem: str) -> None:
    """A frame is no better for a body that is known."""
    normaliser = Normaliser()
    normaliser.frame(traced(REPEATED), AT, 0.0)
    found = normaliser.frame(around(traced(REPEATED)), AT, 0.0).problem
    assert found is not None
    assert found.error == problem


def test_the_end_of_a_remembered_body_is_not_guessed() -> None:
    """Where `metadata` stands inside a body too, a longer body is not taken for the shorter one."""
    inner = {**REPEATED, "metadata": {"x": 1}}
    longer = {**inner, "participants": [*REPEATED["participants"], {"id": "p2", "chats": [{}]}]}
    for bodies in ((REPEATED, inner), (inner, REPEATED), (inner, longer), (longer, inner)):
        frames = [make(body) for body in bodies for make in (traced, frame)]
        assert told(frames, forgetful=False) == told(frames, forgetful=True)


def call(participant: str, state: str, **more: Any) -> dict[str, Any]:
    """An agent with one call."""
    leg = {"id": f"leg-{participant}", "state": state, **more}
    return {"id": participant, "purpose": "agent", "calls": [leg]}


def snapshot(*participants: dict[str, Any]) -> dict[str, Any]:
    """A body of the conversation of `REPEATED`."""
    return {"id": REPEATED["id"], "participants": participants}


def test_a_doubt_lasts_until_a_frame_that_is_not_late() -> None:
    """The frame behind the loss was late and settles nothing, nor does the same one again."""
    before = traced(snapshot(call("p1", "connected"), call("p2", "connected")))
    late = traced(snapshot(call("p1", "connected"), call("p2", "alerting")))
    frames = [before, late, late, before]
    readings = told(frames, forgetful=False, lost=frozenset({1}))
    assert [event.event_type for event in readings[1].events] == ["alert"]
    assert readings[2].events == []
    assert [event.origin for event in readings[3].events] == ["snapshot", "snapshot"]
    assert readings == told(frames, forgetful=True, lost=frozenset({1}))


def test_a_known_body_in_another_place_is_no_repeat() -> None:
    """Neither beside the body of another conversation, nor under a topic of another kind."""
    news = snapshot(call("p1", "alerting")) | {"id": "another"}
    beside = msgspec.json.encode(
        {"topicName": TOPICS[0], "x": {"eventBody": REPEATED}, "eventBody": news, "metadata": {}}
    )
    elsewhere = traced(REPEATED, "v2.unheard.of")
    readings = told([traced(REPEATED), beside, elsewhere], forgetful=False)
    assert {event.conversation_id for event in readings[1].events} == {"another"}
    assert readings[2].kind == "unknown"


def test_of_two_bodies_in_a_frame_the_last_one_counts() -> None:
    """As the decoder has it; the first one is not taken for known."""
    over = snapshot(call("p1", "disconnected"))
    both = traced(over)[:-1] + b',"eventBody":' + msgspec.json.encode(REPEATED) + b"}"
    frames = [both, traced(over)]
    readings = told(frames, forgetful=False)
    assert [event.event_type for event in readings[-1].events] == ["disconnect", "end"]
    assert readings == told(frames, forgetful=True)


def test_a_body_that_comes_again_after_the_grace_is_read() -> None:
    """Its conversation is forgotten by then, and told anew under the same ids."""
    normaliser = Normaliser(grace=900.0)
    raw = traced(snapshot(call("p1", "disconnected")))
    first = normaliser.frame(raw, AT, 0.0)
    again = normaliser.frame(raw, AT, 1000.0)
    assert [event.event_id for event in again.events] == [event.event_id for event in first.events]


def test_bodies_are_kept_of_the_last_conversations_only() -> None:
    """Memory is bounded: of conversations behind the newest ones, and of huge bodies, none is."""
    normaliser = Normaliser()
    bodies = [{**REPEATED, "id": f"{n:036}"} for n in range(MAX_BODIES + 2)]
    bodies[-1]["participants"] = [{"id": "p1", "attributes": {"x": "y" * MAX_BODY_BYTES}}]
    for body in bodies:
        normaliser.frame(traced(body), AT, 0.0)
    kept = [normaliser.memory.recall(str(body["id"]), 0.0).body is not None for body in bodies]
    assert kept == [False, *[True] * MAX_BODIES, False]


def test_an_older_state_that_comes_back_is_read() -> None:
    """A, B, A: the second A differs from B, and is judged as the late frame that it may be."""
    held = {"id": "l1", "state": "connected", "held": True, "startHoldTime": AT}
    resumed = {"id": "l1", "state": "connected", "held": False}

    def body(call: dict[str, Any]) -> dict[str, Any]:
        return {"id": "c1", "participants": [{"id": "p1", "purpose": "agent", "calls": [call]}]}

    frames = [frame(body(call)) for call in (resumed, held, resumed, held, resumed)]
    readings: list[Reading] = told(frames, forgetful=False)
    events: list[Event] = [event for reading in readings for event in reading.events]
    assert [event.event_type for event in events if event.event_type in {"hold", "resume"}] == [
        "hold",
        "resume",
        "hold",
        "resume",
    ]
