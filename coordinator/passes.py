"""The passes of a coordinator: claims the lead, and while it leads decides and writes to Redis.

The main thread calls `Passes.turn` every `PASS_SECONDS`. A pass reads Redis, lets
`coordinator.leader` decide, and writes all decisions under the leader's fence. While another
coordinator leads, a pass only follows the stored state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

import redis

from coordinator.discovery import Discovery
from coordinator.election import Deposed, Leadership, Write
from coordinator.leader import Leader, Outcome, Rules
from coordinator.metrics import Metrics
from coordinator.plan.coverage import ShardCoverage
from coordinator.plan.gap_memory import Filed
from coordinator.plan.liveness import Outages
from coordinator.plan.seats import StoredSeats
from coordinator.plan.sight import recalled
from coordinator.store import FleetStore, RedisState
from mirror.base.errors import RedisUnavailable
from mirror.base.health import Health
from mirror.base.log import logger
from mirror.base.units import counted
from mirror.fleet.gaps import Gap
from mirror.fleet.words import Shard
from mirror.genesys.topics import USER_TOPIC
from mirror.redis.keys import Keys
from mirror.settings import Settings

T = TypeVar("T")

PASS_SECONDS: Final = 0.5
COVERAGE_SECONDS: Final = 2.0
FOLLOW_SECONDS: Final = 2.0
CENSUS_SECONDS: Final = 5.0
FAILED_PASSES: Final = 3
SLOW_PASS_SECONDS: Final = 0.2


class Passes:
    """A coordinator's memory between passes. All but `health` belongs to the main thread."""

    def __init__(
        self,
        settings: Settings,
        client: redis.Redis,
        name: str,
        discovery: Discovery,
        metrics: Metrics,
        beat: Callable[[], None] = lambda: None,
        also: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        """`name` is this coordinator's; `beat` is called between two waits for a silent Redis.

        `also` returns reasons for the status, besides those of discovery.
        """
        keys = Keys(settings.namespace)
        self.name = name
        self.discovery = discovery
        self.metrics = metrics
        self._beat = beat
        self._also = also
        self._log = logger("coordinator")
        self.leadership = Leadership(client, keys, name, settings.lease)
        self._store = FleetStore(client, keys)
        self.leader = Leader(
            Rules(
                replicas=settings.replicas,
                topics_per_channel=settings.topics_per_channel,
                clients={oauth.id: settings.channels_per_client for oauth in settings.clients},
                heartbeat_ms=round(settings.heartbeat * 1000),
                lease_ms=round(settings.lease * 1000),
                horizon_ms=round(settings.horizon * 1000),
            )
        )
        self._lease = settings.lease
        self._outages = Outages(settings.lease)
        self._is_outage = False  # noticed, and not seen by a step of the leader yet
        self._seconds = 0.0  # how long the last pass took
        self._failures = 0
        self._stored_coverage: dict[str, bytes] = {}
        self._stored_departed: Mapping[str, int] | None = None
        self._coverage_due = 0.0
        self._census_due = 0.0
        self._follow_due = 0.0
        self._unfiled: list[Gap] = []  # found, but not yet known to be in Redis
        self._filed = Filed()
        self._restored: dict[str, Shard] = {}
        self._told_unassigned: dict[str, str] = {}

    def turn(self) -> None:
        """Claim the lead; as leader, make a pass. Resigns after three failures in a row."""
        try:
            now_ms, elected = self._waited(self.leadership.claim)
            if self.leadership.fence:
                if elected:
                    self._begin()
                self._pass(now_ms)
            if self.leadership.fence:
                self.discovery.wanted.set()
            else:
                self.discovery.wanted.clear()
                self._follow()
            self.metrics.lead(bool(self.leadership.fence))
            if self._failures:
                self._log.info("passes_recovered", failures=self._failures)
            self._failures = 0
        except Deposed:
            self._log.warning("deposed", coordinator=self.name)
        except RedisUnavailable as error:
            self._failures += 1
            self._outages.fail()
            if self._failures in {1, FAILED_PASSES}:
                self._log.warning("pass_failed", failures=self._failures, error=error)
            if self._failures == FAILED_PASSES:
                self._beat()  # the next call may wait for the silent Redis again
                self.resign()

    def health(self) -> Health:
        """The health of this process, from memory; `mirror status` has the whole mirror's."""
        reasons: list[str] = []
        if self._failures:
            reasons.append(f"{self._failures} passes in a row failed: Redis does not answer")
        if self.leadership.fence:
            reasons += self.discovery.reasons
            reasons += self._slow()
            if self._told_unassigned:
                reason = ", ".join(sorted(set(self._told_unassigned.values())))
                seats = counted(len(self._told_unassigned), "seat")
                reasons.append(f"{seats} cannot be placed: {reason}")
        return Health.of(reasons)

    def _slow(self) -> list[str]:
        """The reason for the status if passes are slow."""
        if self._seconds <= self._lease / 2:
            return []
        reason = (
            f"the leader's last pass took {self._seconds:.1f} s, and MIRROR_LEASE is "
            f"{self._lease:g} s: dead listeners are replaced late, or not at all; look at Redis' "
            "latency and at the coordinator's CPU"
        )
        return [reason]

    def _waited(self, call: Callable[[], T]) -> T:
        """Call Redis, and note for how long."""
        began = time.monotonic()
        try:
            return call()
        finally:
            self._outages.note(time.monotonic() - began)

    def _begin(self) -> None:
        self._log.info("elected", coordinator=self.name, fence=self.leadership.fence)
        self._stored_coverage = {}
        self._restored = {}
        passed_ms = self._store.passed()
        self.leader.begin(*self._stored(), self._store.departed(), passed_ms)
        self._stored_departed = None
        self.discovery.recall(recalled(self.leader.shards, self.leader.seats))

    def _follow(self) -> None:
        """Follow the present leader. So if Redis comes back empty and this coordinator then leads,
        it knows the latest state, not the state of its own last lead."""
        if time.monotonic() >= self._follow_due:
            self.leader.follow(*self._stored())
            self._filed.look(self._store.gaps(self._filed))
            self._follow_due = time.monotonic() + FOLLOW_SECONDS

    def _stored(self) -> tuple[dict[str, Shard], StoredSeats, dict[str, ShardCoverage]]:
        """The last leader's stored state. The coverage is read first: its gaps are filed."""
        store = self._store
        coverage = store.coverage()
        return store.shards(self.leader.shards), store.seats(), coverage

    def _pass(self, now_ms: int) -> None:
        started = time.monotonic()
        # Kept until a step has seen it: this pass may fail before.
        self._is_outage |= self._outages.look(now_ms, started)
        seen = self._waited(self._store.see)
        permissions = self.discovery.permissions.get(USER_TOPIC.lower(), "")
        store = self._store
        known = None if self.leader.shards else self._waited(lambda: store.shards({}))
        if known and known != self._restored:
            # Listeners stored these since the election: missing topics are doubted too.
            self._restored = known
            self.discovery.recall(recalled(known, {}))
        outcome = self.leader.step(
            seen, self.discovery.found, now_ms, permissions, known, outage=self._is_outage
        )
        self._is_outage = False
        writes: list[Write] = []
        if outcome is not None:
            writes += self._writes(outcome, seen, now_ms)
            self._unfiled += outcome.gaps
        lost = self._filed.look(self._waited(lambda: store.gaps(self._filed)))
        reasons = (*self.discovery.reasons, *self._slow(), *self._also())
        causes = self.discovery.reasons if self.discovery.barren else ()
        writes += self._waited(lambda: store.name_writes(self.discovery.called, seen))
        writes += store.discovery_writes(reasons, self.discovery.notes, causes, seen)
        writes += store.gap_writes([*self._unfiled, *lost])
        writes += store.forgotten_writes(seen, now_ms, outcome.silent if outcome else ())
        stored = self._stored_coverage
        cut = outcome is not None and outcome.changed_shards
        if self._unfiled or cut or time.monotonic() >= self._coverage_due:
            # After the gaps: the gaps of a stored frontier must be filed (I9).
            more, stored = store.coverage_writes(self.leader.coverage, stored)
            writes += [*more, *store.passed_writes(now_ms)]
            self._coverage_due = time.monotonic() + COVERAGE_SECONDS
        departed = self.leader.departed.until
        writes += store.departed_writes(departed, self._stored_departed)
        self._waited(lambda: self.leadership.write(writes))
        self._stored_departed = departed
        self._stored_coverage = stored
        self._filed.add(self._unfiled)
        self._unfiled = []
        if time.monotonic() >= self._census_due:
            census = self._waited(lambda: store.census(self._filed.by_hand))
            self.metrics.census(*census)
            self.metrics.gone(self.discovery.gone)
            self._census_due = time.monotonic() + CENSUS_SECONDS
        if lost:
            self._log.warning("gaps_filed_again", count=len(lost))
        self._seconds = time.monotonic() - started
        if outcome is not None:
            self._tell(outcome, self._seconds)

    def _writes(self, outcome: Outcome, seen: RedisState, now_ms: int) -> list[Write]:
        """The writes of a pass, except gaps and coverage."""
        store = self._store
        return [
            *store.shard_writes(outcome.shards, seen),
            *store.seat_writes(self.leader.seats, seen),
            *store.assignment_writes(outcome.grants, seen, now_ms),
            *store.used_writes(outcome.used_released, outcome.done_commands),
            *store.rejected_writes(outcome.rejected, seen),
            *store.problem_writes(outcome.uncovered, outcome.problems, seen),
        ]

    def _tell(self, outcome: Outcome, seconds: float) -> None:
        self.metrics.note(outcome, seconds)
        for change in outcome.changes:
            self._log.info(
                "seat_changed",
                change=change.kind,
                seat=change.seat.name,
                listener=change.listener,
                epoch=change.epoch,
                reason=change.reason,
            )
        for gap in outcome.gaps:
            self._log.info(
                "gap_filed",
                kind=gap.kind,
                shard=gap.shard,
                topics=len(gap.topics),
                seconds=round((gap.to_ms - gap.from_ms) / 1000, 3),
            )
        if outcome.changed_shards:
            self._log.info(
                "shards_changed", changed=len(outcome.changed_shards), shards=len(outcome.shards)
            )
        seats_unassigned = {seat.name: reason for seat, reason in outcome.unassigned.items()}
        if seats_unassigned != self._told_unassigned:
            self._told_unassigned = seats_unassigned
            self._log.warning(
                "seats_unassigned",
                count=len(seats_unassigned),
                reason=sorted(set(seats_unassigned.values())),
            )
        if seconds > SLOW_PASS_SECONDS:
            self._log.info("slow_pass", seconds=round(seconds, 3))

    def resign(self) -> None:
        """Give up the lead, if this coordinator has it."""
        self.metrics.lead(False)
        self.discovery.wanted.clear()
        try:
            self.leadership.resign()
        except RedisUnavailable as error:
            self._log.warning("resign_failed", error=error)
