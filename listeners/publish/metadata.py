"""Keeps a producer that may be needed at any moment acquainted with its topics.

librdkafka asks for a topic's partitions when it first sends to it, and forgets them some minutes
later. It asks any broker that it is connected to. Where that broker has just frozen, the answer
comes from another only after the socket's time-out, and all lanes wait for it, those that are well
too. So the partitions are asked for beforehand, again and again, while all is well.

The questions wait in a thread of their own: whoever asks never does.
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
    """Asks for the partitions of some topics."""

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = topics
        self._look_at = float("-inf")
        self._thread: threading.Thread | None = None
        self._failed = False

    def forget(self) -> None:
        """Another producer is in use: it knows nothing."""
        self._look_at = float("-inf")

    def look(self, producer: Producer, now: float) -> None:
        """Ask, where it is time to; call often."""
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
        except KafkaException:  # what sends says why: this look only saves it a wait
            self._failed = True
