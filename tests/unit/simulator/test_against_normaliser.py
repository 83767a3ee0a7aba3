"""The mirror's own normaliser, fed with the simulator's frames, tells what the ledger says.

Two pieces of code, written apart from docs/protocol.md: where they differ, one is wrong. The
sandbox's oracle compares them.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from harness.oracle import Verdict, judge, restorable
from mirror.conversation.event import Event
from mirror.conversation.normaliser.normaliser import Normaliser
from simulator.frames import encode_body, envelope
from simulator.model import Conversation
from simulator.org import Org
from simulator.quirks import VARIANTS, Quirks
from simulator.scenarios import SCENARIOS
from simulator.shapes import analytics, rest
from tests.unit.simulator.theatre import Also, Performance, perform

RECEIVED = "2030-01-01T00:00:00.000Z"
FAR_MS = 4_000_000_000_000
every_scenario = pytest.mark.parametrize("scenario", sorted(SCENARIOS))


def everything(scenario: str, seed: int, also: Also | None = None) -> list[Performance]:
    """The conversation of a scenario, and those that it gave rise to."""
    played = perform(scenario, seed, also)
    return [played, *played.others]


def told(played: Performance, first: int = 0, step: int = 1) -> list[Event]:
    """The events of its frames, in order: all of them, or those that reached somebody."""
    normaliser = Normaliser()
    events: list[Event] = []
    for number, (body, _) in enumerate(played.frames[first::step]):
        frame = envelope("v2.users.u.conversations", encode_body(body), "c")
        reading = normaliser.frame(frame, RECEIVED, float(number))
        assert reading.problem is None
        events += reading.events
    return events


def verdict(played: Performance, events: list[Event]) -> Verdict:
    """What the oracle says of these events."""
    return judge(played.records, events)


@every_scenario
def test_ledger_and_normaliser_tell_the_same_transitions(scenario: str) -> None:
    """From all frames: nothing missing, invented, altered, out of order, or told twice."""
    for seed in range(20):
        for played in everything(scenario, seed):
            events = told(played)
            found = verdict(played, events)
            assert found.clean, found
            assert not found.flapped
            live = Counter(event.event_id for event in events if event.origin == "live")
            assert max(live.values()) == 1


@pytest.mark.parametrize("place", VARIANTS["wrapup_on"])
@pytest.mark.parametrize("scenario", ["callback", "campaign_call", "inbound_call"])
def test_a_code_is_told_wherever_it_is_shown(scenario: str, place: str) -> None:
    """On the communication, on its participant alone, or on both."""
    told_codes = 0
    for seed in range(8):
        played = perform(scenario, seed, quirks=Quirks(wrapup_on=place))
        events = told(played)
        found = verdict(played, events)
        assert found.clean, found
        told_codes += sum(event.event_type == "wrapup" for event in events)
    assert told_codes


@pytest.mark.parametrize("keys", VARIANTS["early_resume"])
@pytest.mark.parametrize("scenario", ["email", "message_for_days", "email_parked_for_days"])
def test_a_parked_leg_that_rings_again_is_told(scenario: str, keys: str) -> None:
    """Its unpark comes when it rings, whatever its keys do; nothing else is told twice."""
    unparks = 0
    for seed in range(8):
        played = perform(scenario, seed, quirks=Quirks(early_resume=keys, resume_rings="yes"))
        events = told(played)
        found = verdict(played, events)
        assert found.clean, found
        unparks += sum((e.event_type, e.state) == ("unpark", "alerting") for e in events)
    assert unparks


@every_scenario
def test_who_comes_late_or_misses_frames_tells_nothing_false(scenario: str) -> None:
    """Some transitions are missing then; what is told is true."""
    for seed in range(8):
        for played in everything(scenario, seed):
            for first, step in ((len(played.frames) // 2, 1), (0, 2), (1, 3), (-1, 1)):
                found = verdict(played, told(played, first, step))
                assert not found.invented + found.flapped, (seed, first, step)
                assert not found.altered, (seed, first, step)
                assert not found.disordered, (seed, first, step)


def bodies(conversation: Conversation, org: Org) -> tuple[dict[str, Any], dict[str, Any]]:
    """What REST and analytics say at a frame."""
    return (
        rest.conversation_body(conversation, org),
        analytics.conversation_body(conversation, FAR_MS),
    )


@every_scenario
def test_rest_and_analytics_tell_nothing_false(scenario: str) -> None:
    """Read at any moment; and at the end REST tells all that can be restored."""
    for seed in range(4):
        for played in everything(scenario, seed, bodies):
            events: list[Event] = []
            for of_rest, of_analytics in played.other_shapes:
                for read in (
                    Normaliser().conversation(encode_body(of_rest), RECEIVED, 0.0),
                    Normaliser().analytics(encode_body(of_analytics), RECEIVED, 0.0),
                ):
                    events += read.events
                    found = verdict(played, read.events)
                    assert not found.invented + found.flapped, seed
                    assert not found.altered, seed
            last, _ = played.other_shapes[-1]
            events = Normaliser().conversation(encode_body(last), RECEIVED, 0.0).events
            missing = [truth for truth in verdict(played, events).missing if restorable(truth)]
            ends = [record for record in played.records if record.event_type == "end"][:-1]
            assert {end.seq for end in missing} <= {end.seq for end in ends}, seed
