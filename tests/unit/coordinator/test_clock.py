"""Redis' clock goes back: nothing is silently uncovered, and nothing waits for the old time."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from coordinator.leader import PATIENCE_BEATS
from coordinator.plan.clock import UNKNOWN, UNSEEN_MS, RedisClock, latest_ms, moved_back
from coordinator.plan.coverage import Interval, Pending, ShardCoverage
from coordinator.plan.deafness import Ear
from coordinator.plan.departed import Departed
from coordinator.plan.seats import Holding, SeatRecord
from coordinator.plan.sight import Found
from mirror.fleet.gaps import OngoingGap
from mirror.fleet.words import Seat
from mirror.fleet.workers import AHEAD_MS
from tests.unit.coordinator.world import (
    HEARTBEAT_MS,
    LEASE_MS,
    NEVER_MS,
    NOTICE_MS,
    OPENING_MS,
    PASS_MS,
    World,
)

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
NOW_MS = 1_795_798_000_000
STATE = (ShardCoverage, Pending, SeatRecord, Holding, OngoingGap, Ear, Interval)


def filled(kind: Any) -> Any:
    """A struct with a time in each field that has one."""
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.name.endswith("_ms"):
            values[field.name] = NOW_MS
        elif field.required:
            values[field.name] = 1 if field.type is int else "x" if field.type is str else ()
    return kind(**values)


@pytest.mark.parametrize("kind", STATE)
def test_every_time_of_the_state_moves(kind: Any) -> None:
    """Also in tuples, lists and dictionaries; times that are none stay."""
    value = filled(kind)
    assert latest_ms({"x": [value, (value,)]}) == NOW_MS
    moved = moved_back({"x": (value, [value])}, HOUR_MS)
    for changed in (moved["x"][0], moved["x"][1][0]):
        assert latest_ms(changed) == NOW_MS - HOUR_MS
        for field in msgspec.structs.fields(kind):
            before, after = getattr(value, field.name), getattr(changed, field.name)
            assert after == (before - HOUR_MS if field.name.endswith("_ms") else before)


def test_times_that_are_none_stay() -> None:
    """None and 0 say that something never was."""
    holding = Holding("l", "c", 1, 0)
    record = SeatRecord("1", "a", current=holding, not_live_since_ms=None)
    assert moved_back(record, HOUR_MS) == record
    assert moved_back(ShardCoverage(), HOUR_MS) == ShardCoverage()


def test_beats_from_before_the_step_are_unknown_until_they_change() -> None:
    """Those in the future, and those that seem to be of now."""
    clock = RedisClock(LEASE_MS)
    old = {"ahead": NOW_MS - 1_000, "behind": NOW_MS - HOUR_MS - 1_000}
    assert clock.look(NOW_MS, old) is None
    assert clock.known(NOW_MS, old) == old
    now_ms = NOW_MS - HOUR_MS
    step = clock.look(now_ms, old)
    assert step is not None
    assert (step.by_ms, step.received_ms) == (HOUR_MS, HOUR_MS + LEASE_MS)
    assert clock.known(now_ms, old) == dict.fromkeys(old, UNKNOWN)
    assert clock.look(now_ms + 1_000, old) is None
    beats = old | {"behind": now_ms + 500}
    assert clock.known(now_ms + 1_000, beats) == {"ahead": UNKNOWN, "behind": now_ms + 500}


def test_a_new_leader_knows_the_step_by_what_is_stored() -> None:
    """It has seen no earlier time. Without a step what is stored stays."""
    stored = {"1": ShardCoverage(until_ms=NOW_MS)}
    assert RedisClock(LEASE_MS).look(NOW_MS + 1, {}, stored) is None
    step = RedisClock(LEASE_MS).look(NOW_MS - HOUR_MS, {}, stored)
    assert step is not None
    assert (step.by_ms, step.received_ms) == (HOUR_MS, HOUR_MS + UNSEEN_MS)


def test_a_beat_far_ahead_is_unknown_to_a_leader_that_saw_no_step() -> None:
    """It was elected after another leader had seen the step. A moment ahead is no matter."""
    clock = RedisClock(LEASE_MS)
    beats = {"old": NOW_MS + AHEAD_MS + 1, "new": NOW_MS + 1_000}
    clock.look(NOW_MS, beats)
    assert clock.known(NOW_MS, beats) == {"old": UNKNOWN, "new": NOW_MS + 1_000}


def test_epochs_go_on_rising() -> None:
    """After a step, and above what is known."""
    clock = RedisClock(LEASE_MS)
    clock.look(NOW_MS, {})
    clock.look(NOW_MS - HOUR_MS, {})
    assert clock.rising(NOW_MS - HOUR_MS) >= NOW_MS
    clock.keep_ahead(NOW_MS + HOUR_MS, NOW_MS - HOUR_MS)
    assert clock.rising(NOW_MS - HOUR_MS + 1) > NOW_MS + HOUR_MS


def test_departed_topics_move_too() -> None:
    """A queue that comes back is filed from its last frame."""
    departed = Departed(48 * HOUR_MS)
    departed.look({"t": NOW_MS}, [], NOW_MS)
    departed.step_back(HOUR_MS)
    assert departed.look({}, ["t"], NOW_MS - HOUR_MS) == {"t": NOW_MS - HOUR_MS}


def settled() -> World:
    """A world in which all is received."""
    world = World(3)
    run(world, 15 * MINUTE_MS)
    assert world.unwell() == []
    return world


def run(world: World, ms: int) -> None:
    """So much real time passes."""
    for _ in range(ms // PASS_MS):
        world.step()


def die(world: World) -> None:
    """All listeners die."""
    for name in list(world.listeners):
        world.killed.append((world.now, world.listeners.pop(name)))


@pytest.mark.parametrize("behind_ms", [10_000, 5 * MINUTE_MS, HOUR_MS, 5 * HOUR_MS])
@pytest.mark.parametrize("elected", [False, True])
@pytest.mark.parametrize("dark_before_ms", [0, 10 * MINUTE_MS])
def test_what_nobody_receives_is_filed(behind_ms: int, elected: bool, dark_before_ms: int) -> None:
    """All listeners die before or after the step, and others come ten minutes later."""
    world = settled()
    filed = sum(map(len, world.gaps.values()))
    if dark_before_ms:
        die(world)
        run(world, dark_before_ms)
    world.behind += behind_ms
    if elected:
        world.elect()
    run(world, 2 * MINUTE_MS)
    if not dark_before_ms:
        die(world)
    run(world, 10 * MINUTE_MS)
    for _ in range(3):
        world.join()
    run(world, 40 * MINUTE_MS)
    assert all(len(moments) >= 20 for moments in world.unseen.values())
    assert world.unseen.keys() == world.shards.keys()
    assert world.broken + world.unwell() + world.unfiled() == []
    assert sum(map(len, world.gaps.values())) > filed


@pytest.mark.parametrize("elected", [False, True])
def test_what_is_received_through_the_step_is_no_gap(elected: bool) -> None:
    """Channels that live for longer than the time that is not known cover it by themselves."""
    world = World(3)
    run(world, 3 * HOUR_MS)
    before = {shard: list(gaps) for shard, gaps in world.gaps.items()}
    held = {name: set(listener.channels) for name, listener in world.listeners.items()}
    world.behind += HOUR_MS
    if elected:
        world.elect()
    run(world, 20 * MINUTE_MS)
    assert world.gaps == before
    assert {name: set(listener.channels) for name, listener in world.listeners.items()} == held
    assert world.leader.coverage.keys() == world.shards.keys()
    for entry in world.leader.coverage.values():
        assert entry.until_ms is not None
        assert world.redis_now - 2 * HEARTBEAT_MS <= entry.until_ms <= world.redis_now


@pytest.mark.parametrize("stuck_first", [False, True])
@pytest.mark.parametrize("elected", [False, True])
def test_a_stuck_replica_is_replaced_in_time(elected: bool, stuck_first: bool) -> None:
    """Its channel was lost before or after the step."""
    world = settled()
    key = min(key for listener in world.listeners.values() for key in listener.channels)
    seat = Seat(*key[:2])

    def get_stuck() -> None:
        for listener in world.listeners.values():
            if key in listener.channels:
                listener.channels[key].live_ms = NEVER_MS
        world.lost.append((world.now, key))

    if stuck_first:
        get_stuck()
        run(world, 2 * HEARTBEAT_MS)
    world.behind += 5 * HOUR_MS
    if elected:
        world.elect()
    world.step()
    if not stuck_first:
        get_stuck()
    run(world, PATIENCE_BEATS * HEARTBEAT_MS + NOTICE_MS + OPENING_MS + LEASE_MS)
    current = world.leader.seats[seat].current
    assert current is not None
    assert current.live
    assert current.epoch > key[2]


@pytest.mark.parametrize("elected", [False, True])
def test_who_dies_with_the_step_is_replaced_after_a_lease(elected: bool) -> None:
    """Its last beat is in the future for hours; its traces go too."""
    world = settled()
    victim = next(listener for listener in world.listeners.values() if listener.channels)
    seats = [Seat(*key[:2]) for key in victim.channels]
    del world.listeners[victim.name]
    world.killed.append((world.now, victim))
    world.behind += 5 * HOUR_MS
    if elected:
        world.elect()
    run(world, LEASE_MS + 2 * PASS_MS)
    assert victim.name not in world.beats
    for seat in seats:
        current = world.leader.seats[seat].current
        assert current is None or current.listener != victim.name


def test_a_queue_that_was_away_during_the_step_is_filed_from_its_last_frame() -> None:
    """It was invisible for ten minutes, and Redis' clock went back meanwhile."""
    world = settled()
    topics = world.topics
    gone_at = world.now
    world.topics = topics - {"t3"}
    run(world, 5 * MINUTE_MS)
    world.behind += HOUR_MS
    run(world, 5 * MINUTE_MS)
    world.topics = topics
    assert isinstance(world.find(), Found)
    before = {shard: len(gaps) for shard, gaps in world.gaps.items()}
    run(world, 10 * MINUTE_MS)
    news = [gap for shard, gaps in world.gaps.items() for gap in gaps[before.get(shard, 0) :]]
    assert any(start <= gone_at and end >= gone_at + 10 * MINUTE_MS for start, end in news)
