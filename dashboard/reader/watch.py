"""The thread that reads Redis and asks whether Kafka answers, once a second.

It publishes two documents: `mirror` for the view "Mirror", and `health` for the line above both
views (which service is away and since when, and the mirror's health). Without a browser it asks
less often.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from dashboard.hub import Hub, message
from dashboard.reader import fleet
from dashboard.reader.availability import Availability, Standing, answered, failed, stands
from dashboard.reader.reader import Reader, wall_ms
from mirror import __version__
from mirror.base.errors import MirrorError
from mirror.base.log import logger
from mirror.base.thread_watch import ReportProgress, unwatched
from mirror.fleet.names import FAMILIES, read_names
from mirror.kafka.client import ClientLog, open_client
from mirror.kafka.config import admin_config
from mirror.redis.connect import explained
from mirror.redis.keys import Keys
from mirror.settings import Settings

LOOK_SECONDS: Final = 1.0
IDLE_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 0.1
PROBE_SECONDS: Final = 1.5
PROBE_EVERY: Final = 2  # looks
# A look takes some 10 s if both services are silent. Data older than several looks is old.
STALE_SECONDS: Final = 60.0
NAMES_SECONDS: Final = 30.0
REASONS_SHOWN: Final = 3


class Watch:
    """Reads Redis for a dashboard. `run` is the body of a thread."""

    def __init__(
        self,
        settings: Settings,
        client: redis.Redis,
        hub: Hub,
        reader: Reader,
        report_progress: ReportProgress = unwatched,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.kafka = Availability()
        self.redis = Availability()
        self.mirror = Standing()
        self._settings = settings
        self._redis = client
        self._hub = hub
        self._report_progress = report_progress
        self._clock = clock
        self._looked_at = clock()
        self._reader = reader
        self._log = logger("dashboard.watch")
        self._kafka_log = ClientLog("kafka.dashboard_probe")
        self._admin: AdminClient | None = None
        self._mirror: dict[str, Any] = {}
        self._keys = Keys(settings.namespace)
        self._names_digest: str | None = None
        self._names_due = 0.0

    def run(self, stop: threading.Event) -> None:
        """Look until `stop` is set."""
        looks = 0
        while not stop.is_set():
            self._report_progress()
            if looks % PROBE_EVERY == 0:
                self.kafka = self._look("kafka", self.kafka, self._probe)
            self.redis = self._look("redis", self.redis, self._read)
            looks += 1
            self._looked_at = self._clock()
            self._publish()
            self._pause(stop)

    def reasons(self) -> tuple[str, ...]:
        """Why the page shows less than there is, or old data. Any thread may ask."""
        reasons = [
            f"{name} is away: {reach.reason}" if reach.reason else f"{name} has not been asked yet"
            for name, reach in (("Kafka", self.kafka), ("Redis", self.redis))
            if reach.state != "ok"
        ]
        reasons += self._reader.reasons()
        age = self._clock() - self._looked_at
        if age > STALE_SECONDS:
            reasons.append(f"the state of the mirror was last read {age:.0f}s ago")
        return tuple(reasons)

    def _pause(self, stop: threading.Event) -> None:
        """Wait for the next look. The first browser ends the wait."""
        had = self._hub.streams
        for _ in range(round((LOOK_SECONDS if had else IDLE_SECONDS) / PAUSE_SECONDS)):
            if stop.wait(PAUSE_SECONDS) or (not had and self._hub.streams):
                return

    def _probe(self) -> None:
        if self._admin is None:
            config = admin_config(self._settings, "dashboard-probe")
            self._admin = open_client(AdminClient, config, self._kafka_log)
        self._admin.list_topics(timeout=PROBE_SECONDS)

    def _look(self, name: str, before: Availability, ask: Callable[[], object]) -> Availability:
        try:
            ask()
        except (KafkaException, MirrorError) as error:
            reason = str(error) if isinstance(error, MirrorError) else "no broker answers"
            after = failed(before, wall_ms(), reason)
        else:
            after = answered(before, wall_ms())
        if after.state != before.state:
            write = self._log.warning if after.state == "away" else self._log.info
            write("service_is", service=name, state=after.state, reason=after.reason)
        return after

    def _read(self) -> None:
        self._mirror = fleet.document(fleet.read(self._redis, self._settings))
        if time.monotonic() >= self._names_due:
            self._read_names()
            # Ask again soon until the leader has stored names, and while it stores others.
            self._names_due = time.monotonic() + (NAMES_SECONDS if self._names_digest else 0.0)

    def _read_names(self) -> None:
        """Read the names of queues and agents, if they have changed."""
        with explained():
            digest: Any = self._redis.get(self._keys.names)
        if digest == self._names_digest:
            return
        queues, people = (read_names(self._redis, self._keys, family) for family in FAMILIES)
        with self._reader.lock:
            self._reader.feed.call(queues, people)
        self._names_digest = digest

    def _publish(self) -> None:
        reader = self._reader
        problem = self.kafka
        if problem.state == "ok" and reader.problem:
            problem = failed(problem, wall_ms(), reader.problem)
        word = self._mirror.get("health") if self.redis.state == "ok" else None
        self.mirror = stands(self.mirror, word, wall_ms(), reader.last_event_ms)
        health = {
            "now": wall_ms(),
            "version": __version__,
            "namespace": self._settings.namespace,
            "kafka": problem.document(),
            "redis": self.redis.document(),
            "mirror": self.mirror.document(),
            "reasons": [*reader.reasons_of_missing(), *self._mirror.get("reasons", [])][
                :REASONS_SHOWN
            ],
            "unreceived": self._mirror.get("unreceived"),
            "streams": self._hub.streams,
            "opened": {
                "from": reader.opened.topic,
                "reason": reader.opened.reason,
                "seconds": reader.opened.seconds,
            },
        }
        self._hub.publish("health", message("health", health))
        if self._mirror:
            with reader.lock:
                told = {
                    "letters": {
                        "count": reader.letters.count,
                        "latest": list(reader.letters.latest),
                    },
                    "finalized": {
                        "count": reader.finalized.count,
                        "latest": list(reader.finalized.latest),
                    },
                    "backfilled": reader.backfilled,
                    "unreadable": reader.unreadable,
                }
            self._hub.publish("mirror", message("mirror", self._mirror | told))
