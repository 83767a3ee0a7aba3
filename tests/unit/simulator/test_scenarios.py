"""Every scenario, played to its end: bodies that Genesys' own classes allow, and a true ledger."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from simulator.model import Conversation
from simulator.org import Org
from simulator.parts import STAFF_PURPOSES
from simulator.scenarios import SCENARIOS
from simulator.shapes import analytics, nested, rest
from tests.schemas import class_of_topic, problems
from tests.unit.simulator.reader import Reader, Told
from tests.unit.simulator.theatre import Also, Performance, perform

SEEDS = range(12)
FAR_MS = 4_000_000_000_000
every_scenario = pytest.mark.parametrize("scenario", sorted(SCENARIOS))


def everything(scenario: str, seed: int, also: Also | None = None) -> list[Performance]:
    """The conversation of a scenario, and those that it gave rise to."""
    played = perform(scenario, seed, also)
    return [played, *played.others]


@every_scenario
def test_every_snapshot_is_allowed_by_the_notification_classes(scenario: str) -> None:
    """Each frame passes as that of a user topic and as that of a queue topic."""
    for seed in SEEDS:
        for played in everything(scenario, seed):
            assert played.frames
            for body, _ in played.frames:
                assert not problems(body, class_of_topic("v2.users.u.conversations"))
                assert not problems(body, class_of_topic("v2.routing.queues.q.conversations"))


@every_scenario
def test_rest_and_analytics_bodies_are_allowed_by_their_classes(scenario: str) -> None:
    """At every frame, with REST's and analytics' own enums."""

    def bodies(conversation: Conversation, org: Org) -> tuple[dict[str, Any], dict[str, Any]]:
        return (
            rest.conversation_body(conversation, org),
            analytics.conversation_body(conversation, FAR_MS),
        )

    for seed in range(3):
        for played in everything(scenario, seed, bodies):
            for of_rest, of_analytics in played.other_shapes:
                assert not problems(of_rest, "Conversation")
                assert not problems(of_analytics, "AnalyticsConversationWithoutAttributes")


@every_scenario
def test_scenarios_come_to_their_end_and_leave_nobody_busy(scenario: str) -> None:
    """At the end every leg is ended, and the ledger has one start and at least one end."""
    for seed in SEEDS:
        for played in everything(scenario, seed):
            assert not played.conversation.live()
            kinds = Counter(record.event_type for record in played.records)
            assert kinds["start"] == 1
            assert kinds["end"] >= 1
            assert played.conversation.pending == []
            assert played.conversation.over_ms is not None


@every_scenario
def test_the_ledger_agrees_with_the_frames(scenario: str) -> None:
    """Told anew from the frames alone, each leg has the transitions that the ledger has."""
    for seed in SEEDS:
        for played in everything(scenario, seed):
            reader = Reader()
            for body, _ in played.frames:
                reader.read(body)
            done = [
                Told(
                    record.event_type,
                    str(record.participant_id),
                    str(record.communication_id),
                    record.hold_started_at or record.park_time or record.wrapup_code,
                    record.agent_id,
                    record.queue_id,
                    record.role,
                )
                for record in played.records
                if record.participant_id is not None
            ]
            assert Counter(reader.told) == Counter(done)


@every_scenario
def test_transitions_of_a_leg_come_in_the_contract_order(scenario: str) -> None:
    """Alert or dial, answer, holds and parks, the end, after-call work, its end and the codes."""
    rank = {"alert": 0, "dial": 0, "answer": 1, "hold": 2, "resume": 2, "park": 2, "unpark": 2}
    rank |= {"disconnect": 3, "transfer": 3, "acw": 4, "acw_end": 5, "wrapup": 5}
    for seed in SEEDS:
        for played in everything(scenario, seed):
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
    """Some blind transfer is seen as `transfer`, then `peer`, then `terminated` (docs/protocol.md,
    "Order and loss")."""
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
