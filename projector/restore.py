"""Reads the conversations of partitions back from Kafka.

A partition is restored once all records were read that it had when the restore began. Some of them
may be uncommitted. Only committed records are read, but the restore waits until the broker has
ended each open transaction that a deposed projector left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from mirror.base.log import logger
from mirror.kafka.client import ClientLog, open_client
from mirror.kafka.config import committed_reader_config
from mirror.kafka.kept import kept_of
from mirror.settings import Settings
from projector.projection import Partition

BATCH: Final = 5_000
READ_SECONDS: Final = 0.05


class Restore:
    """Reads some partitions from their beginning to `ends`. `close` it, finished or not."""

    def __init__(
        self, settings: Settings, partitions: Mapping[int, Partition], ends: Mapping[int, int]
    ) -> None:
        """`ends` are the offsets behind the last record, uncommitted ones included."""
        self.records = 0
        self._topic = settings.conversations_topic
        self._partitions = partitions
        self._left = {number: ends[number] for number in partitions}
        self._empty = [number for number in partitions if not ends[number]]
        self._log = logger("projector")
        config = {
            **committed_reader_config(settings, "projector-restore"),
            "enable.partition.eof": "true",
            "check.crcs": "false",
        }
        log = ClientLog("projector.kafka")
        self._consumer: Any = open_client(Consumer, config, log)
        self._consumer.assign(
            [TopicPartition(self._topic, number, OFFSET_BEGINNING) for number in self._left]
        )

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions that are not whole yet."""
        return frozenset(self._left)

    def step(self, seconds: float = READ_SECONDS) -> list[Partition]:
        """Read for up to `seconds`. Returns the partitions that became whole.

        Raises `UnknownFormat`, and `KafkaException` for errors that last after a reconnect.
        """
        whole = [self._partitions[number] for number in self._empty]
        for number in self._empty:
            del self._left[number]
        self._empty = []
        if not self._left:
            return whole
        for message in self._consumer.consume(BATCH, timeout=seconds):
            number = message.partition()
            if number not in self._left:
                continue
            error = message.error()
            if error is None:
                self._take(message)
                reached = message.offset() + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                reached = message.offset()
            elif error.fatal() or not error.retriable():
                raise KafkaException(error)
            else:
                self._log.warning("restore_kafka_error", code=error.name())
                continue
            if reached >= self._left[number]:
                del self._left[number]
                whole.append(self._partitions[number])
        return whole

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()

    def _take(self, message: Any) -> None:
        self.records += 1
        self._partitions[message.partition()].restore(
            message.key().decode(), kept_of(message.headers()), is_tombstone=message.value() is None
        )
