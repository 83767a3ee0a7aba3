"""The coordinator's program: all coordinators elect a leader, and the leader assigns channels.

    main thread   one pass every `PASS_SECONDS` (`coordinator.passes`)
    discovery     lists topics over REST while this one leads (`coordinator.discovery`)
    tracker       tracks conversations, in every coordinator (`coordinator.tracker`)

No event depends on a coordinator (I7): while none runs, every open channel goes on.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

from coordinator.discovery import POLITE_BURST, Discovery
from coordinator.metrics import Metrics
from coordinator.passes import PASS_SECONDS, Passes
from coordinator.tracker.service import Tracker
from mirror.base.health import Health
from mirror.checks.checkup import Checkup
from mirror.checks.finding import Finding
from mirror.checks.growth import growth_of
from mirror.checks.kafka import check_kafka
from mirror.checks.redis import check_redis
from mirror.fleet.reasons import STARTING
from mirror.genesys.client import GenesysClient
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.redis.rate import RateBudget
from mirror.runtime import genesys_metrics
from mirror.runtime.metrics import TRACKER, Numbers
from mirror.runtime.process import Process, Program
from mirror.settings import Settings


def main(settings: Settings) -> int:
    """Run a coordinator until a signal ends it. Returns its exit code.

    Raises `MirrorError` if the start fails (see `mirror.base.errors` for the exit code).
    """
    settings.require_clients()
    name = f"{settings.host}-{os.getpid()}-{secrets.token_hex(2)}"  # of this start of the process
    return Process(settings, coordinator=name).run(Coordinator(settings, name))


class Coordinator(Program):
    """One coordinator."""

    name = "coordinator"

    def __init__(self, settings: Settings, coordinator: str) -> None:
        self._settings = settings
        self._coordinator = coordinator
        self._growth = growth_of(settings)
        # Apart from the checks of health: status shows it too, also without a metrics port.
        self._grown = Checkup(self._growth.findings)

    def start(self, process: Process) -> None:
        """Wait for Redis, Genesys and Kafka, then discover and track.

        With a start-up time-out of 0 it does not wait for Kafka: leading needs no Kafka, and a
        coordinator that starts while Kafka is away must still replace dead listeners.
        """
        settings, thread_watch, stopping = self._settings, process.thread_watch, process.stopping
        client, keys = connect(settings), Keys(settings.namespace)
        genesys = [
            GenesysClient(
                settings, oauth, RateBudget(client, keys, oauth.id, burst=POLITE_BURST), stopping
            )
            for oauth in settings.require_clients()
        ]
        process.startup.redis(client)
        process.startup.genesys(*(client.sign_in for client in genesys))
        if settings.startup_timeout:
            process.startup.kafka()
        discovery = Discovery(settings, genesys, thread_watch.of("discovery"))
        self._tracker = tracker = Tracker(
            settings, report_progress=thread_watch.of("tracker"), name=self._coordinator
        )
        metrics = Metrics(process.registry)
        process.registry.register(Numbers(TRACKER, tracker))
        genesys_metrics.register(process.registry, genesys)
        self._passes = Passes(
            settings,
            client,
            self._coordinator,
            discovery,
            metrics,
            process.beat,
            also=lambda: self._growth.reasons,
        )
        self._grown.start()
        process.serve()
        process.thread("discovery", lambda: discovery.run(stopping))
        process.thread("tracker", lambda: tracker.run(stopping))

    def turn(self) -> float:
        """Claim the lead; as leader, make a pass."""
        self._passes.turn()
        return PASS_SECONDS

    def health(self) -> Health:
        """The health of this process; `mirror status` has the whole mirror's."""
        found, tracker = self._passes.health(), self._tracker
        starting = (STARTING,) if tracker.is_starting and not tracker.reasons else ()
        return Health.of((*found.reasons, *tracker.reasons, *starting))

    def checks(self) -> Iterator[Finding]:
        """The checks that all processes share."""
        yield from check_redis(self._settings)
        yield from check_kafka(self._settings)
        yield from self._grown.findings

    def stop(self) -> None:
        """Let another coordinator lead at once."""
        self._grown.stop()
        self._passes.resign()
