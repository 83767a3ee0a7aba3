"""A listener process: start-up checks, threads, signals, and the order in which it ends.

    main thread     waits for signals, then ends the others in order; beats while they turn
    loop            reads sockets, normalises, produces (`listeners.receive.loop`)
    spool           writes and sends what Kafka cannot take now (`listeners.publish.keeper`)
    beats           talks to Redis (`listeners.beats`)
    worker-0…       REST calls and handshakes (`listeners.channels.workers`)
    telemetry       `/metrics` and `/healthz` (`mirror.runtime.telemetry`)

Stopping: tell the leader (`draining`) and go on receiving until it has moved the seats or
`DRAIN` has passed; close the channels and give them back; flush to Kafka, the rest to the spool;
say farewell. In all under 25 seconds, at once on a second signal.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from random import SystemRandom
from typing import Final

from listeners import gc_tuning as collector
from listeners.beats import Beats
from listeners.channels.executor import Actions
from listeners.channels.links import RedisLink, genesys_links
from listeners.channels.session import Session
from listeners.channels.workers import Workers
from listeners.counters import Counters
from listeners.figures import tell
from listeners.health import Vitals
from listeners.publish.publisher import Publisher
from listeners.receive.connection import tls_context
from listeners.receive.loop import Loop
from mirror import __version__
from mirror.base import log
from mirror.base.errors import EXIT_DONE, EXIT_FAILED, DependencyError
from mirror.base.turns import Turns
from mirror.checks.checkup import Checkup
from mirror.checks.finding import Finding
from mirror.checks.growth import Growth
from mirror.checks.machine import check_spool
from mirror.checks.redis import check_redis
from mirror.conversation.normaliser import Normaliser, Personal
from mirror.fleet.words import Beat
from mirror.kafka import registry
from mirror.kafka.admin import check_topics
from mirror.redis.connect import connect, wait_for
from mirror.runtime import signals
from mirror.runtime.metrics import SPOOL_LIMIT, gauge
from mirror.runtime.telemetry import Telemetry
from mirror.settings import Settings
from mirror.supervision.pulse import Pulse

DRAIN: Final = 9.0
CLOSE: Final = 1.5
JOIN: Final = 2.0
FLUSH: Final = 6.0
RELEASE: Final = 2.0
FAREWELL: Final = 2.0
# A leader that lives moves the first seat within a few beats; without one waiting is idle.
NOBODY_MOVES: Final = 2.5  # heartbeats
_LOOK: Final = 0.1
_RETRY: Final = 1.0


def listener_id(host: str) -> str:
    """`<host>-<pid>-<random>`: unique for each start of a process."""
    return f"{host}-{os.getpid()}-{secrets.token_hex(3)}"


def main(settings: Settings) -> int:
    """Run a listener until a signal ends it. Returns its exit code.

    Raises `MirrorError` where start-up fails (see `mirror.base.errors` for the exit code).
    """
    log.configure("listener", settings.log_level)
    settings.require_clients()
    return Service(settings, listener_id(settings.host)).run()


class Service:
    """One listener."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.settings = settings
        self.name = name
        self.counters = Counters()
        self._growth = Growth(settings)
        self._log = log.logger("listener")
        self._crash: Exception | None = None

    def run(self) -> int:
        """Start, wait for a signal, stop."""
        settings = self.settings
        self._log.info("starting", listener=self.name, version=__version__)
        client = connect(settings)
        links = RedisLink(client, settings)
        genesys = genesys_links(settings, client)
        deadline = _deadline(settings.startup_timeout)
        cluster = check_topics(settings, settings.startup_timeout, agents=settings.agents)
        schemas = registry.register(settings, settings.startup_timeout)
        wait_for(client, settings)
        for link in genesys.values():
            _until(deadline, link.check)

        signals.block()
        partitions = {name: count for name, (count, _) in cluster.topics.items()}
        publisher = Publisher(
            settings, self.name, self.counters, schemas=schemas, partitions=partitions
        )
        loop = Loop(
            Session(self.name, silence=settings.silence, rng=SystemRandom()),
            Normaliser(personal=Personal.of(settings.pii, settings.pii_key)),
            publisher,
            self.counters,
        )
        workers = Workers()
        loop.actions = Actions(
            workers,
            genesys,
            links,
            loop.post,
            context=tls_context(),
            user_agent=f"interaction-mirror/{__version__}",
            opened=loop.opened,
        )
        turns = Turns()
        beats = Beats(
            links.fleet,
            loop,
            Beat(
                listener=self.name,
                host=settings.host,
                pid=os.getpid(),
                version=__version__,
                state="live",
            ),
            heartbeat=settings.heartbeat,
            lease=settings.lease,
            turned=turns.of("beats"),
        )
        thread = threading.Thread(target=self._run_loop, args=(loop,), name="loop", daemon=True)
        vitals = Vitals(self.counters, loop, thread, turns, lease=settings.lease)
        gauge(SPOOL_LIMIT, vitals.registry).set(settings.spool_limit)
        tell(vitals.registry, loop, publisher, [link.client for link in genesys.values()])
        telemetry = Telemetry(
            settings.metrics_port,
            vitals.registry,
            vitals.health,
            Checkup(self._checks),
            settings.metrics_hosts,
        )
        collector.tune()
        thread.start()
        beats.start()
        self._log.info("started", listener=self.name)

        self._wait(thread, vitals, turns)
        self._stop(loop, beats, workers, publisher, thread)
        telemetry.close()
        return EXIT_FAILED if self._crash else EXIT_DONE

    def _checks(self) -> Iterator[Finding]:
        """What each host has of its own: its disk, its way to Redis, its clock."""
        yield check_spool(self.settings)
        yield from check_redis(self.settings)
        yield from self._growth.findings()

    def _run_loop(self, loop: Loop) -> None:
        try:
            loop.run()
        except Exception as error:  # noqa: BLE001 - whatever it was, what is held must be saved
            self._crash = error
            self._log.error("loop_failed", error=error, exc_info=True)

    def _wait(self, thread: threading.Thread, vitals: Vitals, turns: Turns) -> None:
        pulse = Pulse.of(os.environ)
        while thread.is_alive():
            if turns.all_turn() and vitals.health().health != "down":
                pulse.beat()
            name = signals.wait(1.0)
            if name is not None:
                self._log.info("stopping", signal=name)
                break
        signals.unblock()  # the second one ends the process at once

    def _stop(
        self,
        loop: Loop,
        beats: Beats,
        workers: Workers,
        publisher: Publisher,
        thread: threading.Thread,
    ) -> None:
        session = loop.session
        if thread.is_alive():
            beats.state = "draining"
            session.draining = True
            beats.hurry()
            self._drain(loop, beats)
            loop.call(session.close)
            _look(CLOSE, lambda: not session.channels())
            loop.stop()
            thread.join(JOIN)
        loop.close()
        publisher.stop(FLUSH)
        workers.stop(RELEASE)
        beats.stop(FAREWELL)
        counters = self.counters
        self._log.info(
            "stopped",
            listener=self.name,
            frames=counters.frames,
            events=counters.events,
            delivered=counters.delivered,
            spool_records=counters.spool_records,
        )

    def _drain(self, loop: Loop, beats: Beats) -> None:
        """Wait for the leader to move the seats; not for a leader that does not answer."""
        session = loop.session
        started = time.monotonic()
        patience = NOBODY_MOVES * self.settings.heartbeat

        def done() -> bool:
            if not session.seats:
                return True
            idle_since = max(started, beats.assigned_at)
            return time.monotonic() - idle_since > patience

        _look(DRAIN, done)


def _deadline(seconds: float) -> float | None:
    return time.monotonic() + seconds if seconds else None


def _until(deadline: float | None, check: Callable[[], object]) -> None:
    """Call `check` until it succeeds or `deadline` has passed, then raise what it raised."""
    told = ""
    while True:
        try:
            check()
            return
        except DependencyError as error:
            if deadline is not None and time.monotonic() + _RETRY >= deadline:
                raise
            if str(error) != told:
                told = str(error)
                log.logger("listener").warning("genesys_awaited", error=error)
            time.sleep(_RETRY)


def _look(seconds: float, done: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if done():
            return True
        time.sleep(_LOOK)
    return done()
