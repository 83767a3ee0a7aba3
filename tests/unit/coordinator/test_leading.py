"""The leader through hours of faults: the invariants hold at every step, and all heals."""

from __future__ import annotations

import math
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import chain

import pytest

from coordinator.leader import DEAF_BEATS, PATIENCE_BEATS
from mirror.fleet.words import Grant, Seat
from tests.unit.coordinator.world import (
    HEARTBEAT_MS,
    LEASE_MS,
    NEVER_MS,
    PASS_MS,
    Listener,
    World,
    seats_of,
)

IN_CI = os.environ.get("CI") == "true"
HOURS = float(os.environ.get("MIRROR_TEST_HOURS") or (1000 if IN_CI else 100))
# In CI the same histories in every build, so that a build fails for what changed; laptops and
# `make fuzz` look for new ones.
SEED = int(os.environ.get("MIRROR_TEST_SEED") or (1 if IN_CI else time.time_ns() % 1_000_000))
FAULT_EVERY = 12
STEPS = 1200
CALM_STEPS = 160  # a channel that does not come back is given up after thirty beats


def calm(world: World) -> None:
    """No more faults: everybody wakes, and the world has time to heal."""
    for listener in world.listeners.values():
        listener.paused_until = 0
    if world.rights:
        world.commands["rebalance"] = "1"  # what was refused is asked for again
    for _ in range(CALM_STEPS):
        world.step()


def history(seed: int, *, quick: bool = True) -> list[str]:
    """One world's life of faults, and what was wrong in it; `quick` as of `World`."""
    world = World(seed, quick=quick)
    for step in range(STEPS):
        if step % FAULT_EVERY == 0 and world.random.random() < 0.7:
            world.fault()
        world.step()
        if world.broken:
            return [f"seed {seed}, step {step}: {broken_rule}" for broken_rule in world.broken]
    calm(world)
    return [
        f"seed {seed}: {broken_rule}"
        for broken_rule in world.broken + world.unwell() + world.unfiled()
    ]


def test_a_stuck_replica_does_not_wait_for_a_drain_that_waits_for_it() -> None:
    """One listener stays, its channel of a shard is lost, and the other replica drains."""
    assert history(285298, quick=False) == []


def test_a_stuck_replica_does_not_wait_for_a_listener_that_waits_for_it() -> None:
    """Its listener drains, and the one that is left for it has the other replica, which would be
    better elsewhere."""
    assert history(243087, quick=False) == []


def test_the_only_listener_moves_a_shard_off_a_client_that_may_not_see_it() -> None:
    """No other replica serves meanwhile, and none will: it cannot wait for that."""
    assert history(535488) == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_invariants_hold_through_hours_of_faults(capsys: pytest.CaptureFixture[str]) -> None:
    """Deaths, pauses, joins, drains, elections, flushes, churn, rotations, in any order.

    `MIRROR_TEST_HOURS` and `MIRROR_TEST_SEED` make it longer, or repeat one. Does not prove
    anything of Redis, of the network or of the listeners' own code.
    """
    worlds = math.ceil(HOURS * 3_600_000 / PASS_MS / (STEPS + CALM_STEPS))
    started = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), context) as pool:
        wrong = list(
            chain.from_iterable(pool.map(history, range(SEED, SEED + worlds), chunksize=4))
        )
    with capsys.disabled():
        print(
            f"\n{HOURS:g} simulated hours of faults in {time.monotonic() - started:.0f} s: "
            f"MIRROR_TEST_SEED={SEED} MIRROR_TEST_HOURS={HOURS:g}"
        )
    assert wrong == []


def test_a_dead_listeners_seats_are_granted_in_the_pass_that_sees_it() -> None:
    """Silent for a lease: its seats have another holder at once, under a higher epoch."""
    world = World(1)
    for _ in range(20):
        world.step()
    victim = next(listener for listener in world.listeners.values() if listener.channels)
    lost = {Seat(*key[:2]): key[2] for key in victim.channels}
    del world.listeners[victim.name]
    died = world.beats[victim.name]
    while world.now - died <= LEASE_MS:
        world.step()
    for seat, epoch in lost.items():
        current = world.leader.seats[seat].current
        assert current is not None
        assert current.listener != victim.name
        assert current.epoch > epoch


def test_a_flush_moves_nothing() -> None:
    """Redis forgets everything: leader and listeners go on with the same seats and epochs."""
    world = World(2)
    for _ in range(20):
        world.step()
    before = {name: set(listener.channels) for name, listener in world.listeners.items()}
    world.flush()
    world.elect()  # not even the leader remembers
    for _ in range(20):
        world.step()
    assert {name: set(listener.channels) for name, listener in world.listeners.items()} == before


