"""Asks Kafka for offsets: the group's, and what partitions retain.

Every method raises `KafkaException` or `KafkaUnavailable` if there is no answer in time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # not in its `__all__`
    AdminClient,
    OffsetSpec,
)

from mirror.base.errors import KafkaUnavailable
from mirror.kafka.config import ClientLog, admin_config, open_client
from mirror.settings import Settings

ANSWER_SECONDS: Final = 5.0
_EARLIEST: Final = OffsetSpec.earliest()  # type: ignore[no-untyped-call] # its own fault
_LATEST: Final = OffsetSpec.latest()  # type: ignore[no-untyped-call]


class Offsets:
    """The requests of one process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.topic
        self._admin: Any = None

    def committed(self, consumer: Any, numbers: Iterable[int]) -> dict[int, int]:
        """The group's offsets, of partitions that have one.

        These offsets are settled: Kafka answers only when no open transaction is about to move
        them.
        """
        asked = [TopicPartition(self._topic, number) for number in numbers]
        found: dict[int, int] = {}
        for position in consumer.committed(asked, timeout=ANSWER_SECONDS):
            if position.error is not None:
                raise KafkaUnavailable(f"partition {position.partition}: {position.error.str()}")
            if position.offset >= 0:
                found[position.partition] = position.offset
        return found

    def retained(self, topic: str, numbers: Iterable[int]) -> tuple[dict[int, int], dict[int, int]]:
        """The first offset of each partition, and the offset behind its last record."""
        wanted = list(numbers)
        return self._ask(topic, wanted, _EARLIEST), self.ends(topic, wanted)

    def ends(self, topic: str, numbers: Iterable[int]) -> dict[int, int]:
        """The offset behind the last record of each partition, uncommitted ones included."""
        return self._ask(topic, numbers, _LATEST)

    def _ask(self, topic: str, numbers: Iterable[int], spec: Any) -> dict[int, int]:
        asked = {TopicPartition(topic, number): spec for number in numbers}
        if not asked:
            return {}
        if self._admin is None:
            self._admin = open_client(
                AdminClient, admin_config(self._settings, "projector"), ClientLog("projector.kafka")
            )
        try:
            answers = self._admin.list_offsets(
                asked,
                isolation_level=IsolationLevel.READ_UNCOMMITTED,
                request_timeout=ANSWER_SECONDS,
            )
            return {
                position.partition: answer.result(ANSWER_SECONDS + 1).offset
                for position, answer in answers.items()
            }
        except (KafkaException, TimeoutError) as error:
            # A client keeps the leader's epoch that it learned first. After a broker was away,
            # Kafka refuses that epoch (FENCED_LEADER_EPOCH). A new client learns the new epoch.
            self._admin = None
            if isinstance(error, TimeoutError):
                raise KafkaUnavailable(f"no offsets of {topic} in time") from error
            raise
