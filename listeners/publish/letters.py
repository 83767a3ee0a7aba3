"""Dead letters: of frames that could not be read, and of records that Kafka refuses for good."""

from __future__ import annotations

import threading
from typing import Final

from confluent_kafka import KafkaError

from listeners.counters import Counters
from mirror.base.log import logger
from mirror.conversation.masking import Mask
from mirror.kafka.limits import record_limit
from mirror.kafka.record import Record, dead_letter, shorter
from mirror.settings import Settings

PRODUCE: Final = "produce"


class Letters:
    """Makes dead letters. Any thread may call; `lock` guards the counters."""

    def __init__(
        self, settings: Settings, listener: str, counters: Counters, lock: threading.RLock
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._counters = counters
        self._lock = lock
        self._limit = record_limit(settings)
        self._mask = Mask.of(settings.pii, settings.pii_key)
        self._log = logger("listener.publisher")

    def of_frame(
        self,
        value: bytes,
        *,
        source_topic: str | None,
        stage: str,
        error: str,
        message: str,
        size: int | None = None,
    ) -> Record:
        """The dead letter of a frame; `size` is the full size if `value` was cut."""
        with self._lock:
            self._counters.dead_letters += 1
        return dead_letter(
            self._settings.dead_letter_topic,
            value,
            source_topic=source_topic,
            stage=stage,
            error=error,
            message=message,
            listener=self._listener,
            limit=self._limit,
            mask=self._mask,
            size=size,
        )

    def of_record(self, record: Record, error: KafkaError) -> Record | None:
        """The dead letter of a record that Kafka refuses for good. A refused dead letter becomes a
        shorter one, None if too little would be left."""
        is_letter = record.topic == self._settings.dead_letter_topic
        cut = shorter(record) if is_letter else None
        with self._lock:
            self._counters.rejected += 1
            self._counters.dead_letters += not is_letter
            self._counters.lost += is_letter and cut is None
        self._log.error(
            "record_refused", code=error.name(), topic=record.topic, bytes=len(record.value)
        )
        if is_letter:
            if cut is None:
                self._log.error("dead_letter_lost", code=error.name(), bytes=len(record.value))
            return cut
        found = dict(record.headers).get("ce_source") or ""
        source = found.decode() if isinstance(found, bytes) else found
        return dead_letter(
            self._settings.dead_letter_topic,
            record.value,
            source_topic=source.rpartition("/")[2] or None,
            stage=PRODUCE,
            error=error.name(),
            message="Kafka refuses the record",
            listener=self._listener,
            limit=self._limit,
            mask=None,  # an event holds only what `MIRROR_PII` allows
        )
