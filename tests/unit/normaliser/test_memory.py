"""What is remembered of conversations that are quiet, and for how long."""

from __future__ import annotations

from mirror.normaliser.memory import REST_AFTER, REST_EVERY, RESTS_AT_ONCE, Leg, Memory

GRACE = 900.0


def remembering(count: int, most: int = 1_000) -> Memory:
    """A memory of `count` conversations of one leg, all seen at 0 s."""
    memory = Memory(most, GRACE)
    for number in range(count):
        conversation = memory.recall(f"c-{number}", 0.0)
        key = (f"p-{number}", "call", 0)
        conversation.legs[key] = Leg(key, seen=-(2**63), once=5, often={"hold#1"}, ended=True)
        conversation.ends = (1,)
    return memory


def resting(memory: Memory) -> int:
    """How many conversations rest."""
    return len(memory._resting)


def test_a_quiet_conversation_rests_and_wakes_as_it_was() -> None:
    """All is kept but what tells unchanged participants and bodies."""
    memory = remembering(1)
    before = memory.recall("c-0", 0.0)
    legs, ends = before.legs, before.ends
    memory.recall("another", REST_AFTER - 0.5)
    assert (resting(memory), memory.get("c-0")) == (0, before)
    memory.recall("another", REST_AFTER + REST_EVERY)
    assert (resting(memory), memory.get("c-0"), len(memory)) == (1, None, 2)
    after = memory.recall("c-0", REST_AFTER + REST_EVERY)
    assert (resting(memory), len(memory)) == (0, 2)
    assert (after.id, after.legs, after.ends, after.doubtful) == ("c-0", legs, ends, True)
    assert (after.known, after.body) == ([], None)


def test_only_so_many_are_put_to_rest_at_once() -> None:
    """A frame behind a long silence does not wait for all of them."""
    memory = remembering(RESTS_AT_ONCE + 5)
    now = REST_AFTER + REST_EVERY
    memory.recall("new", now)
    assert resting(memory) == RESTS_AT_ONCE
    memory.recall("new", now)
    assert resting(memory) == RESTS_AT_ONCE + 5


def test_those_that_rest_count_and_go_first() -> None:
    """The bound is of all; the quietest is forgotten."""
    memory = remembering(3, most=3)
    memory.recall("c-0", REST_AFTER - 1)
    memory.recall("c-0", REST_AFTER + REST_EVERY)
    assert resting(memory) == 2
    memory.recall("new", REST_AFTER + REST_EVERY)
    assert (len(memory), resting(memory)) == (3, 1)
    assert memory.recall("c-2", REST_AFTER + REST_EVERY).legs
    assert not memory.recall("c-1", REST_AFTER + REST_EVERY).legs


def test_what_has_ended_is_forgotten_where_it_rests() -> None:
    """When its grace has run since the last frame, and not where it goes on."""
    memory = remembering(2)
    for name in ("c-0", "c-1"):
        memory.ended(memory.recall(name, 0.0), 0.0)
    memory.recall("c-0", 10.0).open = 1
    memory.recall("another", 100.0)
    assert resting(memory) == 2
    memory.recall("another", GRACE)
    assert (len(memory), memory.recall("c-0", GRACE).open) == (2, 1)


def test_the_grace_of_one_that_rests_counts_from_its_last_frame() -> None:
    """After-call work went on, and then it rested."""
    memory = remembering(1)
    memory.ended(memory.recall("c-0", 0.0), 0.0)
    memory.recall("c-0", 100.0)
    memory.recall("another", GRACE)
    assert (len(memory), resting(memory)) == (2, 1)
    memory.recall("another", GRACE + 99)
    assert len(memory) == 2
    memory.recall("another", GRACE + 100)
    assert len(memory) == 1
