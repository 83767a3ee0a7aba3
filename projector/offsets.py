"""Asks Kafka for offsets: the group's, and what partitions retain.

`Offsets.ask` judges each partition by itself, so a partition without a leader holds up no other.
Every method raises `KafkaException` or `KafkaUnavailable` if Kafka does not answer in time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # not in its `__all__`
    AdminClient,
    OffsetSpec,
)

from mirror.base.errors import KafkaUnavailable
from mirror.kafka.client import ClientLog, explain, open_client
from mirror.kafka.config import admin_config
from mirror.kafka.partition import leaderless
from mirror.settings import Settings

ANSWER_SECONDS: Final = 5.0
_EARLIEST: Final = OffsetSpec.earliest()  # type: ignore[no-untyped-call] # its own fault
_LATEST: Final = OffsetSpec.latest()  # type: ignore[no-untyped-call]


class Bounds(msgspec.Struct, frozen=True):
    """The offsets of one partition. `committed` is the group's, or None.

    `low` is the first offset that Kafka retains, `high` the offset behind the last record. `end` is
    the offset behind the last record of the conversations, uncommitted ones included.
    """

    committed: int | None
    low: int
    high: int
    end: int


class Offsets:
    """The requests of one process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.topic
        self._admin: Any = None

    def ask(
        self, consumer: Any, numbers: Iterable[int]
    ) -> tuple[dict[int, Bounds], dict[int, str]]:
        """The offsets of each partition, and for the other partitions why they are not known."""
        views = self._settings.conversations_topic
        wanted, without = set(numbers), self._leaderless(self._topic) | self._leaderless(views)
        unknown = dict.fromkeys(wanted & without, "it has no leader")
        client = self._client()  # lives until all have answered
        # The group's offsets first. Once they are settled, the ends that a restore must reach are
        # too.
        committed, unsettled = self._committed(consumer, wanted - without)
        unknown |= unsettled
        # A request for several partitions is answered only if each of them has a leader.
        asked = {
            number: (
                _request(client, self._topic, {number}, _EARLIEST),
                _request(client, self._topic, {number}, _LATEST),
                _request(client, views, {number}, _LATEST),
            )
            for number in wanted - unknown.keys()
        }
        deadline = time.monotonic() + ANSWER_SECONDS + 1
        found: dict[int, Bounds] = {}
        for number, requests in asked.items():
            try:
                low, high, end = (
                    self._answer(request[number], max(0.0, deadline - time.monotonic()))
                    for request in requests
                )
            except KafkaException as error:
                unknown[number] = explain(error)
            except KafkaUnavailable as error:
                unknown[number] = str(error)
            else:
                found[number] = Bounds(committed.get(number), low, high, end)
        return found, unknown

    def committed(self, consumer: Any, numbers: Iterable[int]) -> dict[int, int]:
        """The group's offsets, of partitions that have one.

        These offsets are settled: Kafka answers only when no open transaction is about to move
        them.
        """
        found, failed = self._committed(consumer, numbers)
        for number, reason in failed.items():
            raise KafkaUnavailable(f"partition {number}: {reason}")
        return found

    def ends(self, topic: str, numbers: Iterable[int]) -> dict[int, int]:
        """The offset behind the last record of each partition, uncommitted ones included."""
        answers = _request(self._client(), topic, numbers, _LATEST)
        return {
            number: self._answer(answer, ANSWER_SECONDS + 1) for number, answer in answers.items()
        }

    def _committed(
        self, consumer: Any, numbers: Iterable[int]
    ) -> tuple[dict[int, int], dict[int, str]]:
        found: dict[int, int] = {}
        failed: dict[int, str] = {}
        asked = [TopicPartition(self._topic, number) for number in numbers]
        if not asked:
            return found, failed
        for position in consumer.committed(asked, timeout=ANSWER_SECONDS):
            if position.error is not None:
                failed[position.partition] = explain(position.error)
            elif position.offset >= 0:
                found[position.partition] = position.offset
        return found, failed

    def _leaderless(self, topic: str) -> set[int]:
        """The partitions that have no leader now: a request to them would only cost time."""
        described = self._client().list_topics(topic, timeout=ANSWER_SECONDS).topics[topic]
        return leaderless(described.partitions)

    def _answer(self, answer: Any, seconds: float) -> int:
        try:
            return int(answer.result(seconds).offset)
        except (KafkaException, TimeoutError) as error:
            # A client keeps the leader's epoch that it learned first. After a broker was away,
            # Kafka refuses that epoch (FENCED_LEADER_EPOCH). A new client learns the new epoch.
            self._admin = None
            if isinstance(error, TimeoutError):
                raise KafkaUnavailable("no answer in time") from error
            raise

    def _client(self) -> Any:
        if self._admin is None:
            self._admin = open_client(
                AdminClient, admin_config(self._settings, "projector"), ClientLog("projector.kafka")
            )
        return self._admin


def _request(client: Any, topic: str, numbers: Iterable[int], spec: Any) -> dict[int, Any]:
    """Partition → the future answer."""
    asked = {TopicPartition(topic, number): spec for number in numbers}
    if not asked:
        return {}
    answers = client.list_offsets(
        asked, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=ANSWER_SECONDS
    )
    return {position.partition: answer for position, answer in answers.items()}
