"""Both readers agree on the edges of rules that streams and histories seldom meet."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.conversation.build import at, conversation, frame, leg, participant
from tests.unit.native.twins import Twins

KEPT = 256  # snapshots whose bytes the native reader keeps: `MAX_BODIES` in memory.rs
MOST_LEGS = 256  # of a conversation: `MAX_LEGS` in frame.rs
LIVE = leg("connected", connectedTime=at(1_000))


def read(*legs: dict[str, Any]) -> None:
    """Read a frame for each of `legs`, all natively, and compare what is kept afterwards."""
    twins = Twins()
    frames = [frame(conversation(participant(leg))) for leg in legs]
    twins.read((raw, at(10_000 + turn), float(turn)) for turn, raw in enumerate(frames))
    assert twins.left == 0
    twins.compare_memory(["c-1"])


def test_a_hold_that_is_shown_again_after_its_end() -> None:
    """Its time is not earlier than the latest: the leg is held."""
    held = {**LIVE, "held": True, "startHoldTime": at(2_000)}
    read(LIVE, held, LIVE, held, LIVE)


@pytest.mark.parametrize("count", [KEPT, KEPT + 1])
def test_of_bytes_that_are_not_kept_any_more_the_hash_is_known(count: int) -> None:
    """Their place is taken by the next snapshot: of another conversation, or of the same."""
    twins, names = Twins(), [f"c-{number}" for number in range(count)]
    for turn in range(3):
        people = [participant(LIVE, name=f"{turn}"), participant(LIVE, participant_id="p-2")]
        frames = [frame(conversation(*people, id=name)) for name in names]
        twins.read((raw, at(10_000 + turn), float(turn)) for raw in frames)
    assert twins.left == 0
    twins.compare_memory(names)


def test_as_many_legs_as_may_be_are_read() -> None:
    """One more is left to Python."""
    twins = Twins()
    for number in range(MOST_LEGS + 1):
        people = participant(LIVE, participant_id=f"p-{number}")
        twins.read([(frame(conversation(people)), at(number), float(number))])
    assert (twins.taken, twins.left) == (MOST_LEGS, 1)


@pytest.mark.parametrize("name", ["id", "state", "direction", "purpose", "userId"])
def test_a_field_that_stands_twice_is_left_to_python(name: str) -> None:
    """Python says which of both counts."""
    field = f'"{name}":'.encode()
    raw = frame(conversation(participant(LIVE)))
    head, found, tail = raw.rpartition(field)
    assert found
    twins = Twins()
    twins.read([(head + field + b'"first",' + field + tail, at(2_000), 0.0)])
    assert (twins.taken, twins.left) == (0, 1)


def test_the_time_of_a_park_that_is_over_goes_on_to_be_shown() -> None:
    """It is not later than the latest park, so no other began."""
    parked = {**LIVE, "state": "parked", "parkTime": at(2_000)}
    taken_up = {**LIVE, "parkTime": at(2_000)}
    read(LIVE, parked, taken_up, {**taken_up, "held": True, "startHoldTime": at(3_000)})


def test_a_leg_that_ends_as_the_next_begins_has_no_queue_of_the_next() -> None:
    """The participant shows the queue that it goes on in."""
    over = leg("disconnected", connectedTime=at(1_000), disconnectedTime=at(2_000))
    behind = {**leg("connected", connectedTime=at(2_000)), "id": "comm-2"}
    twins = Twins()
    people = participant(over, behind, queueId="q-2")
    twins.read([(frame(conversation(people)), at(3_000), 0.0)])
    assert twins.left == 0
    twins.compare_memory(["c-1"])


def test_of_two_codes_of_one_moment_the_first_counts() -> None:
    """As both were saved at once, the second is no later choice."""
    over = leg("disconnected", connectedTime=at(1_000), disconnectedTime=at(2_000))
    codes = [{"code": code, "endTime": at(3_000)} for code in ("a", "b", "a")]
    read(LIVE, *({**over, "wrapup": code} for code in codes))
