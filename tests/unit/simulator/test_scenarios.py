"""Every scenario, played to its end: bodies that Genesys' own classes allow, and a true ledger."""

from __future__ import annotations

from collections import Counter

import pytest

from simulator.model import STAFF_PURPOSES
from simulator.scenarios import SCENARIOS
from simulator.shapes import analytics, flat, nested, rest
from simulator.topics import FLAT_SUFFIX
from tests.schemas import class_of_topic, problems
from tests.unit.simulator.theatre import perform

SEEDS = range(12)
every_scenario = pytest.mark.parametrize("scenario", sorted(SCENARIOS))


@every_scenario
def test_every_snapshot_is_allowed_by_the_notification_classes(scenario: str) -> None:
    """Each nested frame passes as user and as queue topic; each flat one as that of its medium."""
    for seed in SEEDS:
        played = perform(scenario, seed)
        assert played.frames
        for body, _ in played.frames:
            assert not problems(body, class_of_topic("v2.users.u.conversations"))
            assert not problems(body, class_of_topic("v2.routing.queues.q.conversations"))
        for medium, suffix in FLAT_SUFFIX.items():
            if flat.has_media(played.conversation, medium):
                body = flat.conversation_body(played.conversation, medium)
                assert not problems(body, class_of_topic(f"v2.users.u.conversations.{suffix}"))


@every_scenario
def test_rest_and_analytics_bodies_are_allowed_by_their_classes(scenario: str) -> None:
    """The REST conversation and the analytics one pass, with REST's and analytics' own enums."""
    for seed in SEEDS:
        played = perform(scenario, seed)
        conversation = played.conversation
        assert not problems(rest.conversation_body(conversation, played.org), "Conversation")
        last = 4_000_000_000_000
        body = analytics.conversation_body(conversation, last)
        assert not problems(body, "AnalyticsConversationWithoutAttributes")


@every_scenario
def test_scenarios_come_to_their_end_and_leave_nobody_busy(scenario: str) -> None:
    """At the end every leg is ended, and the ledger has one start and at least one end."""
    for seed in SEEDS:
        played = perform(scenario, seed)
        assert not played.conversation.live()
        kinds = Counter(record.event_type for record in played.records)
        assert kinds["start"] == 1
        assert kinds["end"] >= 1
        assert played.conversation.pending == []


@every_scenario
def test_the_ledger_agrees_with_the_frames(scenario: str) -> None:
    """Told anew from the frames alone, each leg has the answers and ends that the ledger has."""
    for seed in SEEDS:
        played = perform(scenario, seed)
        seen: set[tuple[str, str]] = set()
        for body, _ in played.frames:
            for participant in body["participants"]:
                for array in participant.values():
                    if not isinstance(array, list) or not array or not isinstance(array[0], dict):
                        continue
                    for leg in array:
                        if "connectedTime" in leg:
                            seen.add(("answer", leg["id"]))
                        if leg["state"] == "alerting":
                            seen.add(("alert", leg["id"]))
                        if leg["state"] in ("disconnected", "terminated"):
                            seen.add(("disconnect", leg["id"]))
        told = {
            (record.event_type, str(record.communication_id))
            for record in played.records
            if record.event_type in ("answer", "alert", "disconnect")
        }
        assert told == seen


@every_scenario
def test_transitions_of_a_leg_come_in_the_contract_order(scenario: str) -> None:
    """Alert or dial, then answer, then holds, then the end; after-call work before wrap-up."""
    rank = {"alert": 0, "dial": 0, "answer": 1, "hold": 2, "resume": 2, "park": 2, "unpark": 2}
    rank |= {"disconnect": 3, "transfer": 3}
    for seed in SEEDS:
        played = perform(scenario, seed)
        per_leg: dict[str | None, list[int]] = {}
        for record in played.records:
            if record.event_type in rank:
                per_leg.setdefault(record.communication_id, []).append(rank[record.event_type])
        assert all(ranks == sorted(ranks) for ranks in per_leg.values())


def test_transfers_are_told_of_answered_staff_legs_only() -> None:
    """No ivr, queue or customer leg, and no leg that only rang, has a transfer in the ledger."""
    transfers = 0
    for scenario in ("inbound_call", "consult_call"):
        for seed in range(60):
            played = perform(scenario, seed)
            answered = {r.communication_id for r in played.records if r.event_type == "answer"}
            for record in played.records:
                if record.event_type == "transfer":
                    transfers += 1
                    assert record.purpose in STAFF_PURPOSES
                    assert record.communication_id in answered
                    assert str(record.disconnect_type).startswith("transfer")
    assert transfers > 10


def test_a_conversation_that_lives_again_ends_twice_and_starts_once() -> None:
    """`message_again` has a second `end`, and no second `start`."""
    kinds = Counter(record.event_type for record in perform("message_again", 3).records)
    assert kinds["start"] == 1
    assert kinds["end"] == 2


def test_disconnect_types_change_between_snapshots_of_one_leg() -> None:
    """Some blind transfer is seen as `transfer`, then `peer`, then `terminated` (section 3.6)."""
    histories: set[tuple[tuple[str, str], ...]] = set()
    for seed in range(80):
        legs: dict[str, list[tuple[str, str]]] = {}
        for body, _ in perform("inbound_call", seed).frames:
            for participant in body["participants"]:
                for call in participant["calls"]:
                    fact = (call["state"], call.get("disconnectType", ""))
                    history = legs.setdefault(call["id"], [])
                    if not history or history[-1] != fact:
                        history.append(fact)
        histories.update(tuple(history[-3:]) for history in legs.values())
    assert (
        ("disconnected", "transfer"),
        ("disconnected", "peer"),
        ("terminated", "peer"),
    ) in histories


def test_unset_keys_are_absent_and_forbidden_ones_never_come() -> None:
    """No null anywhere; no startTime, endTime or segments on notification conversations."""
    for scenario in SCENARIOS:
        for body, _ in perform(scenario, 5).frames:
            assert "startTime" not in body
            assert "endTime" not in body
            assert not [key for key, value in _walk(body) if value is None or key == "segments"]
            assert all("startTime" not in p for p in body["participants"])


def test_held_legs_show_the_start_and_forget_it_with_the_hold() -> None:
    """`startHoldTime` is there exactly while `held`."""
    holds = 0
    for seed in range(30):
        for body, _ in perform("inbound_call", seed).frames:
            for participant in body["participants"]:
                for call in participant["calls"]:
                    holds += call["held"]
                    assert call["held"] == ("startHoldTime" in call)
    assert holds


def test_flat_frames_lack_the_communication_id() -> None:
    """The flat shape has the participant's id and never the leg's own (section 5.3)."""
    played = perform("inbound_call", 1)
    text = repr(flat.conversation_body(played.conversation, "call"))
    legs = [leg.id for p in played.conversation.participants for leg in p.legs]
    assert legs
    assert not [leg for leg in legs if leg in text]


def test_the_nested_body_is_a_full_snapshot() -> None:
    """Once a participant was shown, every later frame shows it."""
    for seed in SEEDS:
        shown: set[str] = set()
        for body, _ in perform("inbound_call", seed).frames:
            now = {participant["id"] for participant in body["participants"]}
            assert shown <= now
            shown = now
    assert nested.HOLDABLE


def _walk(value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [(k, v) for k, v in value.items()] + [x for v in value.values() for x in _walk(v)]
    if isinstance(value, list):
        return [pair for element in value for pair in _walk(element)]
    return []
