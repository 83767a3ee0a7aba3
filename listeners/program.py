"""The listener's program: its threads, and its parts of `mirror.runtime.process`.

    loop        reads sockets, normalises, produces (`listeners.receive.loop`)
    spool       stores and sends records that Kafka cannot take now (`listeners.publish.keeper`)
    beats       talks to Redis (`listeners.beats`)
    worker-0…   REST calls and handshakes (`listeners.channels.workers`)

`listeners.shutdown` has the order of the stop.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from random import SystemRandom
from typing import Any

from listeners import gc_tuning, metrics
from listeners.beats import Beats
from listeners.channels.adapters import RedisAdapter, genesys_adapters
from listeners.channels.executor import Executor
from listeners.channels.session import Session
from listeners.channels.workers import Workers
from listeners.counters import Counters
from listeners.health import ListenerHealth
from listeners.publish.publisher import Publisher
from listeners.receive import native_reader
from listeners.receive.loop import Loop
from listeners.receive.native import Native
from listeners.shutdown import shut_down
from mirror import __version__
from mirror.base.health import Health
from mirror.base.log import logger
from mirror.checks.finding import Finding
from mirror.checks.growth import growth_of
from mirror.checks.machine import check_spool
from mirror.checks.redis import check_redis
from mirror.conversation.normaliser import Normaliser, Personal
from mirror.fleet.pinned import pin
from mirror.fleet.words import Beat
from mirror.genesys.sockets import tls_context
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.runtime.metrics import NATIVE, SPOOL_LIMIT, gauge
from mirror.runtime.process import Process, Program
from mirror.settings import Settings
from mirror.settings.directory import make_directory


def main(settings: Settings) -> int:
    """Run a listener until a signal ends it. Returns its exit code.

    Raises `MirrorError` if the start fails (see `mirror.base.errors` for the exit code).
    """
    settings.require_clients()
    name = f"{settings.host}-{os.getpid()}-{secrets.token_hex(3)}"  # of this start of the process
    return Process(settings, listener=name).run(Listener(settings, name))


class Listener(Program):
    """One listener."""

    name = "listener"

    def __init__(self, settings: Settings, listener: str) -> None:
        self._settings = settings
        self._listener = listener
        self._counters = Counters()
        self._growth = growth_of(settings)

    def start(self, process: Process) -> None:
        """Wait for all services, then read sockets."""
        settings, counters = self._settings, self._counters
        make_directory("MIRROR_SPOOL_DIR", settings.spool_dir)
        module = native_reader.load(settings.native)
        client = connect(settings)
        reservations = RedisAdapter(client, settings)
        genesys = genesys_adapters(settings, client)
        cluster = process.startup.kafka(agents=settings.agents)
        schemas = process.startup.registry()
        process.startup.redis(client)
        process.startup.genesys(*(adapter.check for adapter in genesys.values()))
        self._publisher = Publisher(
            settings,
            self._listener,
            counters,
            schemas=schemas,
            partitions=pin(client, Keys(settings.namespace), cluster.partitions(settings)),
        )
        session = Session(self._listener, silence=settings.silence, rng=SystemRandom())
        normaliser = Normaliser(personal=Personal.of(settings.pii, settings.pii_key))
        native = self._native(module, normaliser)
        self._loop = loop = Loop(session, normaliser, self._publisher, counters, native=native)
        self._workers = Workers()
        loop.executor = Executor(
            self._workers,
            genesys,
            reservations,
            loop.post,
            context=tls_context(),
            user_agent=f"interaction-mirror/{__version__}",
            opened=loop.opened,
        )
        self._beats = Beats(
            reservations.fleet,
            loop,
            Beat(
                listener=self._listener,
                host=settings.host,
                pid=os.getpid(),
                version=__version__,
                state="live",
            ),
            heartbeat=settings.heartbeat,
            lease=settings.lease,
            report_progress=process.thread_watch.of("beats"),
        )
        self._health = ListenerHealth(counters, loop, process.registry, lease=settings.lease)
        gauge(SPOOL_LIMIT, process.registry).set(settings.spool_limit)
        info = gauge(NATIVE, process.registry)
        if native is not None:
            info.labels(native.version).set(1)
        clients = [adapter.client for adapter in genesys.values()]
        metrics.register(process.registry, loop, self._publisher, clients)
        process.serve()
        gc_tuning.tune()
        self._loop_thread = process.thread("loop", loop.run)
        self._beats_thread = process.thread("beats", self._beats.run)

    def _native(self, module: Any, normaliser: Normaliser) -> Native | None:
        """The native reader, if it is wanted and installed."""
        settings, native = self._settings, None
        if module is not None:
            recorder, shadow = self._publisher.recorder, settings.native_shadow
            native = Native(module, normaliser, recorder, self._counters, shadow=shadow)
        version = native.version if native is not None else "none"
        logger("listener").info("native_reader", version=version, setting=settings.native)
        return native

    def health(self) -> Health:
        """The health in the loop's state, and whether Redis takes its beats."""
        known = self._health.health()
        return Health.of((*known.reasons, *filter(None, (self._beats.problem,))))

    def hung(self) -> tuple[str, ...]:
        """The loop, if it makes no progress."""
        return self._health.hung()

    def checks(self) -> Iterator[Finding]:
        """The checks of this host: its disk, its way to Redis, its clock."""
        yield check_spool(self._settings)
        yield from check_redis(self._settings)
        yield from self._growth.findings()

    def stop(self) -> None:
        """Drain, close, flush, deregister."""
        shut_down(
            self._loop,
            self._loop_thread,
            self._beats,
            self._beats_thread,
            self._workers,
            self._publisher,
            heartbeat=self._settings.heartbeat,
        )

    def summary(self) -> dict[str, int]:
        """The counts of its work."""
        counters = self._counters
        return {
            "frames": counters.frames,
            "events": counters.events,
            "delivered": counters.delivered,
            "spool_records": counters.spool_records,
        }
