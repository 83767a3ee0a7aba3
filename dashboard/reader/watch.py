"""The thread that looks at Redis, and asks whether Kafka answers, once a second.

It publishes two documents: `mirror` (the view of that name) and `health` (the line above both
views: what is away since when, and how the mirror is). While nobody looks it asks less often.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from dashboard.pages.availability import Reach, answered, failed
from dashboard.pages.hub import Hub, message
from dashboard.reader import fleet
from dashboard.reader.reader import Reader, wall_ms
from mirror import __version__
from mirror.base.errors import RedisUnavailable
from mirror.base.health import Health
from mirror.base.log import logger
from mirror.base.turns import Turns
from mirror.kafka.config import ClientLog, admin_config, open_client
from mirror.settings import Settings

LOOK_SECONDS: Final = 1.0
IDLE_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 0.1
PROBE_SECONDS: Final = 1.5
PROBE_EVERY: Final = 2  # looks


class Watch:
    """Redis' end of a dashboard. `run` is the body of a thread."""

    def __init__(
        self, settings: Settings, client: redis.Redis, hub: Hub, reader: Reader, turns: Turns
    ) -> None:
        """`turns` knows of this thread and the reader's."""
        self.kafka = Reach()
        self.redis = Reach()
        self._settings = settings
        self._redis = client
        self._hub = hub
        self._turns = turns
        self._reader = reader
        self._log = logger("dashboard.watch")
        self._kafka_log = ClientLog("kafka.dashboard_probe")
        self._mirror: dict[str, Any] = {}

    def run(self, stop: threading.Event) -> None:
        """Look until `stop` is set."""
        admin = open_client(
            AdminClient, admin_config(self._settings, "dashboard-probe"), self._kafka_log
        )
        looks = 0
        turned = self._turns.of("redis")
        while not stop.is_set():
            turned()
            if looks % PROBE_EVERY == 0:
                self.kafka = self._look(
                    "kafka", self.kafka, lambda: admin.list_topics(timeout=PROBE_SECONDS)
                )
            self.redis = self._look("redis", self.redis, self._read)
            looks += 1
            self._publish()
            self._pause(stop)

    def health(self) -> Health:
        """For `/healthz`: a dashboard that cannot see is degraded, and still serves.

        It is down where a thread hangs: what it serves is old.
        """
        reasons = [
            f"{name} is away: {reach.why}"
            for name, reach in (("Kafka", self.kafka), ("Redis", self.redis))
            if reach.state == "away"
        ]
        if self._reader.trouble:
            reasons.append(self._reader.trouble)
        return Health.of(reasons, self._turns.reasons())

    def _pause(self, stop: threading.Event) -> None:
        """Until the next look; the first browser to come is not kept waiting."""
        had = self._hub.streams
        for _ in range(round((LOOK_SECONDS if had else IDLE_SECONDS) / PAUSE_SECONDS)):
            if stop.wait(PAUSE_SECONDS) or (not had and self._hub.streams):
                return

    def _look(self, name: str, before: Reach, ask: Callable[[], object]) -> Reach:
        try:
            ask()
        except (KafkaException, RedisUnavailable) as error:
            why = str(error) if isinstance(error, RedisUnavailable) else "no broker answers"
            after = failed(before, wall_ms(), why)
        else:
            after = answered(before, wall_ms())
        if after.state != before.state:
            write = self._log.warning if after.state == "away" else self._log.info
            write("service_is", service=name, state=after.state, why=after.why)
        return after

    def _read(self) -> None:
        self._mirror = fleet.document(fleet.read(self._redis, self._settings))

    def _publish(self) -> None:
        reader = self._reader
        trouble = self.kafka
        if trouble.state == "ok" and reader.trouble:
            trouble = failed(trouble, wall_ms(), reader.trouble)
        health = {
            "now": wall_ms(),
            "version": __version__,
            "namespace": self._settings.namespace,
            "kafka": trouble.document(),
            "redis": self.redis.document(),
            "mirror": self._mirror.get("health"),
            "reasons": self._mirror.get("reasons", [])[:3],
            "streams": self._hub.streams,
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
