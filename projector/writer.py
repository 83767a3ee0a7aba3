"""Writes in transactions: once records, views and the group's offsets together, or none of them.

Each process has a producer with a transactional id of its own. After an abort it makes a new
producer with a new id, because a broker refuses the next transaction of an id until the last one
has ended, and the last one cannot end while one of its partitions has no leader. The group fences a
deposed projector: Kafka refuses the offsets of a transaction if the group has gone on without the
member that sends them (docs/decisions/0006-projector.md).

A record that Kafka refuses for good does not stop the others. It is replaced by a smaller record
(`Out.smaller`) or left out. If librdkafka itself refuses the record, no transaction is lost. A
broker refuses whole batches. Then the transaction is aborted and tried again in smaller batches,
until the refused record is sent alone.

A producer that does not return from a call is abandoned (`mirror.base.bounded`). Its transaction is
never committed, and the broker ends it after its time-out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from mirror.base.bounded import BoundedCalls, Stuck
from mirror.base.errors import MirrorError
from mirror.base.log import logger
from mirror.kafka.client import ClientLog, explain, open_client
from mirror.kafka.config import transactional_config
from mirror.kafka.faults import cause, is_refused
from mirror.kafka.polling import flush
from mirror.settings import Settings

# Longer than a transaction may take, so that librdkafka's own time-outs come first.
CALL_SECONDS: Final = 20.0
# A call that takes longer is stuck: librdkafka's own time-out has passed.
RETURN_SECONDS: Final = CALL_SECONDS + 2.0
POLL_SECONDS: Final = 0.05
# How long a batch with refused records is divided. The next attempt knows what was found.
WRITE_SECONDS: Final = 60.0
DIVIDED: Final = 4
LEAST_PIECE_BYTES: Final = 16_384
MOST_REFUSED: Final = 10_000

Headers = Sequence[tuple[str, Any]]


class Out:
    """A record to be written, to the partition of the record from which it was made."""

    __slots__ = ("headers", "key", "partition", "smaller", "timestamp_ms", "topic", "value")

    def __init__(
        self,
        topic: str,
        partition: int,
        key: Any,
        value: bytes | None,
        headers: Headers | None,
        timestamp_ms: int = 0,
        smaller: Callable[[], Out | None] = lambda: None,
    ) -> None:
        """Without `timestamp_ms`, the record gets the time of writing.

        `smaller` is called if Kafka refuses the record for good. It returns the record to write
        instead, or None to leave it out.
        """
        self.topic, self.partition, self.key, self.value = topic, partition, key, value
        self.headers, self.timestamp_ms, self.smaller = headers, timestamp_ms, smaller

    @property
    def size(self) -> int:
        """The bytes of value, key and headers."""
        parts = [self.key, self.value, *(part for header in self.headers or () for part in header)]
        return sum(len(part) for part in parts if part is not None)

    @property
    def mark(self) -> int:
        """An identity: equal for records with the same content."""
        return hash((self.topic, self.partition, self.key, self.value, tuple(self.headers or ())))


class Aborted(Exception):
    """The batch was not written, or it is not known yet whether it was (`is_doubtful`).

    `is_everywhere`: there is no producer now, so no single partition is at fault.
    """

    def __init__(
        self,
        reason: str,
        *,
        is_doubtful: bool = False,
        is_fenced: bool = False,
        is_everywhere: bool = False,
    ) -> None:
        super().__init__(reason)
        self.is_everywhere = is_everywhere
        self.is_doubtful = is_doubtful
        self.is_fenced = is_fenced


_BY_SIZE: Final = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.RECORD_LIST_TOO_LARGE,
    }
)
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
    """The producer. Another one is made after a transaction that left it unusable."""

    def __init__(
        self,
        settings: Settings,
        transactional_id: str,
        make: Callable[..., Any] = Producer,
        return_seconds: float = RETURN_SECONDS,
    ) -> None:
        """A call that takes longer than `return_seconds` is abandoned together with its
        producer."""
        self._settings = settings
        self._return_seconds = return_seconds
        self._calls = BoundedCalls()
        self._id = transactional_id
        self._made = 0
        self._make = make
        self._log = ClientLog("projector.kafka")
        self._producer: Any = None
        self._refused: set[int] = set()  # marks of records that Kafka never accepts
        self._pieces: dict[str, int] = {}  # topic → most bytes of a batch that its brokers accept

    def write(self, records: Iterable[Out], offsets: list[TopicPartition], group: Any) -> None:
        """Write `records` and the `offsets` of the consumer `group` (its metadata) in one
        transaction.

        Raises `Aborted`. Then the offset in Kafka decides where to go on.
        """
        waiting: list[Out | None] = list(records)
        pieces = dict(self._pieces)
        deadline = time.monotonic() + WRITE_SECONDS
        while True:
            refused: list[tuple[Out, KafkaError]] = []
            try:
                self._attempt(waiting, offsets, group, pieces, refused)
                return
            except Aborted as error:
                is_over = error.is_fenced or error.is_doubtful or time.monotonic() >= deadline
                if not self._learn(refused, pieces) or is_over:
                    raise
                log = logger("projector")
                log.info("transaction_divided", reason=str(error))

    def _attempt(
        self,
        waiting: list[Out | None],
        offsets: list[TopicPartition],
        group: Any,
        pieces: Mapping[str, int],
        refused: list[tuple[Out, KafkaError]],
    ) -> None:
        """Try one transaction. Adds replacing records to `waiting`, and records that brokers refuse
        to `refused`. Flushes before a batch of a topic would have more bytes than its `pieces`.
        """
        is_sure = True
        try:
            producer = self._ready()
            producer.begin_transaction()
            batches: dict[tuple[str, int], int] = {}
            for number, record in enumerate(waiting):
                while record is not None:
                    if record.topic in pieces:
                        self._divide(producer, record, pieces[record.topic], batches)
                    if refused:
                        raise KafkaException(refused[0][1])
                    if self._takes(producer, record, refused):
                        break
                    record = record.smaller()
                waiting[number] = record
            self._bounded(
                lambda: producer.send_offsets_to_transaction(offsets, group, CALL_SECONDS)
            )
            is_sure = False
            self._retried(producer.commit_transaction)
        except KafkaException as error:
            raise self._abort(error, is_sure=is_sure) from error
        except MirrorError as error:  # no producer can be made now
            raise Aborted(str(error), is_everywhere=True) from error
        except Stuck as error:
            self._producer = None
            raise Aborted(str(error), is_doubtful=not is_sure) from error

    def _divide(
        self, producer: Any, record: Out, most: int, batches: dict[tuple[str, int], int]
    ) -> None:
        """Flush the open batches if `record` would make its batch too large."""
        place, size = (record.topic, record.partition), record.size
        if batches.get(place, 0) and batches[place] + size > most:
            batches.clear()
            self._bounded(lambda: _flush(producer))
        batches[place] = batches.get(place, 0) + size

    def _takes(self, producer: Any, record: Out, refused: list[tuple[Out, KafkaError]]) -> bool:
        """Hand `record` to librdkafka. Returns False if Kafka never accepts it."""
        if self._refused and record.mark in self._refused:
            return False
        try:
            self._produce(producer, record, refused)
        except KafkaException as error:
            reason = cause(error)
            if reason is None or reason.txn_requires_abort() or not is_refused(reason):
                raise
            self._know(record)
            return False
        return True

    def _learn(self, refused: Iterable[tuple[Out, KafkaError]], pieces: dict[str, int]) -> bool:
        """Note the records that brokers refuse. If a whole batch was refused, make the next batches
        smaller. Returns whether there were any.
        """
        batches: dict[tuple[str, int], list[tuple[Out, KafkaError]]] = {}
        for record, error in refused:
            if is_refused(error):
                batches.setdefault((record.topic, record.partition), []).append((record, error))
        for (topic, _), batch in batches.items():
            if len(batch) == 1:
                self._know(batch[0][0])
                continue
            size = sum(record.size for record, _ in batch)
            pieces[topic] = min(pieces.get(topic, size), size) // DIVIDED
            if any(error.code() in _BY_SIZE for _, error in batch):
                self._pieces[topic] = max(LEAST_PIECE_BYTES, pieces[topic])
        return bool(batches)

    def _know(self, record: Out) -> None:
        if len(self._refused) >= MOST_REFUSED:
            self._refused.clear()
        self._refused.add(record.mark)

    def close(self) -> None:
        """Abort an open transaction, and drop the producer."""
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                producer.abort_transaction(1.0)
            except KafkaException:
                return  # no transaction was open, or the broker ends it by itself

    def _ready(self) -> Any:
        if self._producer is None:
            self._made += 1
            identity = f"{self._id}-{self._made}"
            config = transactional_config(self._settings, "projector", identity)
            producer = open_client(self._make, config, self._log)
            self._retried(producer.init_transactions)
            self._producer = producer
        return self._producer

    def _produce(self, producer: Any, record: Out, refused: list[tuple[Out, KafkaError]]) -> None:
        def report(error: KafkaError | None, _message: Any) -> None:
            if error is not None:
                refused.append((record, error))

        deadline = time.monotonic() + CALL_SECONDS
        while True:
            try:
                producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    record.partition,
                    on_delivery=report,
                    timestamp=record.timestamp_ms,
                    headers=record.headers,
                )
                return
            except BufferError as error:
                if time.monotonic() >= deadline:
                    raise KafkaException(KafkaError(KafkaError._QUEUE_FULL)) from error
                producer.poll(POLL_SECONDS)

    def _abort(self, error: KafkaException, *, is_sure: bool) -> Aborted:
        """Abort the transaction, drop the producer, and say what became of the transaction."""
        reason = cause(error)
        text = explain(error)
        is_fenced = reason is not None and reason.code() in _DEPOSED
        # A refused commit did not happen; a commit without an answer may have happened.
        refused = reason is not None and (reason.txn_requires_abort() or is_fenced)
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                self._retried(producer.abort_transaction)
            except (KafkaException, Stuck) as failed:
                # The broker ends it after its time-out. Until then consumers of committed records
                # wait.
                logger("projector").warning("abort_failed", reason=str(failed))
        return Aborted(text, is_doubtful=not (is_sure or refused), is_fenced=is_fenced)

    def _retried(self, call: Callable[[float], object]) -> None:
        """Call `call`, and again as long as librdkafka says that the answer is only late."""
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


def _flush(producer: Any) -> None:
    """Wait until Kafka has answered for all produced records."""
    if flush(producer, CALL_SECONDS):
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
