"""Every scenario of the simulator gives the events of its golden file, in every shape.

The frames of a scenario follow from its seed. The seeds are those of the first hundreds that show
most in few events: missed alerts, holds, parks, transfers. The golden files are under
`tests/golden/scenarios/`; `golden.py` says how they are written anew.
"""

from __future__ import annotations

import msgspec
import pytest

from mirror.conversation.event import Event
from mirror.conversation.normaliser import Normaliser, Personal
from mirror.conversation.normaliser.words import MEDIA_OF_ARRAY
from mirror.conversation.times import show_epoch
from simulator.frames import encode_body, envelope
from simulator.model import Conversation
from simulator.org import Org
from simulator.scenarios import SCENARIOS
from simulator.shapes import analytics, flat, rest
from tests.unit.conversation import golden
from tests.unit.conversation.build import FLAT_TOPIC
from tests.unit.simulator.theatre import Performance, perform

USER_TOPIC = "v2.users.9a3fd6ab-4e5d-4e4c-8d26-2b8bb0b9c1f5.conversations"
TRANSIT_MS = 150  # from Genesys to us
FAR_MS = 10**14  # analytics knows all that happened

# What leaves no trace in the last reading of REST or analytics: undated dials, alerts of media
# without segments, parks before the last one, unparks of e-mails, ends before the last one.
LEAVE_NO_TRACE = {"dial", "alert", "park", "unpark", "end"}
# Media without a flat topic, and media that analytics does not name.
NAMELESS = {"flat": {"internal_message", "screen_monitoring"}, "analytics": {"social_expression"}}

# Golden file → scenario and seed.
CASES: dict[str, tuple[str, int]] = {
    "inbound_call": ("inbound_call", 51),
    "inbound_call-abandoned": ("inbound_call", 26),
    "inbound_call-transferred": ("inbound_call", 62),
    "inbound_call-held-twice": ("inbound_call", 2),
    "outbound_call": ("outbound_call", 0),
    "outbound_call-nobody-answers": ("outbound_call", 1),
    "chat": ("chat", 15),
    "email": ("email", 25),
    "message": ("message", 38),
    "callback": ("callback", 7),
    "callback-scheduled": ("callback", 4),
    "consult_call": ("consult_call", 57),
    "consult_call-three-agents": ("consult_call", 3),
    "internal_call": ("internal_call", 0),
    "video": ("video", 17),
    "screenshare": ("screenshare", 17),
    "cobrowse": ("cobrowse", 20),
    "social_expression": ("social_expression", 9),
    "internal_message": ("internal_message", 0),
    "screen_monitoring": ("screen_monitoring", 0),
    "message_for_days": ("message_for_days", 3),
    "callback_in_two_days": ("callback_in_two_days", 13),
    "email_parked_for_days": ("email_parked_for_days", 23),
    "endless_call": ("endless_call", 0),
    "message_again": ("message_again", 12),
}


def told(played: Performance, personal: Personal | None = None) -> list[Event]:
    """The events of the nested frames of a user's topic, each read as it comes."""
    normaliser = Normaliser(personal=personal)
    events: list[Event] = []
    for number, ((body, _), sent) in enumerate(
        zip(played.frames, played.sent_ms, strict=True), start=1
    ):
        raw = envelope(USER_TOPIC, encode_body(body), f"correlation-{number}")
        received_at = show_epoch((sent + TRANSIT_MS) / 1000)
        reading = normaliser.frame(raw, received_at, sent / 1000)
        assert reading.problem is None
        events += reading.events
    return events


@pytest.mark.parametrize("name", CASES)
def test_scenarios_give_the_reviewed_events(name: str) -> None:
    """Every field of every event is as reviewed."""
    golden.check(f"scenarios/{name}", told(perform(*CASES[name])))


def test_hashed_personal_fields_are_as_reviewed() -> None:
    """The same chat under `MIRROR_PII=hash`: keyed digests in the place of values."""
    golden.check("scenarios/chat-hashed", told(perform(*CASES["chat"]), Personal("golden")))


