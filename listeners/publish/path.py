"""Chooses the way of each record: straight to Kafka, into memory for a moment, or into the spool.

    no older record of its lane waits                  given to the producer in use
    the last stored records of its lane are in flight  waits in memory, behind them (`pauses`)
    otherwise                                          handed to the spool's thread (`keeper`)

Every record has a sequence number. When a lane fails, the producer in use is retired
(`listeners.publish.direct`). The path takes back the records that this producer did not deliver,
and stores them under their numbers. So no record overtakes an older record of its conversation. All
methods belong to one thread, and no method waits for Kafka or the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MethodType
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException

from listeners.counters import Counters
from listeners.publish.direct import Direct
from listeners.publish.keeper import Keeper
from listeners.publish.lanes import Lane
from listeners.publish.latency import Latency
from listeners.publish.pauses import Pauses
from mirror.base.log import logger
from mirror.conversation.event import Event
from mirror.kafka import faults
from mirror.kafka.partition import partition
from mirror.kafka.record import NativeRecord, Record, Recorder, UndecodableRecord, read_event

PAUSE_SECONDS: Final = 0.5
# librdkafka's constants. ANY_PARTITION: librdkafka chooses the partition from the key, for topics
# whose number of partitions is not known yet. NOW: the record's time is the present.
ANY_PARTITION: Final = -1
NOW: Final = 0
MOST_HANDED: Final = 5_000  # records that were taken back and are not on disk yet
SLICE_RECORDS: Final = 400  # records that one call takes back


class Path:
    """Decides on the way of each record."""

    def __init__(
        self,
        recorder: Recorder,
        keeper: Keeper,
        direct: Direct,
        latency: Latency,
        counters: Counters,
        clock: Callable[[], float],
    ) -> None:
        """`direct` may have a producer already."""
        self.sequence = 0
        self.pauses = Pauses()
        self.released_at = clock()  # when all records of the last producer had been taken back
        self._recorder = recorder
        self._keeper = keeper
        self._store = keeper.store
        self._letters = keeper.letters
        self._direct = direct
        self._latency = latency
        self._counters = counters
        self._clock = clock
        self._latest: NativeRecord | None = None  # the latest since the last mark
        self._produce: Callable[..., None]
        self._is_open = False  # whether the store has no record of the events' topic
        self._kept = 0  # records ever given to the store
        self._shut: frozenset[str] = frozenset()  # topics that cannot be written
        self._log = logger("listener.publisher")
        self._note_direct()
        self.note_open()

    def events(self, events: list[Event]) -> None:
        """Take the events of one frame, which are of one conversation."""
        if not self._is_open:
            for event in events:
                self.send(self._recorder.record(event))
            return
        recorder = self._recorder
        topic, encode, headers = recorder.topic, recorder.encode, recorder.headers
        produce = self._produce
        count = self._store.placed.get(topic, 0)
        key = events[0].conversation_id
        number = partition(key, count) if count else ANY_PARTITION
        failed = self._failed
        for index, event in enumerate(events, 1):
            self.sequence = sequence = self.sequence + 1
            try:
                # Positional arguments: keyword arguments cost a third of the call. A bound method
                # is the cheapest callable that knows its record's number.
                produce(
                    topic,
                    encode(event),
                    key,
                    number,
                    MethodType(failed, sequence),
                    None,
                    NOW,
                    headers(event),
                )
            except (BufferError, KafkaException) as error:
                self._not_taken(sequence, recorder.record(event), error)
                if index < len(events):
                    self.events(events[index:])
                return

    def records(self, records: list[NativeRecord]) -> None:
        """Like `events`, for records that are encoded already."""
        self._latest = records[-1]
        topic = self._recorder.topic
        if not self._is_open:
            for value, key, headers, _ in records:
                self.send(Record(topic, key, value, headers))
            return
        produce = self._produce
        count = self._store.placed.get(topic, 0)
        failed = self._failed
        for index, (value, key, headers, spread) in enumerate(records, 1):
            self.sequence = sequence = self.sequence + 1
            number = spread % count if count else ANY_PARTITION
            try:
                report = MethodType(failed, sequence)
                produce(topic, value, key, number, report, None, NOW, headers)
            except (BufferError, KafkaException) as error:
                self._not_taken(sequence, Record(topic, key, value, headers), error)
                if index < len(records):
                    self.records(records[index:])
                return

    def mark_records(self, read_at: float) -> None:
        """Like `mark`, for the input of `records` since the last mark."""
        latest, self._latest = self._latest, None
        if latest is not None and self._direct.producer is not None:
            self._latency.mark_record(self._entered(), read_at, latest)

    def mark(self, read_at: float, latest: Event) -> None:
        """All events since the last mark were read at `read_at`; `latest` is the last of them."""
        self._latest = None
        if self._direct.producer is not None:
            self._latency.mark(self._entered(), read_at, latest)

    def send(self, record: Record) -> None:
        """Send any record on the way that is open to it."""
        self.sequence = sequence = self.sequence + 1
        with self._store.lock:  # lanes must not change between the decision and its effect
            lane = self._store.lane(record, sequence)
            if self._direct.producer is None:
                self._keep(sequence, record, lane)
                return
            if self.pauses:
                self._store_paused(self.pauses.misplaced(lane))
            if self.pauses.has(lane) or self._is_held(lane):
                if not self._pause(sequence, record, lane):
                    self._keep(sequence, record, lane)
                return
        self._give(sequence, record, lane)

    def _give(self, sequence: int, record: Record, lane: Lane) -> None:
        """Send a record straight to Kafka."""
        try:
            self._produce(
                record.topic,
                record.value,
                record.key,
                partition=lane.partition,
                on_delivery=partial(self._failed_record, sequence, record),
                headers=record.headers,
            )
        except (BufferError, KafkaException) as error:
            self._not_taken(sequence, record, error)

    def _pause(self, sequence: int, record: Record, lane: Lane) -> bool:
        """Let a record wait for the lane's last stored records; False if it must be stored."""
        if lane.topic in self._shut and not self.pauses.has(lane):
            return False  # no older record of the lane may be left in memory
        left, now = self._store.waiting.get(lane, 0), self._clock()
        self._is_open = self._is_open and lane.topic != self._recorder.topic
        return self.pauses.take(lane, sequence, record, left, self._keeper.acked_at, now)

    def resume(self, now: float) -> None:
        """Send the paused records of lanes without older ones; store those that paused in vain."""
        for lane in self.pauses.over(self._store.waiting, now):
            # A record that librdkafka does not take ends the pauses of all lanes.
            for sequence, record in self.pauses.end(lane):
                with self._store.lock:
                    place = self._store.lane(record, sequence)
                    is_stored = self._direct.producer is None or self._is_held(place)
                    if is_stored:
                        self._keep(sequence, record, place)
                if not is_stored:
                    self._give(sequence, record, place)

    def _store_paused(self, lanes: list[Lane]) -> None:
        for lane in lanes:
            for sequence, record in self.pauses.end(lane):
                with self._store.lock:
                    self._keep(sequence, record, self._store.lane(record, sequence))

    def _is_held(self, lane: Lane) -> bool:
        """Whether new records of a lane must wait, because the store has older ones."""
        waiting = self._store.waiting
        if not waiting:
            return False
        # All records of a topic wait if the topic cannot be written, or if the partition of one of
        # its stored records is unknown.
        if lane.topic in self._shut or Lane(lane.topic) in waiting:
            return True
        return (
            lane in waiting
            if lane.place
            else any(waiting_lane.topic == lane.topic for waiting_lane in waiting)
        )

    def _may_open(self, now: float) -> bool:
        """Whether Kafka takes records again, or no stored record is left to try."""
        acked_at = self._keeper.acked_at
        if acked_at is not None and acked_at > self._direct.retired_at:
            return True
        return not self._store.waiting and now >= self._direct.retired_at + PAUSE_SECONDS

    def reopen(self, now: float) -> None:
        """Start using a producer if there is none and Kafka takes records again."""
        if self._direct.reopen(now, may_make=self._may_open(now)):
            self._note_direct()
            self._log.info("producer_recovered", waiting=sum(self.waiting().values()))

    def _note_direct(self) -> None:
        if self._direct.producer is not None:
            self._produce = self._direct.producer.produce
            self._latency.begin(self._entered())

    def note_open(self) -> None:
        """Note whether events may go straight to Kafka without checking their lane."""
        is_direct = self._direct.producer is not None
        if not self._store.waiting:
            self._shut = frozenset()
            self._is_open = is_direct and not self.pauses
            return
        self._shut = frozenset(
            problem.topic for problem in self._keeper.problems if problem.kind == "topic"
        )
        topic = self._recorder.topic
        self._is_open = (
            is_direct
            and not self.pauses
            and topic not in self._shut
            and all(lane.topic != topic for lane in self.waiting())
        )

    def waiting(self) -> Mapping[Lane, int]:
        """Lane → waiting records. A copy: the spool's thread changes the original."""
        with self._store.lock:
            return dict(self._store.waiting)

    def _entered(self) -> int:
        """The number of records given to direct producers, without those taken back."""
        return self.sequence - self._kept - self.pauses.count

    def judge(self, now: float) -> None:
        """Retire the producer if a delivery failed or a lane stands still."""
        waiting = self._direct.under_way
        acked = self._entered() - waiting
        self._latency.acknowledged(acked, now)
        reason = self._direct.why_not(waiting, acked, now)
        if reason:
            self.set_aside(reason, now)

    def set_aside(self, reason: str, now: float) -> None:
        """Retire the direct producer: unacknowledged records go to the store."""
        self._keeper.hold()
        self._direct.set_aside(reason, now)
        del self._produce
        self._is_open = False
        self._store_paused(self.pauses.lanes())
        self._latency.begin(self._entered())
        self._counters.outages += 1

    def retire(self, now: float, *, hurry: bool = False) -> None:
        """Continue the retirement of a producer. `hurry`: healthy lanes get no more time."""
        if self._store.handed > MOST_HANDED:
            return  # the disk is behind; the rest is just as safe in memory here
        reports = self._direct.reports
        for _ in range(min(SLICE_RECORDS, len(reports))):
            sequence, record, message = reports.popleft()
            self._counters.failed += 1
            self._take_back(sequence, record or self._record_of(sequence, message))
        if self._direct.retire(now, hurry=hurry):
            self.released_at = self._clock()
            self._keeper.release(self._direct.suspects)
            self._direct.suspects = []

    def _keep(self, sequence: int, record: Record, lane: Lane) -> None:
        self._kept += 1
        self._keeper.keep(sequence, record, lane, self._clock())
        if record.topic == self._recorder.topic:
            self._is_open = False

    def _take_back(self, sequence: int, record: Record) -> None:
        """Store an undelivered record: the producer may still have older ones of its lane."""
        self._keeper.hold()
        with self._store.lock:
            self._keep(sequence, record, self._store.lane(record, sequence))

    def _not_taken(self, sequence: int, record: Record, error: Exception) -> None:
        """`produce` refused a record at once."""
        cause = faults.cause(error)
        if cause is not None and faults.is_refused(cause):
            letter = self._letters.of_record(record, cause)
            if letter is not None:
                self.send(letter)
            return
        self._take_back(sequence, record)
        reason = cause.str() if cause is not None else "librdkafka's queue is full"
        self.set_aside(reason, self._clock())

    def _failed(self, sequence: int, error: KafkaError | None, message: Any) -> None:
        """The delivery report of a failed event."""
        self._failed_record(sequence, None, error, message)

    def _failed_record(
        self, sequence: int, record: Record | None, error: KafkaError | None, message: Any
    ) -> None:
        direct = self._direct
        if not direct.reports:
            self._keeper.hold()
        # A record that our own purge failed has no error. Any other error retires the producer. In
        # both cases the hold ends when the producer is gone.
        is_ours = direct.retiring is not None
        direct.failed((sequence, record, message), None if is_ours else error)

    def _record_of(self, sequence: int, message: Any) -> Record:
        """The record of a failed event. Its headers follow from its value."""
        value = message.value() or b""
        try:
            headers = self._recorder.headers(read_event(value))
        except UndecodableRecord:  # we encoded it: only a bug gets here, and the event comes first
            self._log.error("spooled_without_headers", sequence=sequence)
            headers = [self._recorder.content_type]
        key = message.key()
        key = key.decode() if isinstance(key, bytes) else key
        return Record(message.topic(), key, value, headers)
