"""A projector process: `mirror projector`.

    main thread   beats while the others turn, until a signal; then waits for them
    project       the loop (loop.py): reads, projects, writes
    topics        compares the partitions of the three topics every `COMPARE_SECONDS`

Any number of projectors share the partitions as one consumer group. Stopping: the transaction under
way is finished, and the partitions are given back; at once on a second signal.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry

from mirror import __version__
from mirror.base import log
from mirror.base.errors import EXIT_DONE, EXIT_FAILED, KafkaUnavailable
from mirror.base.health import Health
from mirror.base.thread_watch import ThreadWatch
from mirror.checks.checkup import Checkup
from mirror.checks.finding import Finding
from mirror.checks.projector import check_projector
from mirror.kafka import registry
from mirror.kafka.projected import transactional_prefix
from mirror.runtime import metrics, signals
from mirror.runtime.telemetry import Telemetry
from mirror.settings import Settings
from mirror.supervision.heartbeat_file import HeartbeatFile
from projector.loop import Loop
from projector.topics import await_even, count_partitions, uneven

COMPARE_SECONDS: Final = 5.0
BEAT_SECONDS: Final = 1.0
JOIN_SECONDS: Final = 20.0
# Restoring and catching up take their time after a start; what takes longer is told.
LATE_SECONDS: Final = 60.0


def main(settings: Settings) -> int:
    """Run a projector until a signal ends it. Returns its exit code.

    Raises `MirrorError` where start-up fails (see `mirror.base.errors` for the exit code).
    """
    log.configure("projector", settings.log_level)
    return Projector(settings).run()


class Projector:
    """One projector process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._log = log.logger("projector")
        self._stop = threading.Event()
        self._thread_watch = ThreadWatch()
        self._crashed = False
        self._partitions = 0
        self._registry = CollectorRegistry()

    def run(self) -> int:
        """Start, wait for a signal, stop."""
        settings = self.settings
        self._log.info("starting", version=__version__)
        self._partitions = await_even(settings, settings.startup_timeout)
        schemas = registry.register_views(settings, settings.startup_timeout)
        signals.watch(self._end)  # before the first thread
        loop = self.loop = Loop(
            settings,
            f"{transactional_prefix(settings)}{settings.host}-{os.getpid()}-{secrets.token_hex(4)}",
            header=schemas.get(settings.conversations_topic),
            report_progress=self._thread_watch.of("project"),
        )
        self._registry.register(metrics.Numbers(metrics.PROJECTOR, loop))
        self._registry.register(metrics.Numbers(metrics.PROJECTOR_SHARE, loop.share))
        telemetry = Telemetry(
            settings.metrics_port,
            self._registry,
            self.health,
            Checkup(self._checks),
            settings.metrics_hosts,
        )
        threads = [
            threading.Thread(target=self._guarded, args=(name, work), name=name, daemon=True)
            for name, work in (("project", loop.run), ("topics", self._compare))
        ]
        for thread in threads:
            thread.start()
        self._log.info("started", partitions=self._partitions)
        self._wait()
        deadline = time.monotonic() + JOIN_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        telemetry.close()
        self._log.info("stopped", events=loop.events, transactions=loop.transactions)
        return EXIT_FAILED if self._crashed else EXIT_DONE

    def health(self) -> Health:
        """`down` where nothing may be projected, `degraded` where something is not."""
        loop, share = self.loop, self.loop.share
        stopped = [why for why in (loop.hold, share.refusal) if why]
        reasons = [why for why in (loop.problem, share.problem) if why]
        if not share.joined:
            reasons.append("the consumer group has not counted this process in")
        if share.waiting:
            reasons.append(f"{share.waiting} of {share.partitions} partitions are not projected")
        if share.lag > LATE_SECONDS:
            reasons.append(f"the oldest record has waited for {share.lag:.0f} s")
        if share.missed:
            reasons.append(f"Kafka deleted {share.missed} records before they were projected")
        return Health.of(reasons, (*stopped, *self._thread_watch.reasons()))

    def _checks(self) -> Iterator[Finding]:
        yield from check_projector(self.settings)

    def _compare(self, stop: threading.Event) -> None:
        """Hold the loop while the topics are uneven: their partitions may grow at any time."""
        report_progress = self._thread_watch.of("topics")
        while not stop.is_set():
            report_progress()
            try:
                why = uneven(self.settings, count_partitions(self.settings), self._partitions)
            except KafkaUnavailable:
                why = self.loop.hold  # who cannot be asked has not changed; the loop tells the rest
            if why != self.loop.hold:
                if why:
                    self._log.error("topics_uneven", why=why)
                else:
                    self._log.info("topics_even")
                self.loop.hold = why
            report_progress(rest=COMPARE_SECONDS)
            stop.wait(COMPARE_SECONDS)

    def _guarded(self, name: str, work: Callable[[threading.Event], None]) -> None:
        """Without either thread this process is of no use: it ends, and is started again."""
        try:
            work(self._stop)
        except Exception as error:  # noqa: BLE001 - whatever it was, the process must not live on
            self._crashed = True
            self._log.error("thread_failed", thread=name, error=error, exc_info=True)
            self._stop.set()

    def _end(self, name: str) -> None:
        self._log.info("stopping", signal=name)
        self._stop.set()

    def _wait(self) -> None:
        heartbeat_file = HeartbeatFile.of(os.environ)
        while not self._stop.is_set():
            if self._thread_watch.all_progress():
                heartbeat_file.touch()
            self._stop.wait(BEAT_SECONDS)
