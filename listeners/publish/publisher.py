"""Gives records to Kafka in order, and to the spool what Kafka cannot take now.

    a lane       with nothing in the store: its records go straight to librdkafka
                 with anything in the store: they go there too, and the spool's thread sends them

A lane is a partition of a topic (`listeners.publish.lanes`). Only what one lane has waiting holds
up what is newer in it: topics and partitions do not wait for each other.

    direct ──(a lane stands still, a report failed, queue full)──▶ retiring ──▶ spooling ──▶ direct

Every record has a sequence number. When a lane fails, the direct producer is retired
(`listeners.publish.direct`): what it cannot deliver is taken back and stored under its numbers, so
that no record overtakes an older one of its conversation. The drain sends it on with a producer of
its own; as soon as Kafka takes any of it there is a direct producer again, for all lanes that have
nothing in the store. What may have reached Kafka unacknowledged is sent again; consumers drop
repeated ids.

Success is not reported record by record on the direct way: librdkafka's statistics tell how far
each lane is. A record that Kafka refuses for good becomes a dead letter.

All methods belong to one thread, and none but `stop` waits: what there is much of is taken in
slices, and all that asks a disk is the spool's thread's (`listeners.publish.keeper`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Literal

from confluent_kafka import KafkaError, KafkaException

from listeners.counters import Counters
from listeners.publish.direct import Direct
from listeners.publish.extent import Lost
from listeners.publish.keeper import Keeper
from listeners.publish.lanes import Lane
from listeners.publish.latency import Latency
from listeners.publish.pauses import Pauses
from listeners.publish.waits import reasons
from mirror.base.log import logger
from mirror.conversation.agent_event import AgentEvent
from mirror.conversation.event import Event
from mirror.kafka import faults
from mirror.kafka.record import (
    AgentRecorder,
    EventReader,
    Header,
    Record,
    Recorder,
    UndecodableRecord,
)
from mirror.settings import Settings

PAUSE: Final = 0.5
LAST_LOOK: Final = 1.0  # while stopping: without any progress for so long there will be none
# As librdkafka has them: the key chooses the partition, and the record's time is that of now.
ANY_PARTITION: Final = -1
NOW: Final = 0
TAKE_BACK: Final = 4.0
MOST_HANDED: Final = 5_000  # taken back, and not written yet
LAST_WRITE: Final = 4.0
WAIT: Final = 0.01

Mode = Literal["direct", "partly", "spooling"]


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
        self.latency = Latency()
        self._sequence = 0
        known = dict(partitions or {})
        self._keeper = Keeper(settings, listener, counters, known, self.latency.waited, clock)
        self._store = self._keeper.store
        self._letters = self._keeper.letters
        self._direct = Direct(settings, known, now, clock)
        self._produce: Callable[..., None]
        self._pauses = Pauses()
        self._is_open = False  # whether the events' topic has nothing in the store
        self._kept = 0  # records given to the store, ever
        self._released_at = now  # when the last producer had been taken back
        self._shut: frozenset[str] = frozenset()  # topics that cannot be written
        self._durable_at = now
        self._direct.begin(now)
        self._note_direct()
        self._note_open()
        self._keeper.start()

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
        if self._direct.producer is not None:
            self.latency.mark(self._entered(), read_at, latest)

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
        self._send(
            self._letters.of_frame(
                value,
                source_topic=source_topic,
                stage=stage,
                error=error,
                message=message,
                size=size,
            )
        )

    def _send(self, record: Record) -> None:
        """Any record, on whichever way is open to it."""
        self._sequence = sequence = self._sequence + 1
        with self._store.lock:  # lanes do not change between the look and what follows from it
            lane = self._store.lane(record, sequence)
            if self._direct.producer is None:
                self._keep(sequence, record, lane)
                return
            if self._pauses:
                self._store_paused(self._pauses.misplaced(lane))
            if self._pauses.has(lane) or self._is_held(lane):
                if not self._pause(sequence, record, lane):
                    self._keep(sequence, record, lane)
                return
        self._give(sequence, record, lane)

    def _give(self, sequence: int, record: Record, lane: Lane) -> None:
        """Straight to Kafka."""
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

    def _pause(self, sequence: int, record: Record, lane: Lane) -> bool:
        """Have a record wait for the lane's last stored ones; false where it is to be stored."""
        if lane.topic in self._shut:
            return False
        left, now = self._store.waiting.get(lane, 0), self._clock()
        self._is_open = self._is_open and lane.topic != self._settings.topic
        return self._pauses.take(lane, sequence, record, left, self._keeper.acked_at, now)

    def _resume(self, now: float) -> None:
        """Send what paused where nothing older waits, and store what has paused in vain."""
        for lane in self._pauses.over(self._store.waiting, now):
            for sequence, record in self._pauses.end(lane):
                with self._store.lock:
                    place = self._store.lane(record, sequence)
                    is_stored = self._direct.producer is None or self._is_held(place)
                    if is_stored:
                        self._keep(sequence, record, place)
                if not is_stored:
                    self._give(sequence, record, place)

    def _store_paused(self, lanes: list[Lane]) -> None:
        for lane in lanes:
            for sequence, record in self._pauses.end(lane):
                with self._store.lock:
                    self._keep(sequence, record, self._store.lane(record, sequence))

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
        """Call often: serves delivery reports, notices what stands still, opens the way again.

        Raises what ended the spool's thread.
        """
        self._keeper.check()
        self._turn(now)

    def _turn(self, now: float) -> None:
        direct = self._direct
        if direct.producer is not None:
            direct.poll(direct.producer)
            self._judge(now)
            if self._pauses and direct.producer is not None:
                self._resume(now)
        elif direct.retiring is not None:
            self._retire(now)
        is_closed = direct.producer is None and direct.retiring is None
        if is_closed and direct.reopen(now, may_make=self._may_open(now)):
            self._note_direct()
            self._log.info("producer_direct", waiting=sum(self._waiting().values()))
        self._note_open()
        self._account(now)

    @property
    def mode(self) -> Mode:
        """`direct` with an empty store, `spooling` without a direct producer, else `partly`."""
        if self._direct.producer is None:
            return "spooling"
        return "partly" if self._store.waiting else "direct"

    def durable_at(self) -> float:
        """Monotonic time up to which all that was handed in is in Kafka or on disk (I9)."""
        return self._durable_at

    @property
    def reasons(self) -> tuple[str, ...]:
        """What waits, why, and what to do about it."""
        found = reasons(
            self._keeper.troubles,
            self._waiting(),
            self.losses,
            kept_out="" if self._direct.producer is not None else self._direct.reason,
        )
        return (*found, *self._keeper.reasons(self._clock()))

    @property
    def losses(self) -> tuple[Lost, ...]:
        """What damaged spools lost, as far as no gap is filed for it."""
        return self._keeper.losses

    def settle(self, lost: Lost) -> None:
        """A gap is filed for this loss."""
        self._keeper.settle(lost)

    @property
    def refusing_since(self) -> float | None:
        """Since when the spool takes nothing more, null while it does."""
        return self._store.refusing_since

    @property
    def pending(self) -> int:
        """Records that are neither acknowledged nor on disk."""
        return self._direct.under_way + self._store.unsaved + self._pauses.count

    @property
    def is_busy(self) -> bool:
        """Whether there is work for the next tick."""
        direct = self._direct
        return direct.under_way > 0 or (direct.producer is None and self._keeper.is_moving)

    def stop(self, seconds: float) -> None:
        """Deliver what there is within `seconds`; the rest goes to disk. The last call."""
        started = self._clock()
        moved_at, progress = started, (-1, -1)
        while (now := self._clock()) < started + seconds:
            self._turn(now)
            if not self.pending and not self._store.waiting:
                break
            moved = (self._counters.delivered, self._keeper.delivered)
            if moved != progress:
                moved_at, progress = now, moved
            elif not self.pending and now - moved_at > LAST_LOOK:
                break  # what is left waits for a Kafka that is away, and is in the store
            time.sleep(WAIT)
        if self._direct.producer is not None:
            self._set_aside("stopping", self._clock())
        deadline = self._clock() + TAKE_BACK
        while self._direct.retiring is not None and (now := self._clock()) < deadline:
            self._retire(now, hurry=True)
        self._keeper.stop(LAST_WRITE)
        self._account(self._clock())

    # -- the direct way --------------------------------------------------------------------------

    def _may_open(self, now: float) -> bool:
        """Whether Kafka takes something again, or there is nothing to try it with."""
        acked_at = self._keeper.acked_at
        if acked_at is not None and acked_at > self._direct.retired_at:
            return True
        return not self._store.waiting and now >= self._direct.retired_at + PAUSE

    def _note_direct(self) -> None:
        if self._direct.producer is not None:
            self._produce = self._direct.producer.produce
            self.latency.begin(self._entered())

    def _note_open(self) -> None:
        """Whether events may go straight to Kafka without a look at their lane."""
        is_direct = self._direct.producer is not None
        if not self._store.waiting:
            self._shut = frozenset()
            self._is_open = is_direct and not self._pauses
            return
        self._shut = frozenset(one.topic for one in self._keeper.troubles if one.kind == "topic")
        topic = self._settings.topic
        self._is_open = (
            is_direct
            and not self._pauses
            and topic not in self._shut
            and all(lane.topic != topic for lane in self._waiting())
        )

    def _waiting(self) -> Mapping[Lane, int]:
        """A copy: the spool's thread changes the original."""
        with self._store.lock:
            return dict(self._store.waiting)

    def _entered(self) -> int:
        """Records that went to producers of the direct way, but for those taken back."""
        return self._sequence - self._kept - self._pauses.count

    def _judge(self, now: float) -> None:
        """Retire the producer where it is of no more use."""
        waiting = self._direct.under_way
        acked = self._entered() - waiting
        self.latency.acknowledged(acked, now)
        reason = self._direct.why_not(waiting, acked, now)
        if reason:
            self._set_aside(reason, now)

    def _set_aside(self, reason: str, now: float) -> None:
        """Retire the direct producer: what is not acknowledged goes to the store."""
        self._keeper.hold()
        self._direct.set_aside(reason, now)
        del self._produce
        self._is_open = False
        self._store_paused(self._pauses.lanes())
        self.latency.begin(self._entered())
        self._counters.outages += 1

    def _retire(self, now: float, *, hurry: bool = False) -> None:
        if self._store.handed > MOST_HANDED:
            return  # the disk takes them more slowly; the rest is as safe where it is
        if self._direct.retire(now, hurry=hurry):
            self._released_at = self._clock()
            self._keeper.release(self._direct.suspects)
            self._direct.suspects = []

    # -- what Kafka does not take ----------------------------------------------------------------

    def _keep(self, sequence: int, record: Record, lane: Lane) -> None:
        self._kept += 1
        self._keeper.keep(sequence, record, lane, self._clock())
        if record.topic == self._settings.topic:
            self._is_open = False

    def _take_back(self, sequence: int, record: Record) -> None:
        """Store what a producer did not deliver: older of its lane may still be in there."""
        self._keeper.hold()
        with self._store.lock:
            self._keep(sequence, record, self._store.lane(record, sequence))

    def _not_taken(self, sequence: int, record: Record, error: Exception) -> None:
        """`produce` refused a record at once."""
        cause = faults.cause(error)
        if cause is not None and faults.is_refused(cause):
            letter = self._letters.of_record(record, cause)
            if letter is not None:
                self._send(letter)
            return
        self._take_back(sequence, record)
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
        self._counters.failed += 1
        self._take_back(sequence, record)
        # By our own purge; else the producer is retired for it, and the hold ends with that.
        is_ours = self._direct.retiring is not None
        self._direct.failed(record.topic, message.partition(), None if is_ours else error)

    def _account(self, now: float) -> None:
        counters = self._counters
        with self._store.lock:
            unsaved, stored, lost = self._store.balance()
            written = self._keeper.written
        counters.produced = self._sequence + written
        durable = counters.produced - self._direct.under_way - unsaved - self._pauses.count
        # What was inherited is in the spool but not of this count: it must not seem to fall.
        counters.delivered = max(counters.delivered, durable - stored - lost)
        if self._direct.retiring is not None or self._pauses:
            return
        stored_at = self._store.durable_at if unsaved else now
        if stored_at >= self._released_at:  # what was taken back is on disk
            durable_at = min(stored_at, self._direct.durable_at(now))
            self._durable_at = max(self._durable_at, durable_at)
