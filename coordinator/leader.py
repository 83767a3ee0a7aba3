"""One pass of the leader, without any I/O: from the present state in Redis to the new one.

`Leader` remembers shards, seats and coverage between passes. Redis stores all three too, so a new
leader begins with the state of the old leader. If Redis loses all data, the leader writes shards
and coverage again from memory, and takes seats from the listeners' beats. A leader without memory
waits until the listeners have stored the shards that they hold. Until the leader knows a shard, it
writes nothing: empty assignments would close every channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from coordinator.plan import coverage, moves, problems, requests, seats, sharding
from coordinator.plan.clock import UNKNOWN, RedisClock, moved_back
from coordinator.plan.coverage import ShardCoverage
from coordinator.plan.deafness import DEAF_MS, Deafness
from coordinator.plan.departed import Departed
from coordinator.plan.liveness import Watch
from coordinator.plan.moves import SeatChange, Situation
from coordinator.plan.refusals import Refusals
from coordinator.plan.seats import Records, StoredSeats
from coordinator.plan.sight import Found
from coordinator.plan.target import Target, allowed
from coordinator.store import RedisState
from mirror.fleet.gaps import Gap, OngoingGap
from mirror.fleet.requests import REBALANCE
from mirror.fleet.words import Grant, Seat, Shard, seat_of

# A channel that is not live after this many beats gets a successor, if possible elsewhere, and a
# successor that is not live after this many beats is given up.
PATIENCE_BEATS: Final = 30
DEFAULT_HORIZON_MS: Final = 31 * 24 * 3_600_000
# When no further topic was refused for this many beats, refused topics are placed elsewhere.
QUIET_BEATS: Final = 3
# A replica that hears nothing is not doubted before this many beats.
DEAF_BEATS: Final = 4


class Rules(msgspec.Struct, frozen=True):
    """The settings of a pass. `clients`: OAuth client → most channels."""

    replicas: int
    topics_per_channel: int
    clients: Mapping[str, int]
    heartbeat_ms: int
    lease_ms: int
    horizon_ms: int = DEFAULT_HORIZON_MS


class _Stored(msgspec.Struct, frozen=True):
    """The times that a new leader finds: none is later than the last pass of the old one."""

    coverage: Mapping[str, ShardCoverage]
    seats: Records
    passed_ms: int


class Outcome(msgspec.Struct, frozen=True):
    """The decisions of a pass."""

    shards: Mapping[str, Shard]
    grants: Mapping[str, tuple[Grant, ...]]
    rejected: Mapping[str, str]
    gaps: Sequence[Gap]
    changes: Sequence[SeatChange]
    used_released: Sequence[str]
    done_commands: Sequence[str]
    unassigned: Mapping[Seat, str]
    uncovered: Mapping[str, OngoingGap]
    problems: Mapping[str, str]
    alive: frozenset[str]
    changed_shards: frozenset[str]
    silent: frozenset[str]  # listeners whose last beat has an unknown time


class Leader:
    """The leader's memory and decisions. Call `begin` after an election, then `step` once per pass;
    while another coordinator leads, `follow`."""

    def __init__(self, rules: Rules) -> None:
        self.shards: dict[str, Shard] = {}
        self.seats: Records = {}
        self.coverage: dict[str, ShardCoverage] = {}
        self._rules = rules
        self._watch = Watch(rules.lease_ms)
        self._clock = RedisClock(rules.lease_ms)
        self._passed_ms = 0
        self._hosts: dict[str, str] = {}
        self._target = Target(rules.replicas, rules.clients)
        self._uncovered: dict[str, OngoingGap] = {}
        self._cut_for: Found | None = None
        self.departed = Departed(rules.horizon_ms)
        self._refusals = Refusals(rules.clients, QUIET_BEATS * rules.heartbeat_ms)
        self._deafness = self._no_deafness()
        self._anew = True

    def begin(
        self,
        shards: dict[str, Shard],
        stored: StoredSeats,
        cover: dict[str, ShardCoverage],
        departed: Mapping[str, int] | None = None,
        passed_ms: int | None = None,
    ) -> None:
        """Take over from the last leader, from its state in Redis. `passed_ms`: the Redis time of
        its last pass."""
        self._passed_ms = passed_ms or 0
        self.follow(shards, stored, cover)
        self.departed.recall(departed or {})
        self._cut_for = None
        self._refusals.recall(self.shards)
        self._deafness = self._no_deafness()
        self._anew = True
        self._target.forget()

    def follow(
        self, shards: dict[str, Shard], stored: StoredSeats, cover: dict[str, ShardCoverage]
    ) -> None:
        """Learn the state in Redis while another coordinator leads.

        What Redis lost is kept in memory. A leader stores shards before their seats, so if Redis
        has seats, it has all shards.
        """
        self.shards = shards if stored.seats else _joined(shards, self.shards)
        self.seats = seats.records(stored) if stored.seats else self.seats
        known = {**self.coverage, **cover}
        self.coverage = {
            shard_id: entry for shard_id, entry in known.items() if shard_id in self.shards
        }

    def step(
        self,
        seen: RedisState,
        found: Found | None,
        now_ms: int,
        permissions: str = "",
        stored: Mapping[str, Shard] | None = None,
        *,
        outage: bool = False,
    ) -> Outcome | None:
        """One pass; None while there is nothing to decide yet.

        `found`: the result of discovery, None before its first. `stored`: the shards in Redis, used
        while this leader knows none. `outage`: Redis was away since the last pass, or its clock
        jumped (`coordinator.plan.liveness`).
        """
        rules = self._rules
        begun, self._anew = self._anew, False
        seen = self._on_this_clock(seen, now_ms, begun=begun)
        self._watch.look(now_ms, anew=begun or outage)
        if not self.shards:
            if not self._heard_all(seen, now_ms):
                return None
            self.shards = dict(stored or {})
            if not self.shards and found is None:
                return None
            begun = True
        unwatched = self.shards.keys() - self.coverage.keys() if begun else set()
        heard = [report for listener, report in seen.listeners.items() if listener in seen.beats]
        if REBALANCE in seen.commands:
            self._refusals.forget()
            self._cut_for = None
        elif self._refusals.learn(heard, self.shards, now_ms):
            self._cut_for = None
        changed = self._cut(found, now_ms)
        holders = {
            holding.listener for record in self.seats.values() for holding in record.holdings()
        }
        alive = self._watch.alive(now_ms, seen.beats, holders)
        unheard = self._watch.unheard(now_ms, seen.beats, alive)
        alive -= unheard - holders
        unheard &= holders
        self._hosts.update({listener: beat.host for listener, beat in seen.listeners.items()})
        seats.note_reports(self.seats, seen.listeners, alive, now_ms)
        deafness = self._deafness
        deafness.look(seen.listeners, seen.beats, alive, now_ms)

        patience_ms = PATIENCE_BEATS * rules.heartbeat_ms
        unhealthy = moves.unhealthy(self.seats, now_ms, patience_ms)
        leaving = requests.leaving(seen.commands, seen.listeners, alive)
        released = {seat_of(name): handle for name, handle in seen.released.items()}
        wanted = self._target.wanted(
            self.seats,
            self.shards,
            {listener: self._hosts.get(listener, listener) for listener in sorted(alive - leaving)},
            {seat: handle.client for seat, handle in released.items()},
            unhealthy,
            rebalance=REBALANCE in seen.commands,
        )
        changes: list[SeatChange] = []
        if self._settled(now_ms):
            situation = Situation(
                now_ms=now_ms,
                rising_ms=self._clock.rising(now_ms),
                alive=frozenset(alive),
                unheard=frozenset(unheard),
                leaving=leaving,
                wanted=wanted,
                requests=requests.successors(
                    self.seats, seen.commands, seen.listeners, unhealthy, deafness.deaf(now_ms)
                ),
                limits=rules.clients,
                released=released,
                patience_ms=patience_ms,
                allowed=allowed(self.shards),
            )
            changes = moves.advance(self.seats, situation)
        for change in changes:
            if change.kind == "moving" and change.reason == moves.DEAF:
                deafness.note_successor(change.seat)
        intervals = coverage.intervals(
            seen.listeners, seen.beats, alive, deafness.doubted(), deafness.restarts()
        )
        # Shards without a known coverage and without a live channel: the leader does not know until
        # when their topics were received. So their gap begins at the horizon.
        not_live = {
            shard_id: self.shards[shard_id].topics
            for shard_id in unwatched & self.shards.keys() - intervals.keys()
        }
        coverage.note_fresh(self.coverage, not_live, self.shards, now_ms, rules.horizon_ms)
        gaps = coverage.advance(self.coverage, self.shards, intervals)
        if self._settled(now_ms) and not unheard:
            self._uncovered = {
                shard: OngoingGap(
                    shard,
                    since,
                    len(self.shards[shard].topics),
                    coverage.is_fresh(self.coverage[shard]),
                )
                for shard, since in coverage.uncovered(
                    self.coverage, self.shards, intervals
                ).items()
            }
        held = {record.seat.name for record in self.seats.values() if record.current is not None}
        return Outcome(
            shards=self.shards,
            grants=seats.grants(self.seats, self.shards, deafness.doubted()),
            rejected=problems.rejected(seen.listeners, alive, self.shards, permissions),
            gaps=gaps,
            changes=changes,
            used_released=sorted(seen.released.keys() & held),
            done_commands=requests.done(self.seats, seen.commands, seen.beats, changes),
            unassigned=wanted.unassigned,
            uncovered=self._uncovered,
            problems=problems.problems(
                self.seats, wanted.unassigned, deafness.doubted(), now_ms - patience_ms
            ),
            alive=frozenset(alive),
            changed_shards=changed,
            silent=frozenset(
                listener
                for listener, beat_ms in seen.beats.items()
                if beat_ms == UNKNOWN and now_ms - self._watch.since_ms > rules.lease_ms
            ),
        )

    def _on_this_clock(self, seen: RedisState, now_ms: int, *, begun: bool) -> RedisState:
        """Move all times back if Redis' clock went back, and tell old beats from new ones."""
        stored = _Stored(self.coverage, self.seats, self._passed_ms) if begun else None
        step = self._clock.look(now_ms, seen.beats, stored)
        if step is not None:
            self.seats = moved_back(self.seats, step.by_ms)
            self.coverage = moved_back(self.coverage, step.received_ms)
            self._uncovered = moved_back(self._uncovered, step.received_ms)
            self.departed.step_back(step.received_ms)
            self._refusals.step_back(step.by_ms)
            self._deafness.step_back(step.by_ms, now_ms)
        reports = [report for beat in seen.listeners.values() for report in beat.channels]
        self._clock.keep_ahead(
            max(
                (
                    *(shard.epoch for shard in self.shards.values()),
                    *(1000 * record.epoch for record in self.seats.values()),
                    *(max(report.shard_epoch, 1000 * report.epoch) for report in reports),
                ),
                default=0,
            ),
            now_ms,
        )
        return msgspec.structs.replace(seen, beats=self._clock.known(now_ms, seen.beats))

    def _no_deafness(self) -> Deafness:
        """A fresh watch of deaf replicas; each replica beats several times before it is doubted."""
        return Deafness(max(DEAF_MS, DEAF_BEATS * self._rules.heartbeat_ms))

    def _cut(self, found: Found | None, now_ms: int) -> frozenset[str]:
        if found is None or (found is self._cut_for and self.shards):
            return frozenset()
        self._cut_for = found
        limit = self._rules.topics_per_channel
        until = coverage.received_until(self.coverage, self.shards)
        audience = self._refusals.applied(found).audience
        cut = sharding.cut(
            self.shards,
            found.topics,
            limit,
            self._clock.rising(now_ms),
            audience,
            self._refusals.of,
        )
        until = self.departed.look(until, found.topics, now_ms) | until
        self.shards = cut.shards
        coverage.note_entered(
            self.coverage,
            (cut.fresh, cut.moved),
            self.shards,
            until,
            now_ms,
            self._rules.horizon_ms,
        )
        return cut.changed | cut.removed

    def _heard_all(self, seen: RedisState, now_ms: int) -> bool:
        """Whether Redis has the shards of all channels, or the listeners had a whole lease to store
        them. To cut new shards before that would change the topics of every channel."""
        held = {channel.shard for beat in seen.listeners.values() for channel in beat.channels}
        late = now_ms - self._watch.since_ms > self._rules.lease_ms
        return self._settled(now_ms) and (late or held <= seen.shard_epochs.keys())

    def _settled(self, now_ms: int) -> bool:
        """Whether every live listener had time to beat since the watch began."""
        return now_ms - self._watch.since_ms >= self._rules.heartbeat_ms * 3 // 2


def _joined(stored: Mapping[str, Shard], known: Mapping[str, Shard]) -> dict[str, Shard]:
    """The shards in Redis, and the known shards whose topics are in none of them.

    Redis may have come back empty, and only some listeners may have stored their shards before the
    election. New shards for the other topics would replace the channels of these topics, and
    back-fill would read their past again.
    """
    topics = {topic for shard in stored.values() for topic in shard.topics}
    kept = {
        shard_id: shard
        for shard_id, shard in known.items()
        if shard_id not in stored and topics.isdisjoint(shard.topics)
    }
    return {**stored, **kept}
