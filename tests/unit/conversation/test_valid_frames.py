"""Whatever valid frame or body comes, it becomes events that fit the schema, the same each time.

Bodies are made from the public SDK's model: every topic of conversations and agents, REST and
analytics. The first body of a run is followed by others of the same conversation that contradict it
in every way, which is more than Genesys would do.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror.conversation.event import RANK, Event
from mirror.conversation.fold import ConversationView, fold
from mirror.conversation.normaliser import Normaliser, Personal, Reading
from mirror.conversation.normaliser.topics import classify
from mirror.conversation.schema import agent_event_schema, event_schema
from tests import schemas
from tests.schemas import generate
from tests.unit.conversation.build import at

BODIES = 4
EXAMPLES = settings().max_examples // 6  # of each topic; `make fuzz` asks for more
REST = "Conversation"
ANALYTICS = "AnalyticsConversationWithoutAttributes"
TOPICS = sorted(
    topic.replace("{id}", "u-1")
    for topic in schemas.topics()
    if classify(topic.replace("{id}", "u-1")) in {"conversation", "agent"}
)
SEEDS = st.integers(0, 2**32)

END = 0.3  # how often a body shows all legs ended, which chance alone hardly ever does

Read = Callable[[Normaliser, bytes, int], Reading]


@cache
def validator(kind: str) -> jsonschema.Draft202012Validator:
    """Of events of conversations, or of agents."""
    schema = event_schema() if kind == "event" else agent_event_schema()
    return jsonschema.Draft202012Validator(schema)


def bodies(class_name: str, seed: int) -> list[dict[str, Any]]:
    """Valid bodies of one conversation."""
    rng = random.Random(seed)
    made = []
    for _ in range(BODIES):
        body = generate.body(class_name, rng)
        for name in ("id", "conversationId"):
            if name in body:
                body[name] = "c-1"
        for number, participant in enumerate(body.get("participants", ())):
            name = "participantId" if "participantId" in participant else "id"
            participant[name] = f"p-{number}"  # each is shown once in a snapshot
        if rng.random() < END:
            end(body)
        made.append(body)
    assert [found for body in made for found in schemas.problems(body, class_name)] == []
    return made


def end(body: dict[str, Any]) -> None:
    """Put every leg of a body into a state that ends it."""
    for participant in body.get("participants", ()):
        for leg in (
            leg for array in participant.values() if isinstance(array, list) for leg in array
        ):
            if isinstance(leg, dict) and "state" in leg:
                leg["state"] = "disconnected"


def told(raws: list[bytes], read: Read, personal: Personal | None = None) -> list[Event]:
    """Read everything twice by one normaliser: what repeats tells nothing new."""
    normaliser = Normaliser(personal=personal)
    events: list[Event] = []
    for number, raw in enumerate(raws):
        reading = read(normaliser, raw, number)
        assert reading.problem is None
        events += reading.events
        for agent in reading.agents:
            validator("agent").validate(msgspec.to_builtins(agent))
        again = read(normaliser, raw, number)
        assert not [event for event in again.events if event.origin != "snapshot"]
    return events


def check(events: list[Event], again: list[Event]) -> None:
    """The same events from the same bytes, each fit for its schema, foldable, and named once."""
    assert events == again
    view: ConversationView | None = None
    for event in events:
        validator("event").validate(msgspec.to_builtins(event))
        assert event.conversation_id == "c-1"
        exact = event.occurred_at == event.received_at or not event.estimated
        assert exact or event.event_type == "start"  # the earliest time of a leg
        assert (event.participant_id is None) == (event.event_type in {"start", "end", "finalize"})
        assert event.event_type in RANK
        view = fold(view, event)
    ids = [event.event_id for event in events if event.origin != "snapshot"]
    assert len(ids) == len(set(ids))


def in_frame(topic: str) -> Read:
    """Reads a body as a frame of a topic."""

    def read(normaliser: Normaliser, body: bytes, number: int) -> Reading:
        raw = b'{"topicName":%b,"version":"2","eventBody":%b}' % (msgspec.json.encode(topic), body)
        return normaliser.frame(raw, at(number), float(number))

    return read


def as_rest(normaliser: Normaliser, body: bytes, number: int) -> Reading:
    """Reads a body as an answer of `GET /conversations/{id}`."""
    return normaliser.conversation(body, at(number), float(number))


def as_analytics(normaliser: Normaliser, body: bytes, number: int) -> Reading:
    """Reads a body as a conversation of an analytics answer."""
    return normaliser.analytics(body, at(number), float(number))


@pytest.mark.parametrize("topic", TOPICS)
@settings(max_examples=EXAMPLES)
@given(seed=SEEDS)
def test_any_valid_frame_becomes_valid_events(topic: str, seed: int) -> None:
    """Of every topic that is read: no exception, no problem, no event outside the schema."""
    raws = [msgspec.json.encode(body) for body in bodies(schemas.class_of_topic(topic), seed)]
    read = in_frame(topic)
    check(told(raws, read), told(raws, read))
    kept = told(raws, read, Personal())
    check(kept, told(raws, read, Personal()))


@pytest.mark.parametrize(("class_name", "read"), [(REST, as_rest), (ANALYTICS, as_analytics)])
@settings(max_examples=3 * EXAMPLES)
@given(seed=SEEDS)
def test_any_valid_answer_becomes_valid_events(class_name: str, read: Read, seed: int) -> None:
    """Of REST and of analytics, as of frames."""
    raws = [msgspec.json.encode(body) for body in bodies(class_name, seed)]
    check(told(raws, read), told(raws, read))


def test_generated_bodies_are_worth_reading() -> None:
    """A few hundred of them show every medium and every type of event but those without frames."""
    seen: set[tuple[str, str | None]] = set()
    for seed in range(200):
        for topic in ("v2.users.u-1.conversations", "v2.routing.queues.u-1.conversations"):
            raws = [msgspec.json.encode(b) for b in bodies(schemas.class_of_topic(topic), seed)]
            seen |= {(e.event_type, e.media_type) for e in told(raws, in_frame(topic))}
    assert {event_type for event_type, _ in seen} == set(RANK) - {"finalize"}
    assert len({medium for _, medium in seen}) == 12
