"""Writes by transactions: once records, views and the group's offsets together, or none of them.

The producer is this process' own, under a transactional id that nobody else has, and after an abort
another one under another id: a broker that is yet to end the last transaction refuses the next one
of that id, for as long as a partition in it has no leader. What fences a projector that was deposed
is its group: the offsets of a transaction are refused where the group has gone on without the
member that sends them (docs/decisions/0006-projector.md).

A record that Kafka refuses for good holds up nothing: it is asked for a smaller one
(`Out.smaller`), or left out. What librdkafka refuses by itself costs no transaction. A broker
refuses whole batches, so the transaction is aborted and done again in smaller batches, until the
record was sent alone.

A producer that does not return from a call is left behind with it (`mirror.base.bounded`): its
transaction is never committed, and the broker ends it by its age.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from mirror.base.bounded import BoundedCalls, Stuck
from mirror.base.errors import MirrorError
from mirror.base.log import logger
from mirror.kafka.config import ClientLog, explain, open_client, transactional_config
from mirror.kafka.faults import cause, is_refused
from mirror.settings import Settings

# Longer than a transaction may take: librdkafka's own time-outs come first.
CALL_SECONDS: Final = 20.0
# A call that has not returned by then is stuck: librdkafka's own time-out has passed.
RETURN_SECONDS: Final = CALL_SECONDS + 2.0
POLL_SECONDS: Final = 0.05
# How long a batch with records that brokers refuse is divided. What was found out is kept for the
# next attempt.
WRITE_SECONDS: Final = 60.0
DIVIDED: Final = 4
LEAST_PIECE: Final = 16_384
MOST_REFUSED: Final = 10_000

Headers = Sequence[tuple[str, Any]]


class Out:
    """One record to be written: to the partition of the record that it came from."""

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
        """Without `timestamp_ms` it has the time of its writing.

        `smaller` is called if Kafka refuses it for good. It returns what is written in its place,
        None if it is left out.
        """
        self.topic, self.partition, self.key, self.value = topic, partition, key, value
        self.headers, self.timestamp_ms, self.smaller = headers, timestamp_ms, smaller

    @property
    def size(self) -> int:
        """Its bytes, with key and headers."""
        parts = [self.key, self.value, *(part for header in self.headers or () for part in header)]
        return sum(len(part) for part in parts if part is not None)

    @property
    def mark(self) -> int:
        """The same for two records with the same content."""
        return hash((self.topic, self.partition, self.key, self.value, tuple(self.headers or ())))


class Aborted(Exception):
    """Nothing of the batch is written, or nobody knows yet whether it is (`is_doubtful`).

    `is_everywhere`: there is no producer now, so it is the fault of no partition.
    """

    def __init__(
        self,
        why: str,
        *,
        is_doubtful: bool = False,
        is_fenced: bool = False,
        is_everywhere: bool = False,
    ) -> None:
        super().__init__(why)
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
        self._refused: set[int] = set()  # marks of records that Kafka never takes
        self._pieces: dict[str, int] = {}  # topic → most bytes of a batch that its brokers took

    def write(self, records: Iterable[Out], offsets: list[TopicPartition], group: Any) -> None:
        """Write `records` and the `offsets` of the consumer `group` (its metadata) as one.

        Raises `Aborted`; what follows is then decided by the offset that Kafka has.
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
                log.info("transaction_divided", why=str(error))

    def _attempt(
        self,
        waiting: list[Out | None],
        offsets: list[TopicPartition],
        group: Any,
        pieces: Mapping[str, int],
        refused: list[tuple[Out, KafkaError]],
    ) -> None:
        """One transaction. Puts into `waiting` what is written instead, into `refused` what brokers
        refuse. Flushes before a batch of a topic has more bytes than its `pieces`.
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
        """End the batches that are under way where `record` would make its batch too large."""
        place, size = (record.topic, record.partition), record.size
        if batches.get(place, 0) and batches[place] + size > most:
            batches.clear()
            self._bounded(lambda: _flush(producer))
        batches[place] = batches.get(place, 0) + size

    def _takes(self, producer: Any, record: Out, refused: list[tuple[Out, KafkaError]]) -> bool:
        """Hand `record` over; false if Kafka takes it never."""
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
        """Note which records brokers refuse, and where it is yet to be found out, divide. Whether
        there were any.
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
                self._pieces[topic] = max(LEAST_PIECE, pieces[topic])
        return bool(batches)

    def _know(self, record: Out) -> None:
        if len(self._refused) >= MOST_REFUSED:
            self._refused.clear()
        self._refused.add(record.mark)

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


def _flush(producer: Any) -> None:
    """Have all that was produced answered."""
    if producer.flush(CALL_SECONDS):
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