def test_every_scenario_and_medium_has_a_golden_file() -> None:
    """A new scenario needs a reviewed file; no file is left of one that is gone."""
    assert {scenario for scenario, _ in CASES.values()} == set(SCENARIOS)
    files = {path.stem for path in (golden.GOLDEN / "scenarios").glob("*.jsonl")}
    assert files == {*CASES, "chat-hashed"}
    lines = [
        line
        for path in (golden.GOLDEN / "scenarios").glob("*.jsonl")
        for line in path.read_text().splitlines()
    ]
    media = {msgspec.json.decode(line, type=Event).media_type for line in lines}
    assert media == {None, *MEDIA_OF_ARRAY.values()}


class Shapes(msgspec.Struct):
    """One moment of a conversation in the shapes beside the nested one."""

    flat: dict[str, bytes]  # by the last word of the topic
    rest: bytes
    analytics: bytes


def shapes(conversation: Conversation, org: Org) -> Shapes:
    """What Genesys would answer now, and send on flat topics."""
    media = {leg.media for person in conversation.participants for leg in person.legs}
    return Shapes(
        {
            FLAT_TOPIC[medium]: encode_body(flat.conversation_body(conversation, medium))
            for medium in sorted(media & set(FLAT_TOPIC))
        },
        encode_body(rest.conversation_body(conversation, org)),
        encode_body(analytics.conversation_body(conversation, FAR_MS)),
    )


def in_flat_shape(played: Performance) -> list[Event]:
    """The events of somebody who is subscribed to all flat topics of a user, and no nested one."""
    normaliser = Normaliser()
    events: list[Event] = []
    for moment, sent in zip(played.other_shapes, played.sent_ms, strict=True):
        for word, body in moment.flat.items():
            raw = envelope(f"{USER_TOPIC}.{word}", body, "c")
            reading = normaliser.frame(raw, show_epoch(sent / 1000), sent / 1000)
            assert reading.problem is None
            events += reading.events
    return events


def by_id(events: list[Event]) -> dict[str, Event]:
    """Transitions; snapshot readings are none."""
    return {event.event_id: event for event in events if event.origin != "snapshot"}


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_every_shape_of_a_scenario_names_the_same_transitions(scenario: str) -> None:
    """Flat frames, REST and analytics give ids that nested frames give, and dated ones the time.

    All flat topics together tell all; REST and analytics, read once at the end, all that lasts.
    """
    medium = SCENARIOS[scenario][0]
    of_rest = LEAVE_NO_TRACE if scenario == "message_again" else LEAVE_NO_TRACE - {"end"}
    may_lack: dict[str, set[str]] = {"flat": set(), "rest": of_rest, "analytics": of_rest}
    for seed in range(6):
        played = perform(scenario, seed, shapes)
        nested = by_id(told(played))
        others = {"flat": by_id(in_flat_shape(played))}
        last = played.other_shapes[-1]
        received_at = show_epoch(played.sent_ms[-1] / 1000 + 60)
        reading = Normaliser().conversation(last.rest, received_at, 0.0)
        others["rest"] = by_id(reading.events)
        assert reading.problem is None
        reading = Normaliser().analytics(last.analytics, received_at, 0.0)
        others["analytics"] = by_id(reading.events)
        assert reading.problem is None
        for shape, seen in others.items():
            for event_id, event in seen.items():
                assert event_id in nested, (shape, seed, event)
                truth = nested[event_id]
                if not truth.estimated and not event.estimated and event.event_type != "start":
                    assert event.occurred_at == truth.occurred_at, (shape, seed)
                assert (event.purpose, event.agent_id) == (truth.purpose, truth.agent_id)
            left_out = {event.event_type for key, event in nested.items() if key not in seen}
            if medium not in NAMELESS.get(shape, ()):
                assert left_out <= may_lack[shape], (shape, seed)
