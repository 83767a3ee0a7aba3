"""How long the leader's mind takes for one pass at full size, without any I/O.

The passes that have most to do: the first cut, the first grants, a death, users that join, and one
in which nothing happens. Of each the median CPU time, since other work may share the machine.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Final

import msgspec

from coordinator.leader import Leader, Outcome, Rules
from coordinator.plan.seats import StoredSeats, stored_seats
from coordinator.plan.sight import Found
from coordinator.store import RedisState
from mirror.fleet.words import Assignment, Beat, ChannelReport, Grant

ROUNDS: Final = 5
LISTENERS: Final = 4
CLIENTS: Final = 6
HEARTBEAT_MS: Final = 2_000
LEASE_MS: Final = 8_000


def pass_times(topics: int) -> dict[str, float]:
    """What the pass had to do → milliseconds of CPU, the median of some rounds."""
    rounds = [_round(topics) for _ in range(ROUNDS)]
    return {name: statistics.median(timed[name] for timed in rounds) for name in rounds[0]}


def _round(count: int) -> dict[str, float]:
    clients = {f"client-{number}": 20 for number in range(CLIENTS)}
    leader = Leader(Rules(2, 1_000, clients, HEARTBEAT_MS, LEASE_MS))
    leader.begin({}, StoredSeats(), {})
    names = [f"listener-{number}" for number in range(LISTENERS)]
    topics = frozenset(f"v2.users.{number}.conversations" for number in range(count))
    now = 1_000_000_000_000
    times: dict[str, float] = {}
    grants: Mapping[str, tuple[Grant, ...]] = {}
    found: dict[frozenset[str], Found] = {}

    def step(name: str, wanted: frozenset[str]) -> Outcome:
        nonlocal grants
        seen = _seen(leader, names, grants, now)
        began = time.process_time()
        outcome = leader.step(seen, found.setdefault(wanted, Found(wanted, {})), now)
        times[name] = 1000 * (time.process_time() - began)
        assert outcome is not None
        grants = outcome.grants
        return outcome

    assert leader.step(_seen(leader, names, grants, now), None, now) is None
    now += 2 * HEARTBEAT_MS
    step("first cut and grants", topics)
    now += HEARTBEAT_MS
    step("nothing happens", topics)
    names.pop()
    silent = 0
    while not step("a listener died", topics).changes:
        now += HEARTBEAT_MS
        silent += HEARTBEAT_MS
        assert silent <= 2 * LEASE_MS
    more = topics | {f"v2.users.new-{number}.conversations" for number in range(100)}
    step("100 users join", more)
    return times


def _seen(
    leader: Leader, names: list[str], grants: Mapping[str, tuple[Grant, ...]], now: int
) -> RedisState:
    """Redis as listeners leave it that are as good as their word."""
    beats = {
        name: Beat(
            listener=name,
            host=f"host-{index % 2}",
            pid=1,
            version="0",
            state="live",
            channels=tuple(
                ChannelReport(
                    shard=grant.shard,
                    replica=grant.replica,
                    epoch=grant.epoch,
                    client=grant.client,
                    state="live",
                    covered_ms=1000,
                    last_frame_ms=0,
                    shard_epoch=grant.shard_epoch,
                )
                for grant in grants.get(name, ())
            ),
        )
        for index, name in enumerate(names)
    }
    return RedisState(
        beats=dict.fromkeys(names, now),
        listeners=beats,
        assignments={name: Assignment(1, mine) for name, mine in grants.items()},
        shard_epochs={shard.id: shard.epoch for shard in leader.shards.values()},
        released={},
        commands={},
        rejected={},
        seats=msgspec.json.encode(stored_seats(leader.seats)).decode(),
    )
