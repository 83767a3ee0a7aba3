"""The leader through hours of faults: the invariants hold at every step, and all heals."""

from __future__ import annotations

import os
import time

import pytest

from tests.unit.coordinator.world import LEASE_MS, PASS_MS, World

HOURS = float(os.environ.get("MIRROR_TEST_HOURS", "60"))
SEED = int(os.environ.get("MIRROR_TEST_SEED", str(time.time_ns() % 1_000_000)))
FAULT_EVERY = 12
CALM_STEPS = 60


def calm(world: World) -> None:
    """No more faults: everybody wakes, and the world has time to heal."""
    for listener in world.listeners.values():
        listener.paused_until = 0
    for _ in range(CALM_STEPS):
        world.step()


@pytest.mark.timeout(240)
def test_invariants_hold_through_hours_of_faults() -> None:
    """Deaths, pauses, joins, drains, elections, flushes, churn, rotations, in any order.

    `MIRROR_TEST_HOURS` and `MIRROR_TEST_SEED` make it longer, or repeat one. Does not prove
    anything of Redis, of the network or of the listeners' own code.
    """
    print(f"MIRROR_TEST_SEED={SEED} MIRROR_TEST_HOURS={HOURS:g}")
    seed, simulated = SEED, 0.0
    while simulated < HOURS:
        world = World(seed)
        for step in range(1200):
            if step % FAULT_EVERY == 0 and world.random.random() < 0.7:
                world.fault()
            world.step()
        calm(world)
        assert world.broken == [], f"seed {seed}"
        assert world.whole(), f"seed {seed}: not whole after {CALM_STEPS} calm passes"
        simulated += (1200 + CALM_STEPS) * PASS_MS / 3_600_000
        seed += 1


def test_a_dead_listeners_seats_are_granted_in_the_pass_that_sees_it() -> None:
    """Silent for a lease: its seats have another holder at once, under a higher epoch."""
    world = World(1)
    for _ in range(20):
        world.step()
    victim = next(one for one in world.listeners.values() if one.channels)
    lost = {key[:2]: key[2] for key in victim.channels}
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
    before = {name: set(one.channels) for name, one in world.listeners.items()}
    world.flush()
    world.elect()  # not even the leader remembers
    for _ in range(20):
        world.step()
    assert {name: set(one.channels) for name, one in world.listeners.items()} == before


def test_silence_of_all_after_an_outage_is_nobodys_death() -> None:
    """Beats are old because Redis was away: everybody has a lease to be heard again."""
    world = World(3)
    for _ in range(20):
        world.step()
    before = {name: set(one.channels) for name, one in world.listeners.items()}
    world.now += 10 * LEASE_MS
    for _ in range(12):
        world.step()
    assert {name: set(one.channels) for name, one in world.listeners.items()} == before
    assert world.whole()


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
