"""Keeps a producer's knowledge of its topics fresh, so that it is ready at any moment.

librdkafka asks for a topic's partitions at the first record for it, and forgets them some minutes
later. It asks any connected broker. If that broker has just frozen, another broker answers only
after the socket's time-out, and all lanes wait, the healthy ones too. So the partitions are
requested beforehand, again and again.

The requests wait in a thread of their own; the caller never waits.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from confluent_kafka import KafkaException, Producer

LOOK_SECONDS: Final = 240.0  # librdkafka forgets after `metadata.max.age.ms`, 15 minutes
AGAIN_SECONDS: Final = 5.0  # after a look that failed
ANSWER_SECONDS: Final = 10.0


class Metadata:
    """Requests the partitions of some topics."""

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = topics
        self._look_at = float("-inf")
        self._thread: threading.Thread | None = None
        self._failed = False

    def forget(self) -> None:
        """Start over for a new producer, which knows no topics yet."""
        self._look_at = float("-inf")

    def look(self, producer: Producer, now: float) -> None:
        """Request the partitions if it is time. Call often."""
        if self._thread is not None:
            if self._thread.is_alive():
                return
            self._thread = None
            if self._failed:
                self._look_at = min(self._look_at, now + AGAIN_SECONDS)
        if not self._topics or now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        self._failed = False
        self._thread = threading.Thread(
            target=self._ask, args=(producer,), name="spool-metadata", daemon=True
        )
        self._thread.start()

    def _ask(self, producer: Producer) -> None:
        try:
            for topic in self._topics:
                producer.list_topics(topic, timeout=ANSWER_SECONDS)
        except KafkaException:  # the sending code reports it: this request only saves a wait
            self._failed = True
