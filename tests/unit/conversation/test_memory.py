"""What is remembered of conversations that are quiet, and for how long."""

from __future__ import annotations

from mirror.conversation.legs import LegKey
from mirror.conversation.normaliser.memory import (
    REST_AFTER_SECONDS,
    TIDY_AT_ONCE,
    TIDY_EVERY_SECONDS,
    Leg,
    Memory,
    Service,
    Spell,
)

GRACE_SECONDS = 900.0


def remembering(count: int, most: int = 1_000) -> Memory:
    """A memory of `count` conversations of one leg, all seen at 0 s."""
    memory = Memory(most, GRACE_SECONDS)
    for number in range(count):
        conversation = memory.recall(f"c-{number}", 0.0)
        key = LegKey(f"p-{number}", f"l-{number}")
        conversation.legs[key] = Leg(
            key, "call", seen=-(2**63), once=5, often={"hold#1"}, ended=True
        )
        conversation.ends = (1,)
    return memory


def test_a_quiet_conversation_rests_and_wakes_as_it_was() -> None:
    """All is kept but what tells unchanged participants and bodies."""
    memory = remembering(1)
    before = memory.recall("c-0", 0.0)
    legs, ends = before.legs, before.ends
    memory.recall("another", REST_AFTER_SECONDS - 0.5)
    assert (memory.resting, memory.get("c-0")) == (0, before)
    memory.recall("another", REST_AFTER_SECONDS + TIDY_EVERY_SECONDS)
    assert (memory.resting, memory.get("c-0"), len(memory)) == (1, None, 2)
    after = memory.recall("c-0", REST_AFTER_SECONDS + TIDY_EVERY_SECONDS)
    assert (memory.resting, len(memory)) == (0, 2)
    assert (after.id, after.legs, after.ends, after.doubtful) == ("c-0", legs, ends, True)
    assert (after.known, after.body) == ([], None)


def test_all_that_was_told_of_a_leg_outlives_its_rest() -> None:
    """Holds, parks, queue, role and codes, as they were."""
    memory = Memory(1_000, GRACE_SECONDS)
    conversation = memory.recall("c-0", 0.0)
    conversation.linked, conversation.late = "c-9", True
    leg = Leg(LegKey("p-1", "l-1"), "email", once=5, ended_at="2026-11-23T10:00:00.000Z")
    leg.hold, leg.park = Spell("#1", ""), Spell(None, "2026-11-23T10:00:00.000Z")
    leg.service = Service("", "q-1", "coach", "p-2", ("A", "B"), "2026-11-23T10:00:00.000Z")
    conversation.legs[leg.key] = leg
    memory.recall("another", REST_AFTER_SECONDS + TIDY_EVERY_SECONDS)
    assert memory.resting == 1
    after = memory.recall("c-0", REST_AFTER_SECONDS + TIDY_EVERY_SECONDS)
    assert after.legs == {LegKey("p-1", "l-1"): leg}
    assert (after.linked, after.late) == ("c-9", True)


def test_only_so_many_are_put_to_rest_at_once() -> None:
    """A frame behind a long silence does not wait for all of them."""
    memory = remembering(TIDY_AT_ONCE + 5)
    now = REST_AFTER_SECONDS + TIDY_EVERY_SECONDS
    memory.recall("new", now)
    assert memory.resting == TIDY_AT_ONCE
    memory.recall("new", now)
    assert memory.resting == TIDY_AT_ONCE + 5


def test_those_that_rest_count_and_go_first() -> None:
    """The bound is of all: of those without a live leg the quietest is forgotten."""
    memory = remembering(3, most=3)
    memory.recall("c-0", 0.0).open = 1
    memory.recall("c-1", 1.0)
    memory.recall("new", REST_AFTER_SECONDS + TIDY_EVERY_SECONDS)
    assert (len(memory), memory.resting) == (3, 2)
    assert memory.recall("c-0", REST_AFTER_SECONDS + TIDY_EVERY_SECONDS).legs
    assert memory.recall("c-1", REST_AFTER_SECONDS + TIDY_EVERY_SECONDS).legs
    assert not memory.recall("c-2", REST_AFTER_SECONDS + TIDY_EVERY_SECONDS).legs


def test_where_all_are_live_the_quietest_is_forgotten() -> None:
    """Also where none rests yet."""
    memory = remembering(2, most=2)
    for number in range(2):
        memory.recall(f"c-{number}", 0.0).open = 1
    memory.recall("new", 1.0)
    assert (len(memory), memory.get("c-0")) == (2, None)
    memory.recall("newer", REST_AFTER_SECONDS + TIDY_EVERY_SECONDS)
    assert (len(memory), memory.get("c-1")) == (2, None)


def test_what_is_over_is_forgotten_after_its_grace_and_nothing_else_is() -> None:
    """The grace counts from the last frame: after-call work goes on."""
    memory = remembering(3)
    memory.recall("c-0", 0.0).open = 1
    memory.recall("c-1", 100.0)
    memory.recall("another", 200.0)
    assert memory.resting == 3
    memory.recall("another", GRACE_SECONDS - 1)
    assert len(memory) == 4
    memory.recall("another", GRACE_SECONDS)
    assert len(memory) == 3
    memory.recall("another", GRACE_SECONDS + 99)
    assert len(memory) == 3
    memory.recall("another", GRACE_SECONDS + 100)
    assert (len(memory), memory.recall("c-0", GRACE_SECONDS + 100).open) == (2, 1)


def test_a_grace_may_be_shorter_than_the_way_to_rest() -> None:
    """It counts all the same."""
    memory = Memory(1_000, 1.0)
    memory.recall("c-0", 0.0)
    memory.recall("another", 2.0)
    assert len(memory) == 1


def test_what_comes_back_before_its_grace_is_over_stays() -> None:
    """Although another one was looked at to be forgotten meanwhile."""
    memory = remembering(2)
    memory.recall("c-1", 1.0)
    memory.recall("another", 100.0)
    assert memory.resting == 2
    assert memory.recall("c-0", GRACE_SECONDS - 1).legs
    memory.recall("another", GRACE_SECONDS + 1)
    assert len(memory) == 2
    assert memory.recall("c-0", GRACE_SECONDS + 2).legs
