"""Makes producers for the publisher, and serves the reports of a purge.

If a producer cannot be made now (a secret manager is replacing the CA's file, a memory limit, a
property that librdkafka does not accept), the attempt is repeated; records wait in the spool
meanwhile. The reports of a purge are served in a thread of their own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import KafkaException, Producer

from mirror.base.errors import MirrorError
from mirror.base.log import logger
from mirror.kafka.client import ClientLog, open_client
from mirror.kafka.config import producer_config
from mirror.kafka.polling import serve
from mirror.settings import Settings

RETRY_FIRST_SECONDS: Final = 0.5
RETRY_MOST_SECONDS: Final = 10.0
REPORT_SECONDS: Final = 0.1


class Producers:
    """Makes producers of one role."""

    def __init__(self, settings: Settings, role: str) -> None:
        self.reason = ""  # why no producer can be made now
        self.client_log = ClientLog(f"{role}.kafka")
        self._settings = settings
        self._role = role
        self._log = logger(f"{role}.publisher")
        self._pause = RETRY_FIRST_SECONDS
        self._try_at = float("-inf")

    def make(
        self, now: float, statistics: Callable[[str], None], every_ms: int, *, all_reports: bool
    ) -> Producer | None:
        """A producer, None if none can be made now.

        `statistics` is called with librdkafka's statistics. `all_reports`: report successes too.
        """
        if now < self._try_at:
            return None
        config: dict[str, Any] = {
            **producer_config(self._settings, self._role),
            "statistics.interval.ms": every_ms,
            "stats_cb": statistics,
            "delivery.report.only.error": not all_reports,
        }
        if all_reports:  # its records are also on disk: librdkafka never needs to give them up
            config["delivery.timeout.ms"] = 0
            config.pop("message.timeout.ms", None)
        try:
            producer = open_client(Producer, config, self.client_log)
        except (MirrorError, KafkaException, OSError, ValueError) as error:
            if str(error) != self.reason:
                self.reason = str(error)
                self._log.error("producer_creation_failed", error=error)
            self._try_at = now + self._pause
            self._pause = min(RETRY_MOST_SECONDS, self._pause * 2)
            return None
        if self.reason:
            self._log.info("producer_created")
        self.reason = ""
        self._pause = RETRY_FIRST_SECONDS
        return producer


def serve_reports(producer: Producer) -> threading.Thread:
    """Poll a purged producer in a thread until it is empty.

    One poll reports all purged records, a microsecond and a half each. No exception may end it.
    """

    def serve_all() -> None:
        while len(producer):
            serve(producer, REPORT_SECONDS)

    thread = threading.Thread(target=serve_all, name="producer-reports", daemon=True)
    thread.start()
    return thread


def purge(producer: Producer) -> None:
    """Give up all unacknowledged records; `poll` then reports each of them as purged.

    Does not wait: confluent-kafka 2.16 passes `blocking` on as librdkafka's `NON_BLOCKING`.
    """
    producer.purge(in_queue=True, in_flight=True, blocking=True)
