"""Gives records to Kafka in order, and to the spool while Kafka cannot take them.

    direct ──(no ack for STALL, queue full, failed report)──▶ spooling ──(a pause)──▶ draining
      ▲                                                          ▲                       │
      │                                                          └─────(failure)─────────┤
      └──────────────────────────────(spool empty)──────────────────────────────────────┘

Every record has a sequence number. In `direct` it goes to librdkafka. Leaving `direct` takes back
all that is not acknowledged and stores it under its numbers, with everything newer behind it, so
that no record overtakes an older one of its conversation. What may have reached Kafka already is
sent again; consumers drop repeated ids. A producer that was set aside is never used again: its
successor begins with sequence numbers of its own at the broker.

Success is not reported record by record: what is acknowledged is what was produced and neither
waits nor failed. A record that Kafka refuses for good becomes a dead letter.

All methods belong to one thread. Only `stop` waits.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Literal

from confluent_kafka import KafkaError, KafkaException, Producer

from listeners.counters import Counters
from listeners.drain import STALL, Drain
from listeners.store import Store
from mirror.conversation.agent_event import AgentEvent
from mirror.conversation.event import Event
from mirror.kafka.config import ClientLog, producer_config
from mirror.kafka.limits import REFUSED, record_limit
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
from mirror.log import logger
from mirror.settings import Settings

PAUSE_FIRST: Final = 0.5
PAUSE_MOST: Final = 5.0
CHECKPOINT_EVERY: Final = 0.1
MOST_CHECKPOINTS: Final = 3_000
# As librdkafka has them: the key chooses the partition, and the record's time is that of now.
ANY_PARTITION: Final = -1
NOW: Final = 0

Mode = Literal["direct", "spooling", "draining"]


class Publisher:
    """The way of records to Kafka."""

    def __init__(
        self,
        settings: Settings,
        listener: str,
        counters: Counters,
        *,
        schemas: Mapping[str, Header] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`schemas`: topic → the header that names its schema (`mirror.kafka.registry`).

        Raises `SpoolError` where the spool folder cannot be used.
        """
        now = clock()
        self.mode: Mode = "direct"
        self.reason = ""  # why not `direct`
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
        self._store = Store(settings, listener, counters, now)
        self._sequence = 0
        self._trouble = ""  # a failed report, to be acted on outside librdkafka's callback
        self._acked = 0
        self._acked_at = now
        self._checkpoints: deque[tuple[float, int]] = deque(maxlen=MOST_CHECKPOINTS)
        self._durable_at = now
        self._pause = PAUSE_FIRST
        self._resume_at = now
        self._drain: Drain | None = None
        self._use(self._new_producer())

    # -- the hot path ----------------------------------------------------------------------------

    def events(self, events: list[Event]) -> None:
        """Take the events of one frame."""
        if self.mode != "direct":
            for event in events:
                self._keep(self._recorder.record(event))
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

    def agents(self, events: list[AgentEvent]) -> None:
        """Take the states of one frame of an agent topic.

        Where agents are not asked for, a channel taken over may show them all the same. They are
        passed over: their Kafka topic need not exist, and its absence would hold up all others.
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
            dead_letter(
                self._settings.dead_letter_topic,
                value,
                source_topic=source_topic,
                stage=stage,
                error=error,
                message=message,
                listener=self._listener,
                limit=self._record_limit,
                size=size,
            )
        )

    def _send(self, record: Record) -> None:
        if self.mode != "direct":
            self._keep(record)
            return
        self._sequence = sequence = self._sequence + 1
        try:
            self._produce(
                record.topic,
                record.value,
                record.key,
                on_delivery=partial(self._failed_record, sequence, record),
                headers=record.headers,
            )
        except (BufferError, KafkaException) as error:
            self._not_taken(sequence, record, error)

    # -- the clockwork ---------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Call often: serves delivery reports, notices a stall, stores, drains."""
        self._producer.poll(0)
        if self.mode == "direct":
            self._watch(now)
        elif self.mode == "spooling":
            if now >= self._resume_at and not len(self._producer):
                self._drain = Drain(self._store, self._new_producer, self._reject, now)
                self.mode = "draining"
        else:
            self._go_on(now)
        if self._store.tick(now) and self.mode == "direct":
            # Its records are older than any that comes now: they go first.
            self._set_aside("an adopted spool goes first")
            self._resume_at = now
        self._account(now)

    def durable_at(self) -> float:
        """Monotonic time up to which all that was handed in is in Kafka or on disk.

        It counts acknowledgements, so while one partition alone is stuck it can run ahead by what
        waits for that partition.
        """
        return self._durable_at

    @property
    def refusing_since(self) -> float | None:
        """Since when the spool takes nothing more, null while it does."""
        return self._store.refusing_since

    @property
    def pending(self) -> int:
        """Records that are neither acknowledged nor on disk."""
        return len(self._producer) + self._store.unsaved

    def stop(self, seconds: float) -> None:
        """Deliver what there is within `seconds`; the rest goes to disk. The last call."""
        deadline = self._clock() + seconds
        while (now := self._clock()) < deadline:
            self.tick(now)
            if self.mode == "direct" and not len(self._producer):
                break
            if self.mode == "spooling" and not len(self._producer) and now < self._resume_at:
                break  # Kafka is away, and all that there was is in the store
            (self._drain.producer if self._drain else self._producer).poll(0.02)
        if self.mode == "direct" and len(self._producer):
            self._set_aside("stopping with records unacknowledged")
        if self._drain is not None:
            self._drain.abandon()
        deadline = self._clock() + 1.0
        while len(self._producer) and self._clock() < deadline:
            self._producer.poll(0.05)
        self._store.close()
        self._account(self._clock())

    # -- leaving the direct way, and coming back -------------------------------------------------

    def _watch(self, now: float) -> None:
        if self._trouble:
            self._set_aside(self._trouble)
            return
        waiting = len(self._producer)
        acked = self._sequence - waiting
        if acked != self._acked or not waiting:
            self._acked = acked
            self._acked_at = now
        elif now - self._acked_at > STALL:
            self._set_aside(f"no acknowledgement for {STALL:.0f}s")

    def _set_aside(self, reason: str) -> None:
        """From `direct` to `spooling`: take back what Kafka has not acknowledged."""
        self.mode = "spooling"
        self.reason = reason
        self._counters.outages += 1
        self._pause = PAUSE_FIRST
        self._resume_at = self._clock() + self._pause
        self._log.warning("producer_set_aside", reason=reason, waiting=len(self._producer))
        self._producer.purge(in_queue=True, in_flight=True, blocking=True)
        self._producer.poll(0)

    def _go_on(self, now: float) -> None:
        drain = self._drain
        assert drain is not None
        done = drain.step(now)
        if drain.failure:
            drain.abandon()
            self._drain = None
            self.mode = "spooling"
            self.reason = drain.failure
            self._pause = min(self._pause * 2, PAUSE_MOST)
            self._resume_at = now + self._pause
        elif done and not self._store.unsaved:
            self._drain = None
            self.mode = "direct"
            self.reason = self._trouble = ""
            self._use(drain.producer)
            self._acked_at = now
            self._log.info("producer_direct", drained=drain.delivered)

    def _use(self, producer: Producer) -> None:
        self._producer = producer
        self._produce = producer.produce

    def _new_producer(self) -> Producer:
        log = ClientLog("listener.kafka")
        return Producer(producer_config(self._settings, "listener"), **log.options())

    # -- what Kafka does not take ----------------------------------------------------------------

    def _keep(self, record: Record) -> None:
        self._sequence += 1
        self._store.keep(self._sequence, record, self._clock())

    def _not_taken(self, sequence: int, record: Record, error: Exception) -> None:
        """`produce` refused a record at once."""
        cause = error.args[0] if error.args else None
        if isinstance(cause, KafkaError) and cause.code() in REFUSED:
            self._reject(record, cause)
            return
        reason = cause.str() if isinstance(cause, KafkaError) else "librdkafka's queue is full"
        self._store.keep(sequence, record, self._clock())
        self._set_aside(reason)

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
        self, sequence: int, record: Record, error: KafkaError | None, _message: Any
    ) -> None:
        # Only noted here: librdkafka must not be asked for more from within its callback.
        self._counters.failed += 1
        self._trouble = error.str() if error is not None else "failed"
        self._store.keep(sequence, record, self._clock())

    def _reject(self, record: Record, error: KafkaError) -> None:
        """Kafka refuses a record for good: it becomes a dead letter, a dead letter a shorter one"""
        self._counters.rejected += 1
        self._log.error(
            "record_refused", code=error.name(), topic=record.topic, bytes=len(record.value)
        )
        if record.topic == self._settings.dead_letter_topic:
            cut = shorter(record)
            if cut is None:
                self._counters.lost += 1
                self._log.error("dead_letter_lost", code=error.name(), bytes=len(record.value))
            else:
                self._send(cut)
            return
        source = next((str(value) for name, value in record.headers if name == "ce_source"), "")
        self.dead_letter(
            record.value,
            source_topic=source.rpartition("/")[2] or None,
            stage="produce",
            error=error.name(),
            message="Kafka refuses the record",
        )

    def _account(self, now: float) -> None:
        counters = self._counters
        pending = self.pending
        durable = self._sequence - pending
        counters.produced = self._sequence
        # What was inherited is in the spool but not of this count: it must not seem to fall.
        delivered = durable - counters.spool_records - counters.lost
        counters.delivered = max(counters.delivered, delivered)
        checkpoints = self._checkpoints
        while checkpoints and checkpoints[0][1] <= durable:
            self._durable_at = checkpoints.popleft()[0]
        if not pending:
            self._durable_at = now
        elif not checkpoints or now - checkpoints[-1][0] >= CHECKPOINT_EVERY:
            checkpoints.append((now, self._sequence))
