"""A janitor process: start-up checks, two threads, signals.

    main thread   waits for signals, then for the threads; beats while both turn
    zombies       sweeps over overdue conversations every `MIRROR_JANITOR_INTERVAL`
    gaps          fills one gap after the other

Any number of janitors share the work by leases. Stopping: what is under way is finished or given
back, in well under 25 seconds; at once on a second signal, when leases lapse by themselves.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry

from janitor.claims import Leases
from janitor.gaps.filler import Filler
from janitor.gaps.reading import LeaseLost
from janitor.genesys import GenesysPool
from janitor.producer import Outlet
from janitor.zombies.sweep import Sweep, Zombies
from mirror import __version__
from mirror.base import log
from mirror.base.errors import EXIT_DONE, EXIT_FAILED, DependencyError
from mirror.base.health import Health
from mirror.base.turns import Turns
from mirror.checks.checkup import Checkup
from mirror.checks.finding import Finding
from mirror.checks.redis import check_redis
from mirror.conversation.normaliser import Normaliser, Personal
from mirror.kafka import registry
from mirror.kafka.admin import check_topics
from mirror.redis.connect import connect, wait_for
from mirror.redis.keys import Keys
from mirror.runtime import metrics, signals
from mirror.runtime.genesys_figures import tell_of_genesys
from mirror.runtime.telemetry import Telemetry
from mirror.settings import Settings
from mirror.supervision.pulse import Pulse

# Between two looks into the gap ledger, which costs one Redis command.
LEDGER_SECONDS: Final = 1.0
FORGET_EVERY_SECONDS: Final = 600.0
# Between two attempts while a service or the tracker is away.
RETRY_SECONDS: Final = 2.0
# A call under way may take its time to answer; what it was for is then due again by its lease.
JOIN_SECONDS: Final = 20.0


def main(settings: Settings) -> int:
    """Run a janitor until a signal ends it. Returns its exit code.

    Raises `MirrorError` where start-up fails (see `mirror.base.errors` for the exit code).
    """
    log.configure("janitor", settings.log_level)
    settings.require_clients()
    return Service(settings).run()


class Service:
    """One janitor."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._log = log.logger("janitor")
        self._stop = threading.Event()
        self._turns = Turns()
        self._crashed = False
        self._troubles: dict[str, str] = {}  # part → why it cannot work now
        self._outlets: tuple[Outlet, ...] = ()
        self._registry = CollectorRegistry()
        self._verified = metrics.counter(metrics.VERIFIED, self._registry)

    def run(self) -> int:
        """Start, wait for a signal, stop."""
        settings = self.settings
        self._log.info("starting", version=__version__)
        started = time.monotonic()
        client = connect(settings)
        keys = Keys(settings.namespace)
        genesys = GenesysPool(settings, client, self._stop, settings.janitor_share)
        check_topics(settings, settings.startup_timeout)
        schemas = registry.register(settings, settings.startup_timeout)
        wait_for(client, settings)
        self._sign_in(genesys, started)

        # Before the first thread: signals are the main thread's alone.
        signals.block()
        telemetry = Telemetry(
            settings.metrics_port,
            self._registry,
            self.health,
            Checkup(self._checks),
            settings.metrics_hosts,
        )
        leases = Leases(client, keys, settings.topic)
        turned = self._turns.of("zombies"), self._turns.of("gaps")
        self._outlets = outlets = (
            Outlet(settings, schemas, turned[0]),
            Outlet(settings, schemas, turned[1]),
        )
        stopping = self._stop.is_set
        zombies = Zombies(
            settings,
            leases,
            genesys,
            outlets[0],
            self._normaliser,
            stopping=stopping,
            turned=turned[0],
        )
        filler = Filler(
            client,
            keys,
            leases,
            genesys,
            outlets[1],
            self._normaliser,
            lag_seconds=settings.analytics_lag,
            horizon_seconds=settings.horizon,
            stopping=stopping,
            turned=turned[1],
        )

        for counted in (
            metrics.Numbers(
                {
                    "filled": metrics.GAPS_FILLED,
                    "conversations": metrics.BACKFILLED,
                    "events": metrics.BACKFILLED_EVENTS,
                },
                filler,
            ),
            metrics.Counts(metrics.UNREAD, lambda: filler.unread),
            metrics.Numbers({"dead_letters": metrics.BURIED}, self),
            metrics.Numbers({"calls": metrics.CALLS}, genesys),
        ):
            self._registry.register(counted)

        tell_of_genesys(genesys.clients, self._registry)
        forget_at = 0.0

        def fill() -> float:
            nonlocal forget_at
            if time.monotonic() >= forget_at:
                leases.forget_expired_gaps()
                forget_at = time.monotonic() + FORGET_EVERY_SECONDS
            while not stopping() and filler.fill_next():
                pass
            return LEDGER_SECONDS

        threads = [
            threading.Thread(target=self._loop, args=(name, work), name=name, daemon=True)
            for name, work in (("zombies", lambda: self._sweep(zombies)), ("gaps", fill))
        ]
        for thread in threads:
            thread.start()
        self._log.info("started")
        self._wait()
        deadline = time.monotonic() + JOIN_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        telemetry.close()
        self._log.info("stopped", produced=sum(outlet.produced for outlet in outlets))
        return EXIT_FAILED if self._crashed else EXIT_DONE

    @property
    def dead_letters(self) -> int:
        """Records that Kafka refused for good."""
        return sum(outlet.dead_letters for outlet in self._outlets)

    def health(self) -> Health:
        """`degraded` while zombies or gaps cannot be worked on, `down` where their thread hangs."""
        reasons = tuple(f"{part}: {why}" for part, why in sorted(self._troubles.items()))
        return Health.of(reasons, self._turns.reasons())

    def _checks(self) -> Iterator[Finding]:
        """What it works from: the lists of overdue conversations and of gaps."""
        yield from check_redis(self.settings)

    def _sweep(self, zombies: Zombies) -> float:
        sweep = zombies.sweep()
        for outcome in ("finalised", "active", "ended_meanwhile", "failed", "doubted"):
            self._verified.labels(outcome).inc(getattr(sweep, outcome))
        if sweep.claimed:
            self._log.info("swept", **_fields(sweep))
        if sweep.obstacle:
            self._trouble("zombies", f"the tracker is {sweep.obstacle}")
            return min(RETRY_SECONDS, self.settings.janitor_interval)
        if sweep.doubted:
            count = sweep.doubted
            self._trouble(
                "zombies", f"{count} are said to be over, which is doubted: {sweep.doubt}"
            )
        return self.settings.janitor_interval

    def _loop(self, name: str, work: Callable[[], float]) -> None:
        """Do `work` until told to stop; it says after how many seconds to do it again."""
        turned = self._turns.of(name)
        try:
            while not self._stop.is_set():
                turned()
                before = self._troubles.pop(name, "")
                try:
                    pause = work()
                except (DependencyError, LeaseLost) as error:
                    pause = RETRY_SECONDS
                    self._trouble(name, str(error))
                if (now := self._troubles.get(name, "")) != before:
                    self._log.warning("waiting" if now else "working_again", part=name, why=now)
                turned(rest=pause)
                self._stop.wait(pause)
        except Exception as error:  # noqa: BLE001 - the process ends by it, and says so
            self._crashed = True
            self._log.error("thread_failed", part=name, error=error, exc_info=True)
            self._stop.set()

    def _trouble(self, part: str, why: str) -> None:
        self._troubles[part] = why

    def _wait(self) -> None:
        pulse = Pulse.of(os.environ)
        while not self._stop.is_set():
            if self._turns.all_turn():
                pulse.beat()
            name = signals.wait(1.0)
            if name is not None:
                self._log.info("stopping", signal=name)
                self._stop.set()
        signals.unblock()  # the second one ends the process at once

    def _sign_in(self, genesys: GenesysPool, started: float) -> None:
        timeout = self.settings.startup_timeout
        while True:
            try:
                return genesys.sign_in()
            except DependencyError as error:
                if timeout and time.monotonic() - started >= timeout:
                    raise
                self._log.warning("genesys_awaited", error=str(error))
            time.sleep(RETRY_SECONDS)

    def _normaliser(self) -> Normaliser:
        settings = self.settings
        return Normaliser(personal=Personal.of(settings.pii, settings.pii_key))


def _fields(sweep: Sweep) -> dict[str, float]:
    return {
        name: value
        for name in sweep.__struct_fields__
        if isinstance(value := getattr(sweep, name), int | float)
    }
