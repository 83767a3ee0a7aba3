"""Recognising unchanged participants saves work and changes no event.

The reference is a normaliser that is made to forget, before each frame, what the last one looked
like: it reads every participant of every frame. Both are given the same frames, in every disorder
that Genesys or two topics can cause.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from mirror.event import Event
from mirror.normaliser import Normaliser, Personal, Reading
from mirror.normaliser import normaliser as module
from mirror.normaliser.pieces import Piece, recognise
from simulator.scenarios import SCENARIOS
from tests.unit.simulator.theatre import perform

AT = "2026-11-23T10:00:00.000Z"
TOPICS = ("v2.users.u1.conversations", "v2.routing.queues.q1.conversations")


def frame(body: Any, topic: str = TOPICS[0]) -> bytes:
    """A notification of `body`."""
    return msgspec.json.encode({"topicName": topic, "version": "2", "eventBody": body})


def told(frames: list[bytes], *, forgetful: bool, lost: frozenset[int] = frozenset()) -> list[Any]:
    """What a normaliser makes of the frames; before those of `lost` a socket was lost."""
    normaliser = Normaliser(personal=Personal())
    readings = []
    for number, raw in enumerate(frames):
        if forgetful:
            for conversation in normaliser.memory._conversations.values():
                conversation.known = []
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
def test_recognising_what_is_unchanged_changes_no_event(scenario: str) -> None:
    """In order, repeated, late, shuffled, wrong in part, after losses: the same readings."""
    for seed in range(3):
        bodies = [body for body, _ in perform(scenario, seed).frames]
        rng = random.Random(f"{scenario}-{seed}")
        mixed = list(disordered(bodies, rng))
        frames = [frame(body, topic) for body in mixed for topic in TOPICS[: rng.randrange(1, 3)]]
        lost = frozenset(rng.sample(range(len(frames)), len(frames) // 8))
        expected = told(frames, forgetful=True, lost=lost)
        assert told(frames, forgetful=False, lost=lost) == expected
        assert sum(len(reading.events) for reading in expected) > 0


def test_what_is_unchanged_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five participants of whom one changed, one is decoded; of a repeated snapshot none."""
    decoded: list[int] = []

    def counting(raws: Any, known: Any, decode: Any) -> list[Piece]:
        pieces = recognise(raws, known, decode)
        decoded.append(sum(participant is not None for participant, _ in pieces))
        return pieces

    monkeypatch.setattr(module, "recognise", counting)
    body = next(b for b, _ in reversed(perform("inbound_call", 1).frames))
    changed = msgspec.json.decode(msgspec.json.encode(body))
    changed["participants"][-1]["wrapup"] = {"code": "sold", "endTime": AT}
    people = len(body["participants"])
    told([frame(body), frame(body, TOPICS[1]), frame(changed), frame(body)], forgetful=False)
    assert people > 2
    assert decoded == [people, 0, 1, 1]


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
