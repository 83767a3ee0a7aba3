"""`mirror coordinator`: elects a leader among all that run; the leader shares out the channels.

Two threads beside the main one: discovery over REST (while this one leads), and the tracker of
conversations, which every coordinator runs. The main thread claims the lead and makes one pass
every `PASS_SECONDS`, and beats while the other two turn. Nothing on the way of an event asks the
coordinator (I7): while none runs, every open channel goes on.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import redis

from coordinator.discovery import POLITE_BURST, USER_TOPIC, Discovery
from coordinator.election import Deposed, Leadership, Write
from coordinator.leader import Leader, Outcome, Rules
from coordinator.metrics import Metrics
from coordinator.plan.coverage import ShardCoverage
from coordinator.plan.gap_memory import Filed
from coordinator.plan.seats import Ledger
from coordinator.plan.sight import recalled
from coordinator.store import Seen, Store
from mirror.base import log
from mirror.base.errors import (
    EXIT_DONE,
    EXIT_FAILED,
    DependencyError,
    KafkaUnavailable,
    RedisUnavailable,
)
from mirror.base.health import Health
from mirror.base.turns import Turns
from mirror.checks.checkup import Checkup
from mirror.checks.finding import Finding
from mirror.checks.growth import Growth
from mirror.checks.kafka import check_kafka
from mirror.checks.redis import check_redis
from mirror.fleet.gaps import Gap
from mirror.fleet.words import Shard, seat_name
from mirror.genesys.client import GenesysClient
from mirror.kafka.admin import check_topics
from mirror.redis.connect import connect, wait_for
from mirror.redis.keys import Keys
from mirror.redis.rate import RateBudget
from mirror.runtime import signals
from mirror.runtime.genesys_figures import tell_of_genesys
from mirror.runtime.metrics import TRACKER, Numbers
from mirror.runtime.telemetry import Telemetry
from mirror.settings import Settings
from mirror.supervision.pulse import Pulse

PASS_SECONDS: Final = 0.5
COVERAGE_SECONDS: Final = 2.0
FOLLOW_SECONDS: Final = 2.0
CENSUS_SECONDS: Final = 5.0
FAILED_PASSES: Final = 3
SLOW_PASS_SECONDS: Final = 0.2
JOIN_SECONDS: Final = 10.0
_RETRY_SECONDS: Final = 1.0
_KAFKA_ATTEMPT_SECONDS: Final = 2.0


def main(settings: Settings) -> int:
    """Run a coordinator until a signal ends it. Returns its exit code.

    Raises `MirrorError` where start-up fails (see `mirror.base.errors` for the exit code).
    """
    log.configure("coordinator", settings.log_level)
    settings.require_clients()
    stop = threading.Event()
    _log = log.logger("coordinator")

    def end(name: str) -> None:
        _log.info("stopping", signal=name)
        stop.set()

    signals.watch(end)
    return Coordinator(settings, stop).run()


def coordinator_id(settings: Settings) -> str:
    """Unique to this process, readable to people: `web-1-4711-9f3a`."""
    return f"{settings.host}-{os.getpid()}-{secrets.token_hex(2)}"


class Coordinator:
    """One coordinator process."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self.settings = settings
        self.name = coordinator_id(settings)
        self.stop = stop
        self._log = log.logger("coordinator")
        self._growth = Growth(settings)
        keys = Keys(settings.namespace)
        self._redis: redis.Redis = connect(settings)
        self._clients = [
            GenesysClient(
                settings, one, RateBudget(self._redis, keys, one.id, burst=POLITE_BURST), stop
            )
            for one in settings.require_clients()
        ]
        self._turns = Turns()
        self._pulse = Pulse.of(os.environ)
        self.discovery = Discovery(settings, self._clients, self._turns.of("discovery"))
        self.leadership = Leadership(self._redis, keys, self.name, settings.lease)
        self._store = Store(self._redis, keys)
        self.leader = Leader(
            Rules(
                replicas=settings.replicas,
                topics_per_channel=settings.topics_per_channel,
                clients={one.id: settings.channels_per_client for one in settings.clients},
                heartbeat_ms=round(settings.heartbeat * 1000),
                lease_ms=round(settings.lease * 1000),
                horizon_ms=round(settings.horizon * 1000),
            )
        )
        self._failures = 0
        self._crashed = False
        self._stored_coverage: dict[str, bytes] = {}
        self._stored_departed: Mapping[str, int] | None = None
        self._coverage_due = 0.0
        self._census_due = 0.0
        self._follow_due = 0.0
        self._unfiled: list[Gap] = []  # found, not yet known to be in Redis
        self._filed = Filed()
        self._restored: dict[str, Shard] = {}
        self._told_open: dict[str, str] = {}
        self.metrics = Metrics()
        tell_of_genesys(self._clients, self.metrics.registry)

    def run(self) -> int:
        """Start, lead whenever it falls to us, stop."""
        self._log.info("starting", coordinator=self.name)
        wait_for(self._redis, self.settings, self.stop)
        self._sign_in()
        self._check_kafka()
        threads = [
            threading.Thread(target=self._guarded, args=(name, work), name=name, daemon=True)
            for name, work in self._background()
        ]
        telemetry = Telemetry(
            self.settings.metrics_port,
            self.metrics.registry,
            self.health,
            Checkup(self._checks),
            self.settings.metrics_hosts,
        )
        for thread in threads:
            thread.start()
        self._log.info("started", coordinator=self.name)
        while not self.stop.is_set():
            started = time.monotonic()
            self.turn()
            self._beat()
            self.stop.wait(max(0.0, PASS_SECONDS - (time.monotonic() - started)))
        self._resign()
        telemetry.close()
        deadline = time.monotonic() + JOIN_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._log.info("stopped", coordinator=self.name)
        return EXIT_FAILED if self._crashed else EXIT_DONE

    def _checks(self) -> Iterator[Finding]:
        """What all processes share."""
        yield from check_redis(self.settings)
        yield from check_kafka(self.settings)
        yield from self._growth.findings()

    def _guarded(self, name: str, work: Callable[[threading.Event], None]) -> None:
        """Do background work; without it this process is of no use, so it ends and is restarted."""
        try:
            work(self.stop)
        except Exception as error:  # noqa: BLE001 - whatever it was, the process must not live on
            self._crashed = True
            self._log.error("thread_failed", thread=name, error=error, exc_info=True)
            self.stop.set()

    def turn(self) -> None:
        """Claim the lead and, having it, make a pass. Resigns after three failures in a row."""
        try:
            now_ms, elected = self.leadership.claim()
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
                self._log.info("recovered", failures=self._failures)
            self._failures = 0
        except Deposed:
            self._log.warning("deposed", coordinator=self.name)
        except RedisUnavailable as error:
            self._failures += 1
            if self._failures in {1, FAILED_PASSES}:
                self._log.warning("pass_failed", failures=self._failures, error=error)
            if self._failures == FAILED_PASSES:
                self._beat()  # what follows is a second wait for the same silence
                self._resign()

    def _beat(self) -> None:
        if self._turns.all_turn():
            self._pulse.beat()

    def health(self) -> Health:
        """How this process is, from memory; the whole mirror's health is `mirror status`."""
        reasons: list[str] = []
        if self._failures:
            reasons.append(f"{self._failures} passes in a row failed: Redis does not answer")
        if self.leadership.fence:
            reasons += self.discovery.reasons
            if self._told_open:
                why = ", ".join(sorted(set(self._told_open.values())))
                reasons.append(f"{len(self._told_open)} seats cannot be placed: {why}")
        return Health.of(reasons, self._turns.reasons())

    def _begin(self) -> None:
        self._log.info("elected", coordinator=self.name, fence=self.leadership.fence)
        self._stored_coverage = {}
        self._restored = {}
        self.leader.begin(*self._stored(), self._store.departed())
        self._stored_departed = None
        self.discovery.recall(recalled(self.leader.shards, self.leader.seats))

    def _follow(self) -> None:
        """Keep up with whoever leads. Should Redis come back empty and this one lead, it knows how
        things stood just before, and not how they stood when it led last."""
        if time.monotonic() >= self._follow_due:
            self.leader.follow(*self._stored())
            self._filed.look(self._store.gaps(self._filed))
            self._follow_due = time.monotonic() + FOLLOW_SECONDS

    def _stored(self) -> tuple[dict[str, Shard], Ledger, dict[str, ShardCoverage]]:
        """What the last leader stored. The coverage is read first: what it says is filed."""
        store = self._store
        coverage = store.coverage()
        return store.shards(self.leader.shards), store.ledger(), coverage

    def _pass(self, now_ms: int) -> None:
        started = time.monotonic()
        seen = self._store.see()
        permissions = self.discovery.permissions.get(USER_TOPIC.lower(), "")
        store = self._store
        known = None if self.leader.shards else store.shards({})
        if known and known != self._restored:
            # Stored by listeners since the election: what is missing of it is doubted too.
            self._restored = known
            self.discovery.recall(recalled(known, {}))
        outcome = self.leader.step(seen, self.discovery.found, now_ms, permissions, known)
        writes: list[Write] = []
        if outcome is not None:
            writes += self._writes(outcome, seen, now_ms)
            self._unfiled += outcome.gaps
        lost = self._filed.look(store.gaps(self._filed))
        writes += store.discovery_writes(self.discovery.reasons, self.discovery.notes, seen)
        writes += store.gap_writes([*self._unfiled, *lost], now_ms)
        writes += store.forgotten_writes(seen, now_ms)
        stored = self._stored_coverage
        cut = outcome is not None and outcome.changed_shards
        if self._unfiled or cut or time.monotonic() >= self._coverage_due:
            # Behind the gaps: a frontier that is stored has its gaps filed (I9).
            more, stored = store.coverage_writes(self.leader.coverage, stored)
            writes += more
            self._coverage_due = time.monotonic() + COVERAGE_SECONDS
        departed = self.leader.departed.until
        writes += store.departed_writes(departed, self._stored_departed)
        self.leadership.write(writes)
        self._stored_departed = departed
        self._stored_coverage = stored
        self._filed.add(self._unfiled)
        self._unfiled = []
        if time.monotonic() >= self._census_due:
            self.metrics.census(*store.census())
            self._census_due = time.monotonic() + CENSUS_SECONDS
        if lost:
            self._log.warning("gaps_filed_again", count=len(lost))
        if outcome is not None:
            self._tell(outcome, time.monotonic() - started)

    def _writes(self, outcome: Outcome, seen: Seen, now_ms: int) -> list[Write]:
        """All that a pass decided, but for gaps and coverage."""
        store = self._store
        return [
            *store.shard_writes(outcome.shards, seen),
            *store.seat_writes(self.leader.seats, seen),
            *store.assignment_writes(outcome.grants, seen, now_ms),
            *store.used_writes(outcome.used_released, outcome.done_commands),
            *store.rejected_writes(outcome.rejected, seen),
            *store.trouble_writes(outcome.holes, outcome.troubles, seen),
        ]

    def _tell(self, outcome: Outcome, seconds: float) -> None:
        self.metrics.note(outcome, seconds)
        for change in outcome.changes:
            self._log.info(
                f"seat_{change.what}",
                seat=seat_name(*change.seat),
                listener=change.listener,
                epoch=change.epoch,
                why=change.why,
            )
        for gap in outcome.gaps:
            self._log.info(
                "gap",
                kind=gap.kind,
                shard=gap.shard,
                topics=len(gap.topics),
                seconds=round((gap.to_ms - gap.from_ms) / 1000, 3),
            )
        if outcome.changed_shards:
            self._log.info(
                "shards_changed", changed=len(outcome.changed_shards), shards=len(outcome.shards)
            )
        open_seats = {seat_name(*seat): why for seat, why in outcome.open.items()}
        if open_seats != self._told_open:
            self._told_open = open_seats
            self._log.warning(
                "open_seats", count=len(open_seats), why=sorted(set(open_seats.values()))
            )
        if seconds > SLOW_PASS_SECONDS:
            self._log.info("slow_pass", seconds=round(seconds, 3))

    def _check_kafka(self) -> None:
        """Learn at the start whether Kafka and its topics are there, for the tracker.

        With a start-up time-out of 0 nothing is asked: leading needs no Kafka, and a coordinator
        that comes back while Kafka is away must still replace dead listeners.
        """
        deadline = time.monotonic() + self.settings.startup_timeout
        while self.settings.startup_timeout and not self.stop.is_set():
            try:
                check_topics(self.settings, _KAFKA_ATTEMPT_SECONDS)
                return
            except KafkaUnavailable:
                if time.monotonic() >= deadline:
                    raise
                self.stop.wait(_RETRY_SECONDS)

    def _sign_in(self) -> None:
        """Learn at the start whether Genesys takes every client's credentials."""
        timeout = self.settings.startup_timeout
        deadline = time.monotonic() + timeout if timeout else None
        for client in self._clients:
            while not self.stop.is_set():
                try:
                    client.sign_in()
                    break
                except DependencyError as error:
                    if deadline is not None and time.monotonic() + _RETRY_SECONDS >= deadline:
                        raise
                    self._log.warning("genesys_awaited", error=error)
                    self.stop.wait(_RETRY_SECONDS)

    def _background(self) -> Sequence[tuple[str, Callable[[threading.Event], None]]]:
        from coordinator.tracker.service import Tracker

        tracker = Tracker(self.settings, turned=self._turns.of("tracker"))
        self.metrics.registry.register(Numbers(TRACKER, tracker))
        return (("discovery", self.discovery.run), ("tracker", tracker.run))

    def _resign(self) -> None:
        self.metrics.lead(False)
        self.discovery.wanted.clear()
        try:
            self.leadership.resign()
        except RedisUnavailable as error:
            self._log.warning("resignation_not_heard", error=error)
