"""Writes by transactions: once records, views and the group's offsets together, or none of them.

The producer is this process' own, under a transactional id that nobody else has, and after an abort
another one under another id: a broker that is yet to end the last transaction refuses the next one
of that id, for as long as a partition in it has no leader. What fences a projector that was deposed
is its group: the offsets of a transaction are refused where the group has gone on without the
member that sends them (docs/decisions/0006-projector.md).

A producer that does not return from a call is left behind with it (`mirror.base.bounded`): its
transaction is never committed, and the broker ends it by its age.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from mirror.base.bounded import BoundedCalls, Stuck
from mirror.base.log import logger
from mirror.kafka.config import ClientLog, explain, open_client, transactional_config
from mirror.kafka.faults import cause
from mirror.settings import Settings

# Longer than a transaction may take: librdkafka's own time-outs come first.
CALL_SECONDS: Final = 20.0
# A call that has not returned by then is stuck: librdkafka's own time-out has passed.
RETURN_SECONDS: Final = CALL_SECONDS + 2.0
POLL_SECONDS: Final = 0.05

Headers = Sequence[tuple[str, Any]]


class Out:
    """One record to be written: to the partition of the record that it came from."""

    __slots__ = ("headers", "key", "partition", "timestamp_ms", "topic", "value")

    def __init__(
        self,
        topic: str,
        partition: int,
        key: Any,
        value: bytes | None,
        headers: Headers | None,
        timestamp_ms: int = 0,
    ) -> None:
        """Without `timestamp_ms` it has the time of its writing."""
        self.topic, self.partition, self.key, self.value = topic, partition, key, value
        self.headers, self.timestamp_ms = headers, timestamp_ms


class Aborted(Exception):
    """Nothing of the batch is written, or nobody knows yet whether it is (`is_doubtful`)."""

    def __init__(self, why: str, *, is_doubtful: bool = False, is_fenced: bool = False) -> None:
        super().__init__(why)
        self.is_doubtful = is_doubtful
        self.is_fenced = is_fenced


_DEPOSED: Final = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError._FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.PRODUCER_FENCED,
    }
)


class Writer:
    """The producer, made anew where a transaction left it unfit."""

    def __init__(
        self,
        settings: Settings,
        transactional_id: str,
        make: Callable[..., Any] = Producer,
        return_seconds: float = RETURN_SECONDS,
    ) -> None:
        """A call that takes longer than `return_seconds` is given up, and its producer with it."""
        self._settings = settings
        self._return_seconds = return_seconds
        self._calls = BoundedCalls()
        self._id = transactional_id
        self._made = 0
        self._make = make
        self._log = ClientLog("projector.kafka")
        self._producer: Any = None

    def write(self, records: Iterable[Out], offsets: list[TopicPartition], group: Any) -> None:
        """Write `records` and the `offsets` of the consumer `group` (its metadata) as one.

        Raises `Aborted`; what follows is then decided by the offset that Kafka has.
        """
        is_sure = True
        try:
            producer = self._ready()
            producer.begin_transaction()
            for record in records:
                self._produce(producer, record)
            self._bounded(
                lambda: producer.send_offsets_to_transaction(offsets, group, CALL_SECONDS)
            )
            is_sure = False
            self._retried(producer.commit_transaction)
        except KafkaException as error:
            raise self._abort(error, is_sure=is_sure) from error
        except Stuck as error:
            self._producer = None
            raise Aborted(str(error), is_doubtful=not is_sure) from error

    def close(self) -> None:
        """Let go of the producer; a transaction that is open is aborted."""
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                producer.abort_transaction(1.0)
            except KafkaException:
                return  # none was open, or the broker ends it by itself

    def _ready(self) -> Any:
        if self._producer is None:
            self._made += 1
            identity = f"{self._id}-{self._made}"
            config = transactional_config(self._settings, "projector", identity)
            producer = open_client(self._make, config, self._log)
            self._retried(producer.init_transactions)
            self._producer = producer
        return self._producer

    def _produce(self, producer: Any, record: Out) -> None:
        deadline = time.monotonic() + CALL_SECONDS
        while True:
            try:
                producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    record.partition,
                    timestamp=record.timestamp_ms,
                    headers=record.headers,
                )
                return
            except BufferError as error:
                if time.monotonic() >= deadline:
                    raise KafkaException(KafkaError(KafkaError._QUEUE_FULL)) from error
                producer.poll(POLL_SECONDS)

    def _abort(self, error: KafkaException, *, is_sure: bool) -> Aborted:
        """What became of it. Afterwards the producer is gone."""
        reason = cause(error)
        why = str(error) if reason is None else explain(reason)
        is_fenced = reason is not None and reason.code() in _DEPOSED
        # A commit that Kafka answers with a refusal is none; one without an answer may be one.
        refused = reason is not None and (reason.txn_requires_abort() or is_fenced)
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                self._retried(producer.abort_transaction)
            except (KafkaException, Stuck) as failed:
                # The broker ends it by its age; until then who reads what is committed waits.
                logger("projector").warning("abort_failed", why=str(failed))
        return Aborted(why, is_doubtful=not (is_sure or refused), is_fenced=is_fenced)

    def _retried(self, call: Callable[[float], object]) -> None:
        """Call, again and again where librdkafka says that the answer is only late."""
        deadline = time.monotonic() + CALL_SECONDS
        while True:
            try:
                self._bounded(lambda: call(CALL_SECONDS))
                return
            except KafkaException as error:
                reason = cause(error)
                if reason is None or not reason.retriable() or time.monotonic() >= deadline:
                    raise
                time.sleep(POLL_SECONDS)

    def _bounded(self, call: Callable[[], object]) -> None:
        self._calls.make(call, self._return_seconds)
