"""One pass of the leader, without any I/O: from what Redis shows to what it shall show.

`Leader` remembers shards, seats and coverage between passes; all three are stored too, and a new
leader begins with what the old one stored. Redis may forget everything at any time: shards and
coverage are then written again from memory, and seats are adopted from the listeners' beats. A
leader that has no memory either waits for the listeners to store the shards that they hold, and
until it knows any shard it says nothing: an empty word would close every channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from coordinator.plan import assignment, coverage, moves, problems, seats, sharding
from coordinator.plan.assignment import Place, Placement, Seat
from coordinator.plan.coverage import ShardCoverage
from coordinator.plan.deafness import DEAF_MS, Deafness
from coordinator.plan.departed import Departed
from coordinator.plan.liveness import Watch
from coordinator.plan.moves import Change, Situation, SuccessorRequest
from coordinator.plan.refusals import Refusals
from coordinator.plan.seats import Ledger, Records
from coordinator.plan.sight import Found
from coordinator.store import Seen
from mirror.fleet.gaps import Gap, OngoingGap
from mirror.fleet.requests import DRAIN, REBALANCE, ROTATE
from mirror.fleet.words import Grant, Shard, seat_name

# A channel or successor that is not live after so many beats is tried again, elsewhere perhaps.
PATIENCE_BEATS: Final = 30
DEFAULT_HORIZON_MS: Final = 31 * 24 * 3_600_000
# When no further topic was refused for so many beats, what was refused is placed elsewhere.
QUIET_BEATS: Final = 3
# A replica that hears nothing is not doubted before so many beats.
DEAF_BEATS: Final = 4


class Rules(msgspec.Struct, frozen=True):
    """The settings that a pass obeys. `clients`: OAuth client → most channels."""

    replicas: int
    topics_per_channel: int
    clients: Mapping[str, int]
    heartbeat_ms: int
    lease_ms: int
    horizon_ms: int = DEFAULT_HORIZON_MS


class Outcome(msgspec.Struct, frozen=True):
    """What a pass decided."""

    shards: Mapping[str, Shard]
    grants: Mapping[str, tuple[Grant, ...]]
    rejected: Mapping[str, str]
    gaps: Sequence[Gap]
    changes: Sequence[Change]
    used_released: Sequence[str]
    done_commands: Sequence[str]
    unassigned: Mapping[Seat, str]
    uncovered: Mapping[str, OngoingGap]
    problems: Mapping[str, str]
    alive: frozenset[str]
    changed_shards: frozenset[str]


class Leader:
    """The leader's mind. `begin` after an election, then `step` once a pass; else `follow`."""

    def __init__(self, rules: Rules) -> None:
        self.shards: dict[str, Shard] = {}
        self.seats: Records = {}
        self.coverage: dict[str, ShardCoverage] = {}
        self._rules = rules
        self._watch = Watch(rules.lease_ms)
        self._hosts: dict[str, str] = {}
        self._goal: dict[Seat, Place] = {}
        self._uncovered: dict[str, OngoingGap] = {}
        self._cut_for: Found | None = None
        self.departed = Departed(rules.horizon_ms)
        self._refusals = Refusals(rules.clients, QUIET_BEATS * rules.heartbeat_ms)
        self._deafness = self._no_deafness()
        self._anew = True

    def begin(
        self,
        shards: dict[str, Shard],
        ledger: Ledger,
        cover: dict[str, ShardCoverage],
        departed: Mapping[str, int] | None = None,
    ) -> None:
        """Take over from whoever led before, whose state Redis has."""
        self.follow(shards, ledger, cover)
        self.departed.recall(departed or {})
        self._cut_for = None
        self._refusals.recall(self.shards)
        self._deafness = self._no_deafness()
        self._anew = True
        self._goal = {}  # of a rebalance asked for before; another one may have placed seats since

    def follow(
        self, shards: dict[str, Shard], ledger: Ledger, cover: dict[str, ShardCoverage]
    ) -> None:
        """Learn the state that Redis has while another one leads.

        What it has forgotten is kept from memory. A leader stores seats after their shards: where
        there are seats, there are all shards.
        """
        self.shards = shards if ledger.seats else _joined(shards, self.shards)
        self.seats = seats.records(ledger) if ledger.seats else self.seats
        known = {**self.coverage, **cover}
        self.coverage = {
            shard_id: entry for shard_id, entry in known.items() if shard_id in self.shards
        }

    def step(
        self,
        seen: Seen,
        found: Found | None,
        now_ms: int,
        permissions: str = "",
        stored: Mapping[str, Shard] | None = None,
    ) -> Outcome | None:
        """One pass; None where there is nothing to say yet.

        `found`: by discovery, None while it has not. `stored`: the shards that Redis has,
        looked at while this leader knows none.
        """
        rules = self._rules
        begun, self._anew = self._anew, False
        self._watch.look(now_ms, anew=begun)
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
        wanted, leaving = self._wanted(seen, alive, unhealthy)
        changes: list[Change] = []
        if self._settled(now_ms):
            situation = Situation(
                now_ms=now_ms,
                alive=frozenset(alive),
                unheard=frozenset(unheard),
                leaving=leaving,
                wanted=wanted,
                requests=self._requests(seen, unhealthy, now_ms),
                limits=rules.clients,
                released={_seat(name): handle for name, handle in seen.released.items()},
                patience_ms=patience_ms,
                allowed=self._allowed(),
            )
            changes = moves.advance(self.seats, situation)
        for change in changes:
            if change.what == "moving" and change.why == moves.DEAF:
                deafness.note_successor(change.seat)
        intervals = coverage.intervals(
            seen.listeners, seen.beats, alive, deafness.doubted(), deafness.restarts()
        )
        # Of these nobody knows how far they were received: where nobody does, from the horizon on.
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
        held = {
            seat_name(*record.seat) for record in self.seats.values() if record.current is not None
        }
        return Outcome(
            shards=self.shards,
            grants=seats.grants(self.seats, self.shards, deafness.doubted()),
            rejected=problems.rejected(seen.listeners, alive, self.shards, permissions),
            gaps=gaps,
            changes=changes,
            used_released=sorted(seen.released.keys() & held),
            done_commands=self._done(seen, changes),
            unassigned=wanted.unassigned,
            uncovered=self._uncovered,
            problems=problems.problems(
                self.seats, wanted.unassigned, deafness.doubted(), now_ms - patience_ms
            ),
            alive=frozenset(alive),
            changed_shards=changed,
        )

    def _no_deafness(self) -> Deafness:
        """A watch that begins: each replica beats several times within its patience."""
        return Deafness(max(DEAF_MS, DEAF_BEATS * self._rules.heartbeat_ms))

    def _cut(self, found: Found | None, now_ms: int) -> frozenset[str]:
        if found is None or (found is self._cut_for and self.shards):
            return frozenset()
        self._cut_for = found
        limit = self._rules.topics_per_channel
        until = coverage.received_until(self.coverage, self.shards)
        audience = self._refusals.applied(found).audience
        cut = sharding.cut(self.shards, found.topics, limit, now_ms, audience, self._refusals.of)
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
        return cut.changed | cut.retired

    def _heard_all(self, seen: Seen, now_ms: int) -> bool:
        """Whether Redis has every shard of which a listener holds a channel, or has had a lease to
        get it from them: to cut anew would set other topics on every channel."""
        held = {channel.shard for beat in seen.listeners.values() for channel in beat.channels}
        late = now_ms - self._watch.since_ms > self._rules.lease_ms
        return self._settled(now_ms) and (late or held <= seen.shard_epochs.keys())

    def _settled(self, now_ms: int) -> bool:
        """Whether every living listener had time to be heard since the watch began."""
        return now_ms - self._watch.since_ms >= self._rules.heartbeat_ms * 3 // 2

    def _wanted(
        self, seen: Seen, alive: set[str], unhealthy: Mapping[Seat, Place]
    ) -> tuple[Placement, frozenset[str]]:
        """The wanted placement, and who is leaving. A leaving listener keeps what nobody else
        can take."""
        leaving = frozenset(
            listener
            for listener in alive
            if (listener in seen.listeners and seen.listeners[listener].state == "draining")
            or DRAIN + listener in seen.commands
        )
        staying = {
            listener: self._hosts.get(listener, listener) for listener in sorted(alive - leaving)
        }
        current = {
            seat: (record.next or record.current).place  # type: ignore[union-attr]  # see filter
            for seat, record in self.seats.items()
            if record.next is not None or record.current is not None
        }
        if REBALANCE in seen.commands:
            fresh = {seat: Place(place.listener, "") for seat, place in current.items()}
            self._goal = self._place(staying, fresh).places
        self._goal = {
            seat: place
            for seat, place in self._goal.items()
            if place.listener in staying and current.get(seat) != place and seat not in unhealthy
        }
        kept = {
            seat: place for seat, place in (current | self._goal).items() if seat not in unhealthy
        }
        return self._place(staying, kept, seen, unhealthy), leaving

    def _place(
        self,
        hosts: Mapping[str, str],
        current: Mapping[Seat, Place],
        seen: Seen | None = None,
        avoid: Mapping[Seat, Place] | None = None,
    ) -> Placement:
        room = {client: assignment.usable(limit) for client, limit in self._rules.clients.items()}
        wanted = assignment.seats(self.shards, self._rules.replicas)
        preferred = {
            _seat(name): handle.client for name, handle in (seen.released if seen else {}).items()
        }
        return assignment.place(wanted, hosts, room, current, preferred, avoid, self._allowed())

    def _allowed(self) -> dict[str, frozenset[str]]:
        """Shard → the clients that may see it, where not all may."""
        return {
            shard.id: frozenset(shard.clients) for shard in self.shards.values() if shard.clients
        }

    def _requests(
        self, seen: Seen, unhealthy: Mapping[Seat, Place], now_ms: int
    ) -> dict[Seat, SuccessorRequest]:
        """Successors that listeners and operators ask for, and those of unhealthy and deaf
        channels."""
        requests = dict.fromkeys(unhealthy, SuccessorRequest(moves.UNHEALTHY, urgent=True)) | {
            _seat(command.removeprefix(ROTATE)): SuccessorRequest("asked for")
            for command in seen.commands
            if command.startswith(ROTATE)
        }
        for seat, (listener, _, _, epoch) in self._deafness.hopeless(now_ms).items():
            deaf = self.seats[seat].current if seat in self.seats else None
            if deaf is not None and (deaf.listener, deaf.epoch) == (listener, epoch):
                requests[seat] = SuccessorRequest(moves.DEAF, urgent=True)
        for listener, beat in seen.listeners.items():
            for report in beat.channels:
                record = self.seats.get((report.shard, report.replica))
                if report.rotate and record is not None and record.current is not None:
                    current = record.current
                    if (current.listener, current.epoch) == (listener, report.epoch):
                        requests[record.seat] = SuccessorRequest(report.rotate, urgent=True)
        return requests

    def _done(self, seen: Seen, changes: Sequence[Change]) -> list[str]:
        """Commands that were carried out, or can never be."""
        moving = {seat_name(*change.seat) for change in changes if change.what == "moving"}
        done = [REBALANCE] if REBALANCE in seen.commands else []
        for command in seen.commands:
            if command.startswith(ROTATE):
                name = command.removeprefix(ROTATE)
                if name in moving or _seat(name) not in self.seats:
                    done.append(command)
            elif command.startswith(DRAIN):
                if command.removeprefix(DRAIN) not in seen.beats:
                    done.append(command)
            elif command != REBALANCE:
                done.append(command)
        return done


def _joined(stored: Mapping[str, Shard], known: Mapping[str, Shard]) -> dict[str, Shard]:
    """The shards that Redis has, and the known ones whose topics are in none of those.

    Redis may have come back empty, and have only the shards of the listeners that were quicker than
    the election. To cut the rest anew would replace their channels and read their past again.
    """
    topics = {topic for shard in stored.values() for topic in shard.topics}
    kept = {
        shard_id: shard
        for shard_id, shard in known.items()
        if shard_id not in stored and topics.isdisjoint(shard.topics)
    }
    return {**stored, **kept}


def _seat(name: str) -> Seat:
    shard, _, replica = name.rpartition("/")
    return (shard, replica)
