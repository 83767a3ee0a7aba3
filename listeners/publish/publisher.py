"""Gives records to Kafka in order, and to the spool what Kafka cannot take now.

    a lane       with nothing in the store: its records go straight to librdkafka
                 with anything in the store: they go there too, and `listeners.publish.drain` sends
                 them

A lane is a partition of a topic (`listeners.publish.lanes`). Only what one lane has waiting holds
up what is newer in it: topics and partitions do not wait for each other.

    direct ──(a lane stands still, a report failed, queue full)──▶ retiring ──▶ spooling ──▶ direct

Every record has a sequence number. When a lane fails, the direct producer is retired: nothing more
is given to it, the lanes that are well empty themselves, and what is left is taken back and stored
under its numbers, so that no record overtakes an older one of its conversation. The drain sends it
on with a producer of its own; as soon as Kafka takes any of it there is a direct producer again,
for all lanes that have nothing in the store. What may have reached Kafka unacknowledged is sent
again; consumers drop repeated ids. A producer that was purged is never used again: its successor
begins with sequence numbers of its own at the broker.

Success is not reported record by record on the direct way: librdkafka's statistics tell how far
each lane is. A record that Kafka refuses for good becomes a dead letter.

All methods belong to one thread, and none but `stop` waits; what there is much of is taken in
slices.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Literal

import msgspec
from confluent_kafka import KafkaError, KafkaException, Producer

from listeners.counters import Counters
from listeners.publish.drain import STATISTICS_MS as DRAIN_STATISTICS_MS
from listeners.publish.drain import Drain
from listeners.publish.extent import Lost
from listeners.publish.lanes import SAMPLE_EVERY_MS, STALL, Lane, LaneWatch, lane_of, places
from listeners.publish.latency import Latency
from listeners.publish.producers import Producers, let_go, purge
from listeners.publish.spool import SpoolError
from listeners.publish.store import Store
from listeners.publish.waits import reasons
from mirror.base.log import logger
from mirror.conversation.agent_event import AgentEvent
from mirror.conversation.event import Event
from mirror.conversation.masking import Mask
from mirror.kafka import faults
from mirror.kafka.limits import record_limit
from mirror.kafka.record import (
    AgentRecorder,
    EventReader,
    Header,
    Record,
    Recorder,
    UndecodableRecord,
    dead_letter,
    shorter,
)
from mirror.settings import Settings

# A retired producer: how long the lanes that are well may empty themselves, and when they have.
GRACE: Final = 1.0
QUIET: Final = 0.1
SLICE: Final = 400  # failed reports taken in one go
PAUSE: Final = 0.5
CANDIDATE: Final = 30.0  # how long a producer may wait for its number at the brokers
LAST_LOOK: Final = 1.0  # while stopping: without any progress for so long there will be none
# As librdkafka has them: the key chooses the partition, and the record's time is that of now.
ANY_PARTITION: Final = -1
NOW: Final = 0
MOST_NAMED: Final = 5
TAKE_BACK: Final = 4.0
WAIT: Final = 0.01

Mode = Literal["direct", "partly", "spooling"]


class _Enough(Exception):
    """A slice of reports is taken: librdkafka keeps the rest for the next poll."""


class _Direct(msgspec.Struct, frozen=True):
    """A producer for the direct way, and what watches its lanes."""

    producer: Producer
    watch: LaneWatch


class Publisher:
    """The way of records to Kafka."""

    def __init__(
        self,
        settings: Settings,
        listener: str,
        counters: Counters,
        *,
        schemas: Mapping[str, Header] | None = None,
        partitions: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`schemas`: topic → the header that names its schema (`mirror.kafka.registry`).

        `partitions`: topic → how many it has, as far as that is known; statistics tell the rest.
        Raises `SpoolError` where the spool folder cannot be used.
        """
        now = clock()
        self._settings = settings
        self._listener = listener
        self._counters = counters
        self._clock = clock
        self._log = logger("listener.publisher")
        schemas = schemas or {}
        region, encoding = settings.region, settings.encoding
        self._recorder = Recorder(settings.topic, region, encoding, schemas.get(settings.topic))
        self._agents = AgentRecorder(
            settings.agents_topic, region, encoding, schemas.get(settings.agents_topic)
        )
        self._reader = EventReader()
        self._record_limit = record_limit(settings)
        self._mask = Mask.of(settings.pii, settings.pii_key)
        self.latency = Latency()
        self._store = Store(settings, listener, counters, now)
        self._sequence = 0
        self._partitions = dict(partitions or {})
        self._placed = dict(self._partitions)  # as the store's lanes are
        self._producers = Producers(settings, "listener")
        self._drain = Drain(
            self._store,
            partial(self._producers.make, every_ms=DRAIN_STATISTICS_MS, all_reports=True),
            self._replace,
            self._partitions,
            lambda: self._producers.client_log.last_error,
            self.latency.waited,
        )
        self._direct: Producer | None = None
        self._produce: Callable[..., None]
        self._watch = LaneWatch(now, self._partitions)
        self._candidate: _Direct | None = None
        self._candidate_at = now
        self._is_open = False  # whether the events' topic has nothing in the store
        self._kept = 0  # records given to the store, ever
        self._acked = 0
        self._acked_at = now
        self._retiring: Producer | None = None
        self._purged = False
        self._retired_at = now
        self._left = 0  # in the retiring producer, when that last became less
        self._less_at = now
        self._suspects: list[tuple[str, int, str]] = []  # topic, partition and why
        self._shut: frozenset[str] = frozenset()  # topics that cannot be written
        self._trouble: tuple[str, int, KafkaError] | None = None  # of the reports of this poll
        self._slice = SLICE
        self._durable_at = now
        first = self._new_direct(now)
        if first is not None:
            self._open_direct(first, now)
        self._note_open()

    # -- the hot path ----------------------------------------------------------------------------

    def events(self, events: list[Event]) -> None:
        """Take the events of one frame."""
        if not self._is_open:
            for event in events:
                self._send(self._recorder.record(event))
            return
        recorder = self._recorder
        topic, encode, headers = recorder.topic, recorder.encode, recorder.headers
        produce = self._produce
        for index, event in enumerate(events, 1):
            self._sequence = sequence = self._sequence + 1
            try:
                # By position, up to the headers: names cost a third of the call.
                produce(
                    topic,
                    encode(event),
                    event.conversation_id,
                    ANY_PARTITION,
                    partial(self._failed, sequence),
                    None,
                    NOW,
                    headers(event),
                )
            except (BufferError, KafkaException) as error:
                self._not_taken(sequence, recorder.record(event), error)
                self.events(events[index:])
                return

    def mark(self, read_at: float, latest: Event) -> None:
        """What was handed in since the last mark was read at `read_at`, `latest` as the last."""
        if self._direct is not None:
            self.latency.mark(self._sequence - self._kept, read_at, latest)

    def agents(self, events: list[AgentEvent]) -> None:
        """Take the states of one frame of an agent topic.

        Where agents are not asked for, a channel taken over may show them all the same. They are
        passed over: their Kafka topic need not exist.
        """
        if not self._settings.agents:
            return
        self._counters.agent_events += len(events)
        for event in events:
            self._send(self._agents.record(event))

    def dead_letter(
        self,
        value: bytes,
        *,
        source_topic: str | None,
        stage: str,
        error: str,
        message: str,
        size: int | None = None,
    ) -> None:
        """Take what could not be read; `size` is the full size where `value` was cut."""
        self._counters.dead_letters += 1
        self._send(
            self._dead_letter(
                value,
                source_topic=source_topic,
                stage=stage,
                error=error,
                message=message,
                mask=self._mask,
                size=size,
            )
        )

    def _dead_letter(
        self,
        value: bytes,
        *,
        source_topic: str | None,
        stage: str,
        error: str,
        message: str,
        mask: Mask | None,
        size: int | None = None,
    ) -> Record:
        return dead_letter(
            self._settings.dead_letter_topic,
            value,
            source_topic=source_topic,
            stage=stage,
            error=error,
            message=message,
            listener=self._listener,
            limit=self._record_limit,
            mask=mask,
            size=size,
        )

    def _send(self, record: Record) -> None:
        """Any record, on whichever way is open to it."""
        self._sequence = sequence = self._sequence + 1
        lane = self._lane(record, sequence)
        if self._direct is None or self._is_held(lane):
            self._keep(sequence, record, lane)
            return
        try:
            self._produce(
                record.topic,
                record.value,
                record.key,
                partition=lane.partition if record.key is None else ANY_PARTITION,
                on_delivery=partial(self._failed_record, sequence, record),
                headers=record.headers,
            )
        except (BufferError, KafkaException) as error:
            self._not_taken(sequence, record, error)

    def _lane(self, record: Record, sequence: int) -> Lane:
        partitions = self._placed.get(record.topic, 0)
        return lane_of(record.topic, record.key, sequence, partitions)

    def _is_held(self, lane: Lane) -> bool:
        """Whether what is newer of a lane must wait: older of it is in the store."""
        waiting = self._store.waiting
        if not waiting:
            return False
        # Of a topic whose partitions are or were not known, or that cannot be written, all waits.
        if lane.topic in self._shut or Lane(lane.topic) in waiting:
            return True
        return lane in waiting if lane.place else any(one.topic == lane.topic for one in waiting)

    # -- the clockwork ---------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Call often: serves delivery reports, notices what stands still, stores, drains."""
        if self._direct is not None:
            self._poll(self._direct)
            self._judge(self._direct, now)
        elif self._retiring is not None:
            self._retire(self._retiring, now)
        self._store.tick(now)
        may_send = self._retiring is None and self._place(now)
        self._drain.step(now, may_send=may_send)
        if self._direct is None and self._retiring is None:
            self._reopen(now)
        self._note_open()
        self._account(now)

    @property
    def mode(self) -> Mode:
        """`direct` with an empty store, `spooling` without a direct producer, else `partly`."""
        if self._direct is None:
            return "spooling"
        return "partly" if self._store.waiting else "direct"

    def durable_at(self) -> float:
        """Monotonic time up to which all that was handed in is in Kafka or on disk (I9)."""
        return self._durable_at

    @property
    def reasons(self) -> tuple[str, ...]:
        """What waits, why, and what to do about it."""
        return reasons(
            self._drain.troubles(),
            self._store.waiting,
            self._store.losses,
            kept_out="" if self._direct is not None else self._producers.reason,
        )

    @property
    def losses(self) -> tuple[Lost, ...]:
        """What damaged spools lost, as far as no gap is filed for it."""
        return tuple(self._store.losses)

    def settle(self, lost: Lost) -> None:
        """A gap is filed for this loss."""
        self._store.settle(lost)

    @property
    def refusing_since(self) -> float | None:
        """Since when the spool takes nothing more, null while it does."""
        return self._store.refusing_since

    @property
    def pending(self) -> int:
        """Records that are neither acknowledged nor on disk."""
        producers = (self._direct, self._retiring)
        return sum(len(one) for one in producers if one is not None) + self._store.unsaved

    @property
    def is_busy(self) -> bool:
        """Whether there is work for the next tick."""
        return self.pending > 0 or self._drain.is_moving(self._clock())

    def stop(self, seconds: float) -> None:
        """Deliver what there is within `seconds`; the rest goes to disk. The last call."""
        started = self._clock()
        moved_at, progress = started, (-1, -1)
        while (now := self._clock()) < started + seconds:
            self.tick(now)
            if not self.pending and not self._store.waiting:
                break
            moved = (self._counters.delivered, self._drain.delivered)
            if moved != progress:
                moved_at, progress = now, moved
            elif not self.pending and now - moved_at > LAST_LOOK:
                break  # what is left waits for a Kafka that is away, and is in the store
            time.sleep(WAIT)
        if self._direct is not None:
            self._set_aside("stopping", self._clock())
        deadline = self._clock() + TAKE_BACK
        while self._retiring is not None and (now := self._clock()) < deadline:
            self._less_at = float("-inf")  # no more grace
            self._retire(self._retiring, now)
        self._drain.close()
        self._store.close()
        self._account(self._clock())

    # -- the direct way --------------------------------------------------------------------------

    def _may_open(self, now: float) -> bool:
        """Whether Kafka takes something again, or there is nothing to try it with."""
        acked_at = self._drain.acked_at
        if acked_at is not None and acked_at > self._retired_at:
            return True
        return not self._store.waiting and now >= self._retired_at + PAUSE

    def _reopen(self, now: float) -> None:
        """Make a producer, and take it into use when it has its number at the brokers."""
        if self._candidate is None:
            if self._may_open(now):
                self._candidate = self._new_direct(now)
                self._candidate_at = now
            return
        producer, watch = self._candidate.producer, self._candidate.watch
        producer.poll(0)
        if watch.is_ready:
            self._open_direct(self._candidate, now)
            self._candidate = None
            self._log.info("producer_direct", waiting=sum(self._store.waiting.values()))
        elif now - self._candidate_at > CANDIDATE:
            self._candidate = None
            last = [producer]
            del producer
            let_go(last)

    def _new_direct(self, now: float) -> _Direct | None:
        watch = LaneWatch(now, self._partitions, self._clock)
        producer = self._producers.make(now, watch.statistics, SAMPLE_EVERY_MS, all_reports=False)
        return None if producer is None else _Direct(producer, watch)

    def _open_direct(self, direct: _Direct, now: float) -> None:
        self._direct, self._watch = direct.producer, direct.watch
        self._produce = direct.producer.produce
        self._watch.is_empty(now)
        self._acked, self._acked_at = -1, now
        self.latency.begin(self._sequence - self._kept)

    def _note_open(self) -> None:
        """Whether events may go straight to Kafka without a look at their lane."""
        waiting = self._store.waiting
        if not waiting:
            self._shut = frozenset()
            self._is_open = self._direct is not None
            return
        self._shut = frozenset(
            trouble.topic for trouble in self._drain.troubles() if trouble.kind == "topic"
        )
        topic = self._settings.topic
        self._is_open = (
            self._direct is not None
            and topic not in self._shut
            and all(lane.topic != topic for lane in waiting)
        )

    def _poll(self, producer: Producer) -> None:
        self._slice = SLICE
        try:
            producer.poll(0)
        except _Enough:
            return

    def _judge(self, producer: Producer, now: float) -> None:
        """Retire the producer where a report failed, a lane stands still, or all of them do."""
        if self._trouble is not None:
            topic, number, error = self._trouble
            self._set_aside(f"{topic}/{number}: {error.name()}: {error.str()}", now)
            return
        waiting = len(producer)
        acked = self._sequence - self._kept - waiting
        self.latency.acknowledged(acked, now)
        if acked != self._acked or not waiting:
            self._acked, self._acked_at = acked, now
        stuck = self._watch.stuck(now)
        if not stuck and now - self._acked_at <= STALL:
            return
        said = self._producers.client_log.last_error
        for place in stuck:
            where = ", ".join(one for one in (place.leader, said) if one)
            text = f"no acknowledgement for {STALL:.0f}s" + (f" ({where})" if where else "")
            self._suspects.append((place.topic, place.partition, text))
        names = ", ".join(f"{one.topic}/{one.partition}" for one in stuck[:MOST_NAMED])
        self._set_aside(f"no acknowledgement for {STALL:.0f}s: {names or 'all'}", now)

    def _set_aside(self, reason: str, now: float) -> None:
        """Retire the direct producer: what is not acknowledged goes to the store."""
        assert self._direct is not None
        self._retiring, self._direct = self._direct, None
        del self._produce
        self._is_open = self._purged = False
        self._trouble = None
        self.latency.begin(self._sequence - self._kept)
        self._retired_at = self._less_at = now
        self._left = len(self._retiring)
        self._counters.outages += 1
        self._log.warning("producer_set_aside", reason=reason, waiting=self._left)

    def _retire(self, producer: Producer, now: float) -> None:
        """Let the lanes that are well empty themselves, then take back what is left."""
        self._poll(producer)
        left = len(producer)
        if left < self._left:
            self._left, self._less_at = left, now
        if not left:
            self._store.commit(now)  # what was taken back last may be older than all on disk
            last = [producer]
            self._retiring = None
            let_go(last)
            for suspect in self._suspects:
                self._drain.suspect(*suspect)
            self._suspects.clear()
        elif not self._purged and (now - self._less_at > QUIET or now - self._retired_at > GRACE):
            self._purged = True
            purge(producer)
            self._poll(producer)

    def _place(self, now: float) -> bool:
        """Move what waits of a topic that has other partitions now; whether all is in its lane."""
        for topic, count in self._partitions.items():
            if self._placed.get(topic, 0) == count:
                continue
            first, end = places(count)
            if any(
                lane.topic == topic and not first <= lane.place < end
                for lane in self._store.waiting
            ):
                if not self._drain.is_quiet(topic):  # it gets no more: its lanes are not right
                    if self._drain.is_stuck(topic):
                        self._drain.restart()
                    continue
                try:
                    if not self._store.replace(topic, count, now):
                        return False
                except SpoolError as error:
                    self._log.error("spool_not_moved", topic=topic, error=error)
                    return True  # its lanes wait, the others do not
            self._placed[topic] = count
        return True

    # -- what Kafka does not take ----------------------------------------------------------------

    def _keep(self, sequence: int, record: Record, lane: Lane) -> None:
        self._kept += 1
        self._store.keep(sequence, record, lane, self._clock())
        if record.topic == self._settings.topic:
            self._is_open = False

    def _not_taken(self, sequence: int, record: Record, error: Exception) -> None:
        """`produce` refused a record at once."""
        cause = faults.cause(error)
        if cause is not None and faults.is_refused(cause):
            letter = self._letter(record, cause)
            if letter is not None:
                self._send(letter)
            return
        self._keep(sequence, record, self._lane(record, sequence))
        reason = cause.str() if cause is not None else "librdkafka's queue is full"
        self._set_aside(reason, self._clock())

    def _failed(self, sequence: int, error: KafkaError | None, message: Any) -> None:
        """Delivery report of an event that failed. Its headers follow from its value."""
        value = message.value() or b""
        content = [self._recorder.content_type]
        try:
            headers = self._recorder.headers(self._reader.decode(value, content))
        except UndecodableRecord:  # we encoded it: only a bug gets here, and the event comes first
            self._log.error("spooled_without_headers", sequence=sequence)
            headers = content
        key = message.key()
        key = key.decode() if isinstance(key, bytes) else key
        record = Record(message.topic(), key, value, headers)
        self._failed_record(sequence, record, error, message)

    def _failed_record(
        self, sequence: int, record: Record, error: KafkaError | None, message: Any
    ) -> None:
        # Only noted here: librdkafka must not be asked for more from within its callback.
        self._counters.failed += 1
        if error is not None and faults.judge(error) != "ours" and self._trouble is None:
            self._trouble = (record.topic, message.partition(), error)
        self._keep(sequence, record, self._lane(record, sequence))
        self._slice -= 1
        if self._slice <= 0:
            raise _Enough

    def _replace(self, record: Record, error: KafkaError) -> None:
        """Put the dead letter of a stored record into the store, before that one is removed."""
        letter = self._letter(record, error)
        if letter is not None:
            self._sequence = sequence = self._sequence + 1
            self._keep(sequence, letter, self._lane(letter, sequence))
            self._store.commit(self._clock())

    def _letter(self, record: Record, error: KafkaError) -> Record | None:
        """The dead letter of a record that Kafka refuses for good; of a dead letter a shorter one,
        null where there is too little left of it."""
        self._counters.rejected += 1
        self._log.error(
            "record_refused", code=error.name(), topic=record.topic, bytes=len(record.value)
        )
        if record.topic == self._settings.dead_letter_topic:
            cut = shorter(record)
            if cut is None:
                self._counters.lost += 1
                self._log.error("dead_letter_lost", code=error.name(), bytes=len(record.value))
            return cut
        self._counters.dead_letters += 1
        source = next((str(value) for name, value in record.headers if name == "ce_source"), "")
        return self._dead_letter(
            record.value,
            source_topic=source.rpartition("/")[2] or None,
            stage="produce",
            error=error.name(),
            message="Kafka refuses the record",
            mask=None,  # an event holds only what `MIRROR_PII` allows
        )

    def _account(self, now: float) -> None:
        counters = self._counters
        counters.produced = self._sequence
        durable = self._sequence - self.pending
        # What was inherited is in the spool but not of this count: it must not seem to fall.
        delivered = durable - counters.spool_records - counters.lost
        counters.delivered = max(counters.delivered, delivered)
        if self._retiring is not None or self._store.unsaved:
            return
        if self._direct is not None:
            if not len(self._direct):
                self._watch.is_empty(now)
            now = self._watch.durable_at()
        self._durable_at = max(self._durable_at, now)
