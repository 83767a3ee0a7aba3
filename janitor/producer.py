"""Produces the janitor's events, with the listeners' records, and waits for acknowledgements.

The janitor has no spool. Without an acknowledgement the work counts as not done: it is still
claimed or due in Redis, and will be done again, with the same ids. But a record that Kafka refuses
for good (too large, a broker's policy) would block its conversation or gap for ever. So it becomes
a dead letter, and the rest goes on. `mirror.kafka.faults` says whose fault a refusal is. A dead
letter that cannot be written now blocks nothing: it is logged. If brokers answer, but one partition
takes nothing, only its conversations have to wait.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from confluent_kafka import KafkaError, KafkaException, Producer

from mirror.base.errors import KafkaUnavailable, SettingsError
from mirror.base.log import logger
from mirror.base.thread_watch import ReportProgress, unwatched
from mirror.conversation.event import Event
from mirror.kafka import faults
from mirror.kafka.client import ClientLog, open_client
from mirror.kafka.config import producer_config
from mirror.kafka.limits import record_limit
from mirror.kafka.partition import partition
from mirror.kafka.polling import flush, serve
from mirror.kafka.record import Header, Record, Recorder, dead_letter, shorter
from mirror.settings import Settings

ACK_SECONDS: Final = 10.0
ANY_PARTITION: Final = -1  # librdkafka's constant
BROKER_SECONDS: Final = 5.0


class PartitionUnavailable(KafkaUnavailable):
    """One partition takes no events now. Others may."""

    def __init__(self, message: str, partition: int) -> None:
        super().__init__(message)
        self.partition = partition


class AckedProducer:
    """Sends the janitor's events to Kafka. Not thread-safe, but other threads may read the
    counters."""

    def __init__(
        self,
        settings: Settings,
        schemas: Mapping[str, Header] | None = None,
        report_progress: ReportProgress = unwatched,
        partitions: Mapping[str, int] | None = None,
    ) -> None:
        """`schemas`: topic → the header that names its schema (`mirror.kafka.registry`).

        `partitions`: topic → partitions for its keys (`mirror.fleet.pinned`); for other topics
        librdkafka decides.
        """
        self.produced = 0
        self.dead_letters = 0
        self.problem = ""  # why Kafka took nothing at the last attempt
        self._settings = settings
        self._report_progress = report_progress
        self._partitions = dict(partitions or {})
        schema = (schemas or {}).get(settings.topic)
        self._recorder = Recorder(settings.topic, settings.region, settings.encoding, schema)
        self._producer: Producer | None = None
        self._failed: KafkaError | None = None
        self._log = logger("janitor.kafka")

    def send(self, events: Sequence[Event], seconds: float = ACK_SECONDS) -> None:
        """Produce `events` in their order and return when Kafka has all of them.

        Records that Kafka refuses for good have become dead letters by then. Raises
        `KafkaUnavailable` if Kafka did not acknowledge within `seconds`; it may have some of them:
        `PartitionUnavailable` if that is the partition's fault. The events are of one conversation.
        """
        records = [self._recorder.record(event) for event in events]
        deadline = time.monotonic() + seconds
        if records and self._deliver(records, deadline) is not None:
            for record in records:  # a repeat is harmless: ids stay the same
                refusal = self._deliver([record], time.monotonic() + seconds)
                if refusal is not None:
                    self._dead_letter(record, refusal, time.monotonic() + seconds)
        self.produced += len(events)

    def partition_of(self, conversation_id: str) -> int:
        """The partition of a conversation's events; `ANY_PARTITION` if librdkafka decides."""
        return self._partition(self._settings.topic, conversation_id)

    def close(self) -> None:
        """Close the producer; it is empty between two calls of `send`."""
        self._producer = None

    def _dead_letter(self, record: Record, refusal: KafkaError, deadline: float) -> None:
        """Turn a refused record into a dead letter, as long as Kafka accepts."""
        self._log.error("record_refused", code=refusal.name(), bytes=len(record.value))
        letter: Record | None = dead_letter(
            self._settings.dead_letter_topic,
            record.value,
            source_topic=f"conversations/{record.key}",
            stage="produce",
            error=refusal.name(),
            message="Kafka refuses the record",
            listener="janitor",
            limit=record_limit(self._settings),
            mask=None,  # an event holds only what `MIRROR_PII` allows
        )
        try:
            while letter is not None and self._deliver([letter], deadline) is not None:
                letter = shorter(letter)
        except KafkaUnavailable as error:
            self._log.error("dead_letter_write_failed", error=error, bytes=len(record.value))
            return
        if letter is None:
            self._log.error("dead_letter_lost", bytes=len(record.value))
        self.dead_letters += 1

    def _deliver(self, records: Sequence[Record], deadline: float) -> KafkaError | None:
        """None if Kafka has all records; else the error by which it refuses one for good.

        Raises `KafkaUnavailable`.
        """
        self._report_progress()
        producer = self._producer = self._producer or self._make()
        self._failed = None
        try:
            for record in records:
                producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    partition=self._partition(record.topic, record.key),
                    on_delivery=self._report,
                    headers=record.headers,
                )
        except (BufferError, KafkaException) as error:
            self._failed = faults.cause(error)
            if self._failed is None:
                self._give_up(producer, str(error))
        try:
            waiting = flush(producer, deadline - time.monotonic())
        except KafkaException as error:
            self._failed = faults.cause(error)
            self._give_up(producer, _why(self._failed, records[0].topic))
        if self._failed is not None and faults.is_refused(self._failed):
            self._renew(producer)
            return self._failed
        if waiting or self._failed is not None:
            self._find_fault(producer, records[0])
        self.problem = ""
        return None

    def _partition(self, topic: str, key: str | None) -> int:
        count = self._partitions.get(topic, 0)
        return partition(key, count) if count and key is not None else ANY_PARTITION

    def _make(self) -> Producer:
        """Make a producer. If that fails (its CA's file is away), the work is tried again later."""
        try:
            return open_client(
                Producer,
                # `send` waits for each conversation: more records of a batch never come.
                {**producer_config(self._settings, "janitor"), "linger.ms": 0},
                ClientLog("janitor.kafka"),
            )
        except SettingsError as error:
            raise KafkaUnavailable(f"no Kafka producer can be made now: {error}") from error

    def _report(self, error: KafkaError | None, _message: Any) -> None:
        # The refusal of one record decides; other records may have failed only with it.
        if error is not None and (self._failed is None or not faults.is_refused(self._failed)):
            self._failed = error

    def _renew(self, producer: Producer) -> None:
        # A purged idempotent producer has a gap in its sequence: the next call makes a new one.
        producer.purge()
        serve(producer)
        self._producer = None

    def _find_fault(self, producer: Producer, record: Record) -> NoReturn:
        """Raise the error of a record that was not acknowledged: its partition's, or Kafka's.

        librdkafka waits for a partition that is away as it waits for Kafka, so a broker is asked.
        """
        why = _why(self._failed, record.topic)
        number = self._partition(record.topic, record.key)
        if number == ANY_PARTITION or (
            self._failed is not None and faults.judge(self._failed) not in {"partition", "foreign"}
        ):
            self._give_up(producer, why)
        self._report_progress()
        try:
            producer.list_topics(record.topic, timeout=BROKER_SECONDS)
        except KafkaException:
            self._give_up(producer, why)
        self._give_up(producer, why, number)

    def _give_up(self, producer: Producer, reason: str, partition: int = ANY_PARTITION) -> NoReturn:
        self._renew(producer)
        servers = self._settings.kafka.properties["bootstrap.servers"]
        if partition == ANY_PARTITION:
            self.problem = f"Kafka at {servers} does not take events: {reason}"
            raise KafkaUnavailable(self.problem)
        self.problem = ""  # a broker answers; callers report the partition
        raise PartitionUnavailable(
            f"Kafka at {servers} takes no events for partition {partition}: {reason}", partition
        )


def _why(error: KafkaError | None, topic: str) -> str:
    if error is None:
        return "no acknowledgement in time"
    return f"topic {topic}: {error.name()}: {error.str()}; {faults.step(error)}"
