"""The projector's program: writes each event once, and the state of each conversation.

    project   the loop (`projector.loop`): reads, projects, writes
    topics    compares the partitions of the three topics (`projector.topics`)
    report    says in Redis how it is, for `mirror status`; it needs no Redis otherwise

Any number of projectors share the partitions as one consumer group. When it stops, it finishes the
open transaction and gives its partitions back. It serves health from the beginning; while the start
waits, health says for what.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from mirror.base.errors import RedisUnavailable, SettingsError
from mirror.base.health import Health
from mirror.base.units import counted
from mirror.checks.finding import Finding
from mirror.checks.projector import check_projector
from mirror.fleet.workers import Reporter
from mirror.kafka.projected import group_id, transactional_prefix
from mirror.kafka.record import WRITERS
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.runtime import metrics
from mirror.runtime.process import Process, Program
from mirror.settings import Settings
from projector.loop import Loop
from projector.topics import Topics

# After a start, restoring and catching up may take this long before health reports it.
LATE_SECONDS: Final = 60.0
REPORT_SECONDS: Final = 1.0
# How long health tells of records that could not be read, after the last one. A single record of
# another program must not hide for ever what goes wrong later.
STRAY_SECONDS: Final = 3600.0


def main(settings: Settings) -> int:
    """Run a projector until a signal ends it. Returns its exit code.

    Raises `MirrorError` if start-up fails (see `mirror.base.errors` for the exit code).
    """
    return Process(settings).run(Projector(settings))


class Projector(Program):
    """One projector."""

    name = "projector"
    transactional = True

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is monotonic."""
        self._settings = settings
        self._clock = clock
        self._strays = (0, clock() - STRAY_SECONDS)  # how many records were no events, since when
        self._topics = Topics(settings)
        self._loop: Loop | None = None
        self._id = f"{settings.host}-{os.getpid()}-{secrets.token_hex(4)}"

    def start(self, process: Process) -> None:
        """Wait for Kafka, even topics and the schema registry, then project."""
        settings, thread_watch, stopping = self._settings, process.thread_watch, process.stopping
        process.serve()
        partitions = self._topics.wait(process.startup.left, process.startup.waits)
        schemas = process.startup.view_registry()
        loop = Loop(
            settings,
            f"{transactional_prefix(settings)}{self._id}",
            partitions=partitions,
            held=lambda: self._topics.reason,
            header=schemas.get(settings.conversations_topic),
            report_progress=thread_watch.of("project"),
        )
        process.registry.register(metrics.Numbers(metrics.PROJECTOR, loop))
        process.registry.register(metrics.Numbers(metrics.PROJECTOR_SHARE, loop.share))
        self._loop = loop
        process.thread("project", lambda: loop.run(stopping))
        report_progress = thread_watch.of("topics")
        process.thread("topics", lambda: self._topics.watch(stopping, report_progress))
        process.thread("report", lambda: self._report(stopping))

    def health(self) -> Health:
        """`down` if nothing may be projected, `degraded` if some records are not."""
        loop = self._loop
        if loop is None:
            return Health.of((), filter(None, [self._topics.reason]))
        share = loop.share
        problems = (self._topics.away, loop.unread, loop.problem, share.problem)
        reasons = [reason for reason in problems if reason]
        if not share.joined:
            reasons.append(
                f"the group {group_id(self._settings)} has not admitted this process yet; if that "
                "lasts, restart the broker that coordinates the group (docs/runbook.md)"
            )
        if share.waiting:
            reasons.append(f"{share.waiting} of {share.partitions} partitions are not projected")
        if share.lag > LATE_SECONDS:
            reasons.append(f"the oldest record has waited for {share.lag:.0f} s")
        if share.missed:
            reasons.append(f"Kafka deleted {share.missed} records before they were projected")
        if loop.unreadable != self._strays[0]:
            self._strays = (loop.unreadable, self._clock())
        if self._clock() - self._strays[1] < STRAY_SECONDS:
            reasons.append(f"{counted(loop.unreadable, 'record')} could not be read: {WRITERS}")
        if loop.refused:
            left_out = counted(loop.refused, "record was", "records were")
            reasons.append(f"{left_out} left out: Kafka refuses them for good")
        if loop.shortened:
            views = counted(loop.shortened, "view was", "views were")
            reasons.append(f"{views} shortened: they were too large for Kafka")
        return Health.of(reasons, filter(None, [self._topics.reason, share.refusal]))

    def _report(self, stopping: threading.Event) -> None:
        """Report its health in Redis until `stopping` is set, as far as Redis answers."""
        try:
            client = connect(self._settings)
        except SettingsError:
            return  # a file of REDIS_URL cannot be used
        reporter = Reporter(client, Keys(self._settings.namespace), "projector", self._id)
        while not stopping.wait(REPORT_SECONDS):
            with contextlib.suppress(RedisUnavailable):
                reporter.note(self.health().reasons, partitions=self._partitions())
        with contextlib.suppress(RedisUnavailable):
            reporter.leave()

    def _partitions(self) -> int:
        return 0 if self._loop is None else self._loop.share.partitions

    def checks(self) -> Iterator[Finding]:
        """Checks of the topics that it reads and writes."""
        yield from check_projector(self._settings)

    def details(self) -> dict[str, Any]:
        """The number of partitions of its topics."""
        return {"partitions": self._topics.partitions}

    def summary(self) -> dict[str, int]:
        """Counts of its work, for the log."""
        loop = self._loop
        return {} if loop is None else {"events": loop.events, "transactions": loop.transactions}