@pytest.mark.parametrize("seed", range(8))
def test_a_flush_moves_nothing_though_redis_has_some_shards_again(seed: int) -> None:
    """Some listeners were quicker than the election: the leader keeps the shards of the others."""
    world = World(seed, quick=True)
    for _ in range(20):
        world.step()
    shards = dict(world.shards)
    before = {name: set(listener.channels) for name, listener in world.listeners.items()}
    world.flush()
    world.return_early()
    world.begin()
    for _ in range(20):
        world.step()
    assert world.shards == shards
    assert {name: set(listener.channels) for name, listener in world.listeners.items()} == before
    assert world.unfiled() == []


def test_who_follows_knows_what_the_leader_did() -> None:
    """It led once, another one cut the shards anew, and it leads again on an empty Redis."""
    world = World(8)
    for _ in range(20):
        world.step()
    before = world.leader
    world.elect()
    world.topics = frozenset(f"t{n}" for n in range(60, 90))
    for _ in range(40):
        world.step()
    world.told(before)
    held = {name: set(listener.channels) for name, listener in world.listeners.items()}
    shards, covered = dict(world.shards), set(world.leader.coverage)
    world.flush()
    world.leader = before
    world.begin()
    assert before.shards == shards
    assert set(before.coverage) == covered
    for _ in range(20):
        world.step()
    assert {name: set(listener.channels) for name, listener in world.listeners.items()} == held
    assert world.broken + world.unfiled() == []


@pytest.mark.parametrize("seed", range(4))
def test_what_was_granted_since_is_not_taken_back(seed: int) -> None:
    """Who followed leads on an empty Redis, and its last look was before a listener died."""
    world = World(seed)
    for _ in range(20):
        world.step()
    before = world.leader
    world.elect()
    world.step()
    world.told(before)
    died = next(listener for listener in world.listeners.values() if listener.channels)
    del world.listeners[died.name]
    for _ in range(CALM_STEPS):
        world.step()
    held = {name: set(listener.channels) for name, listener in world.listeners.items()}
    world.flush()
    world.leader = before
    world.begin()
    for _ in range(20):
        world.step()
    for name, channels in held.items():
        assert channels <= set(world.listeners[name].channels)
    assert world.broken == []


def test_a_leader_does_not_cut_by_what_it_found_when_it_led_last() -> None:
    """Users joined while another one led: their topics stay until discovery was asked again."""
    world = World(9)
    found = world.topics
    for _ in range(20):
        world.step()
    before = world.leader
    world.elect()
    world.topics = found | {f"new{n}" for n in range(12)}
    for _ in range(20):
        world.step()
    shards = dict(world.shards)
    world.leader, world.topics, world.blind = before, found, True
    world.begin()
    world.step()
    assert world.shards == shards
    world.blind = False
    world.topics = frozenset(found | {"one more"})  # found since the election
    world.step()
    assert {topic for shard in world.shards.values() for topic in shard.topics} == world.topics


def test_a_rebalance_from_before_another_one_led_is_over() -> None:
    """Leading again moves no seat to where it was to be then."""
    world = World(59)

    def steps(count: int) -> None:
        for _ in range(count):
            world.step()

    steps(20)
    for _ in range(4):
        world.join()
    steps(5)
    world.commands["rebalance"] = "1"
    steps(1)
    before = world.leader
    ((_, goal),) = before._target._goal.items()
    world.elect()
    gone = world.listeners.pop(goal.listener)
    steps(60)
    world.listeners[gone.name] = Listener(gone.name, gone.host)
    steps(60)
    placed = {name: set(listener.channels) for name, listener in world.listeners.items()}
    world.leader = before
    world.begin()
    steps(60)
    assert {name: set(listener.channels) for name, listener in world.listeners.items()} == placed


def test_coverage_that_redis_lost_in_part_is_kept_from_memory() -> None:
    """A shard that nobody receives is not covered from its next frame on as if there had been
    none."""
    world = World(10)
    for _ in range(20):
        world.step()
    known = dict(world.leader.coverage)
    lost = min(known)
    cover = {known_id: entry for known_id, entry in known.items() if known_id != lost}
    world.leader.follow(dict(world.shards), seats_of(world.stored), cover)
    assert world.leader.coverage == known


