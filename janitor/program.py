"""The janitor's program: verifies overdue conversations and fills gaps, a thread for each.

    zombies   sweeps over overdue conversations every `MIRROR_JANITOR_INTERVAL`
    gaps      fills one gap after the other

Any number of janitors share the work by leases. A stop lets the present work finish, or gives it
back. Work that a second signal interrupts is due again when its lease lapses.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from secrets import token_hex

from janitor.claims import Leases
from janitor.duties import Filling, Sweeping, late_after
from janitor.gaps.filler import Filler
from janitor.genesys import GenesysPool
from janitor.metrics import Metrics
from janitor.producer import AckedProducer
from janitor.rounds import Rounds
from janitor.zombies.sweep import Zombies
from mirror.base.errors import RedisUnavailable
from mirror.base.health import Health
from mirror.base.log import logger
from mirror.base.thread_watch import ReportProgress
from mirror.checks.finding import Finding
from mirror.checks.kafka import check_kafka
from mirror.checks.redis import check_redis
from mirror.conversation.normaliser import Normaliser, Personal
from mirror.fleet.pinned import pin
from mirror.fleet.workers import Reporter
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.runtime import genesys_metrics
from mirror.runtime.process import Process, Program
from mirror.settings import Settings


def main(settings: Settings) -> int:
    """Run a janitor until a signal ends it. Returns its exit code.

    Raises `MirrorError` if the start fails (see `mirror.base.errors` for the exit code).
    """
    settings.require_clients()
    return Process(settings).run(Janitor(settings))


class Janitor(Program):
    """One janitor."""

    name = "janitor"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log = logger("janitor")
        self._rounds: tuple[Rounds, ...] = ()

    def start(self, process: Process) -> None:
        """Wait for all services, then begin both threads."""
        settings, stopping = self._settings, process.stopping
        client, keys = connect(settings), Keys(settings.namespace)
        genesys = GenesysPool(settings, client, stopping, settings.janitor_share)
        cluster = process.startup.kafka()
        schemas = process.startup.registry()
        process.startup.redis(client)
        process.startup.genesys(*(client.sign_in for client in genesys.clients))

        partitions = pin(client, keys, cluster.partitions(settings))
        self._reporter = Reporter(
            client, keys, "janitor", f"{settings.host}-{os.getpid()}-{token_hex(3)}"
        )

        sweeping = self._at_work(process.thread_watch.of("zombies"))
        filling = self._at_work(process.thread_watch.of("gaps"))
        leases = Leases(client, keys, settings.topic, partitions.get(settings.topic, 0))
        self._producers = (
            AckedProducer(settings, schemas, sweeping, partitions),
            AckedProducer(settings, schemas, filling, partitions),
        )
        zombies = Zombies(
            settings,
            leases,
            genesys,
            self._producers[0],
            self._normaliser,
            stopping=stopping.is_set,
            report_progress=sweeping,
        )
        self._filler = filler = Filler(
            client,
            keys,
            leases,
            genesys,
            self._producers[1],
            self._normaliser,
            lag_seconds=settings.analytics_lag,
            horizon_seconds=settings.horizon,
            stopping=stopping.is_set,
            report_progress=filling,
        )
        metrics = Metrics(process.registry, filler, genesys, self._producers)
        genesys_metrics.register(process.registry, genesys.clients)
        interval = settings.janitor_interval
        sweeps, fills = Sweeping(zombies, interval, metrics.note), Filling(filler, leases)
        self._rounds = (
            Rounds("zombies", sweeps.round, sweeping, late_after=late_after(interval)),
            Rounds("gaps", fills.round, filling),
        )
        process.serve()
        for rounds in self._rounds:
            process.thread(rounds.name, partial(rounds.run, stopping))

    def health(self) -> Health:
        """`degraded` while zombies or gaps cannot be worked on, or nothing can be produced."""
        problems = [reason for rounds in self._rounds for reason in rounds.reasons()]
        if self._rounds and self._filler.problem:
            problems.append(self._filler.problem)
        known = " ".join(problems)
        problems += {box.problem for box in self._producers if box.problem not in known}
        return Health.of(problems)

    def checks(self) -> Iterator[Finding]:
        """The checks of its source, Redis, and of its target, the Kafka topics."""
        yield from check_redis(self._settings)
        yield from check_kafka(self._settings)

    def summary(self) -> dict[str, int]:
        """The counts of its work."""
        return {"produced": sum(producer.produced for producer in self._producers)}

    def stop(self) -> None:
        """Deregister this janitor in Redis."""
        try:
            self._reporter.leave()
        except RedisUnavailable as error:
            self._log.info("deregister_failed", error=str(error))

    def _at_work(self, report_progress: ReportProgress) -> ReportProgress:
        """`report_progress`, which also reports in Redis that this janitor works, and its
        problems."""

        def both(rest: float = 0.0) -> None:
            report_progress(rest)
            reasons = tuple(reason for rounds in self._rounds for reason in rounds.reasons())
            with contextlib.suppress(RedisUnavailable):  # the work itself reports it
                self._reporter.note(reasons)

        return both

    def _normaliser(self) -> Normaliser:
        return Normaliser(personal=Personal.of(self._settings.pii, self._settings.pii_key))