def test_silence_of_all_after_an_outage_is_nobodys_death() -> None:
    """Beats are old because Redis was away: everybody has a lease to be heard again."""
    world = World(3)
    for _ in range(20):
        world.step()
    before = {name: set(listener.channels) for name, listener in world.listeners.items()}
    world.now += 10 * LEASE_MS
    world.outage = True
    for _ in range(12):
        world.step()
    assert {name: set(listener.channels) for name, listener in world.listeners.items()} == before
    assert world.unwell() == []


def test_a_slow_leader_replaces_the_dead() -> None:
    """Its passes are most of a lease apart, and all others beat meanwhile: no outage."""
    world = World(4)
    for _ in range(20):
        world.step()
    victim = world.listeners.pop(min(world.listeners))
    for _ in range(12):
        world.step(3 * LEASE_MS // 4)
    assert victim.name not in world.outcome.alive
    assert world.listeners.keys() == world.outcome.alive
    assert world.unwell() == []


def test_a_new_leader_gives_nothing_to_the_dead() -> None:
    """A listener that died under the last leader counts as alive for a lease and gets no seat."""
    world = World(4)
    for _ in range(20):
        world.step()
    victim = world.listeners.pop(min(world.listeners))
    for _ in range(20):
        world.step()
    world.elect()
    for _ in range(20):
        world.step()
        holders = {h.listener for r in world.leader.seats.values() for h in r.holdings()}
        assert victim.name not in holders


def until(world: World, done: Callable[[], bool], steps: int) -> int:
    """Step until something is so; how many steps that took."""
    for step in range(steps):
        if done():
            return step
        world.step()
    raise AssertionError(f"not within {steps} steps")


def test_a_channel_stuck_on_a_living_listener_moves_elsewhere() -> None:
    """Its listener beats and its channel is lost: told while it lasts, and made good elsewhere."""
    world = World(5)
    for _ in range(20):
        world.step()
    victim = next(listener for listener in world.listeners.values() if listener.channels)
    key = min(victim.channels)
    victim.channels[key].live_ms = NEVER_MS
    record = world.leader.seats[Seat(*key[:2])]

    def moved() -> bool:
        current = record.current
        return current is not None and current.listener != victim.name and current.live

    patience = PATIENCE_BEATS * HEARTBEAT_MS // PASS_MS
    assert until(world, moved, patience + 20) >= patience
    assert world.broken == []


def test_a_deaf_replica_is_compared_and_then_replaced() -> None:
    """Its heartbeats come, and another replica hears frames: its listener must compare, it covers
    nothing, and status says so. If it stays deaf, it gets a successor, and never both replicas."""
    world = World(5)
    for _ in range(20):
        world.step()
    victim = next(listener for listener in world.listeners.values() if listener.channels)
    key = min(victim.channels)
    victim.channels[key].deaf = True
    seat = Seat(*key[:2])

    def grant() -> Grant | None:
        grants = world.outcome.grants.get(victim.name, ())
        return next((grant for grant in grants if grant.seat == seat), None)

    def is_doubted() -> bool:
        held = grant()
        return held is not None and held.doubted_ms > 0

    assert not is_doubted()
    until(world, is_doubted, DEAF_BEATS * HEARTBEAT_MS // PASS_MS + 10)
    assert "hears nothing" in world.outcome.problems[seat.name]
    assert key in victim.channels
    heard = world.leader.seats[seat]
    until(world, lambda: heard.epoch > key[2], DEAF_BEATS * HEARTBEAT_MS // PASS_MS + 4)
    until(world, lambda: key not in victim.channels, 20)
    calm(world)
    assert world.outcome.problems == {}
    assert world.broken + world.unfiled() == []


def test_one_that_does_not_serve_is_told_of() -> None:
    """Who holds it, since when; and not once it serves again."""
    world = World(6)
    for _ in range(20):
        world.step()
    for listener in world.listeners.values():
        for channel in listener.channels.values():
            channel.live_ms = NEVER_MS
    until(world, lambda: bool(world.outcome.uncovered), 10)
    assert set(world.outcome.uncovered) == set(world.shards)
    until(world, lambda: bool(world.outcome.problems), 70)
    assert "no live channel on l" in min(world.outcome.problems.values())
    calm_steps = 6 * CALM_STEPS  # one at a time, while nothing works at all
    until(world, lambda: not world.outcome.problems and not world.outcome.uncovered, calm_steps)
    assert world.unfiled() == []


def test_a_seat_without_a_place_is_told_with_the_reason() -> None:
    """One listener cannot hold both replicas of a shard."""
    world = World(7)
    while len(world.listeners) > 1:
        del world.listeners[max(world.listeners)]
    for _ in range(20):
        world.step()
    assert world.outcome.problems == {
        f"{shard}/b": "no listener can take it" for shard in world.shards
    }
