"""Gives records to Kafka in order, and to the spool while Kafka cannot take them.

    direct ──(no ack for STALL, queue full, failed report)──▶ spooling ──(RETRY later)──▶ draining
      ▲                                                          ▲                          │
      │                                                          └──(no ack, failed)────────┤
      └──────────────────────────────(spool empty)─────────────────────────────────────────┘

Every record has a sequence number. In `direct` it goes to librdkafka. Leaving `direct` takes back
all that is not acknowledged and stores it under its numbers, with everything newer behind it, so
that no record overtakes an older one of its conversation: what may have reached Kafka already is
sent again, and consumers drop repeated ids. While draining, the head of the spool is sent, and
removed only after all of it was acknowledged (I9). A producer that was set aside is never used
again: its successor begins with sequence numbers of its own at the broker.

Success is not reported record by record: what is acknowledged is what was produced and neither
waits nor failed. A record that Kafka refuses for good (too large, invalid) becomes a dead letter;
only a record sent alone is judged so, for a batch is refused as a whole.

All methods belong to one thread. Only `stop` waits.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal

from confluent_kafka import KafkaError, KafkaException, Producer

from listeners.counters import Counters
from listeners.spool import Numbered, Spool, SpoolError, adopt
from mirror.event import Event
from mirror.kafka.config import ClientLog, producer_config
from mirror.kafka.record import EventReader, Record, Recorder, UndecodableRecord, dead_letter
from mirror.log import logger
from mirror.settings import Settings

STALL: Final = 5.0  # seconds without any acknowledgement, while records wait, until we spool
RETRY_FIRST: Final = 0.5
RETRY_MOST: Final = 5.0
DRAIN_RECORDS: Final = 2_000
DRAIN_BYTES: Final = 4 * 1024 * 1024
COMMIT_EVERY: Final = 0.05
COMMIT_RECORDS: Final = 1_000
CHECKPOINT_EVERY: Final = 0.1
MOST_CHECKPOINTS: Final = 3_000
ADOPT_EVERY: Final = 60.0
LEAST_DEAD_LETTER: Final = 8_192
DEFAULT_RECORD_LIMIT: Final = 1_000_000

Mode = Literal["direct", "spooling", "draining"]

_REFUSED: Final = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError._BAD_MSG,
    }
)


class Publisher:
    """The way of records to Kafka."""

    def __init__(
        self,
        settings: Settings,
        listener: str,
        counters: Counters,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises `SpoolError` where the spool folder cannot be used."""
        self.mode: Mode = "direct"
        self.reason = ""  # why not `direct`
        self.refusing_since: float | None = None  # the spool is full or broken since then
        self._settings = settings
        self._listener = listener
        self._counters = counters
        self._clock = clock
        self._log = logger("listener.publisher")
        self._recorder = Recorder(settings.topic, settings.region, settings.encoding)
        self._reader = EventReader()
        self._record_limit = int(
            settings.kafka.properties.get("message.max.bytes", DEFAULT_RECORD_LIMIT)
        )
        now = clock()
        self._sequence = 0
        self._trouble = ""  # a failed report, to be acted on outside the callback
        self._unsaved: list[Numbered] = []
        self._last_commit = now
        self._acked = 0
        self._acked_at = now
        self._checkpoints: deque[tuple[float, int]] = deque(maxlen=MOST_CHECKPOINTS)
        self._durable_at = now
        self._batch: list[Numbered] = []  # what is being drained
        self._batch_failed: dict[int, KafkaError] = {}
        self._batch_size = DRAIN_RECORDS
        self._pause = RETRY_FIRST
        self._retry_at = 0.0
        self._own = Spool(settings.spool_dir / listener, settings.spool_limit)
        self._inherited: list[Spool] = []
        self._adopt_at = 0.0
        self._producer = self._new_producer()
        self._produce = self._producer.produce
        self._adopt(now)

    # -- the hot path ----------------------------------------------------------------------------

    def events(self, events: list[Event]) -> None:
        """Take the events of one frame."""
        if self.mode != "direct":
            for event in events:
                self._keep(self._recorder.record(event))
            return
        recorder = self._recorder
        topic, encode, headers = recorder.topic, recorder.encode, recorder.headers
        sequence = self._sequence
        for index, event in enumerate(events, 1):
            sequence += 1
            self._sequence = sequence
            try:
                self._produce(
                    topic,
                    encode(event),
                    event.conversation_id,
                    on_delivery=partial(self._failed, sequence),
                    headers=headers(event),
                )
            except (BufferError, KafkaException) as error:
                self._not_taken(sequence, recorder.record(event), error)
                # Its dead letter may have taken a number, or what follows goes to the spool.
                self.events(events[index:])
                return

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
        record = dead_letter(
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
        self._counters.dead_letters += 1
        self._send(record)

    def _send(self, record: Record) -> None:
        if self.mode != "direct":
            self._keep(record)
            return
        self._sequence += 1
        sequence = self._sequence
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
            if self._trouble:
                self._set_aside(self._trouble)
            else:
                self._watch(now)
        elif self.mode == "spooling":
            self._commit(now)
            if now >= self._retry_at and not len(self._producer):
                self._begin_drain(now)
        else:
            self._commit(now)
            self._drain(now)
        if now >= self._adopt_at:
            self._adopt(now)
        self._account(now)

    def durable_at(self) -> float:
        """Monotonic time up to which all that was handed in is in Kafka or on disk.

        Counts acknowledgements: while one partition alone is stuck it can run ahead by as much as
        that partition lags, for the others' acknowledgements count too.
        """
        return self._durable_at

    @property
    def pending(self) -> int:
        """Records that are neither acknowledged nor on disk."""
        waiting = len(self._producer) if self.mode != "draining" else 0
        return waiting + len(self._unsaved)

    def stop(self, seconds: float) -> None:
        """Deliver what there is within `seconds`; the rest goes to disk. The last call."""
        deadline = self._clock() + seconds
        while (now := self._clock()) < deadline:
            self.tick(now)
            if self.mode == "direct" and not len(self._producer):
                break
            if self.mode == "spooling" and now < self._retry_at:
                break  # Kafka is away: what waits is on disk in a moment
            self._producer.poll(0.02)
        if self.mode == "direct" and len(self._producer):
            self._set_aside("stopping with records unacknowledged")
        self._producer.purge()
        self._producer.poll(0)
        while len(self._producer) and self._clock() < deadline + 1:
            self._producer.poll(0.05)
        self._commit(self._clock(), force=True)
        self._account(self._clock())
        for spool in (self._own, *self._inherited):
            if spool.records:
                self._log.warning(
                    "spool_kept", folder=spool.folder.name, records=spool.records, bytes=spool.bytes
                )
            spool.close()

    # -- leaving the direct way ------------------------------------------------------------------

    def _watch(self, now: float) -> None:
        waiting = len(self._producer)
        acked = self._sequence - waiting
        if acked != self._acked or not waiting:
            self._acked = acked
            self._acked_at = now
        elif now - self._acked_at > STALL:
            self._set_aside(f"no acknowledgement for {STALL:.0f}s")

    def _set_aside(self, reason: str) -> None:
        """From `direct` to `spooling`: take back what Kafka has not acknowledged."""
        if self.mode != "direct":
            return
        self.mode = "spooling"
        self.reason = reason
        self._counters.outages += 1
        self._pause = RETRY_FIRST
        now = self._clock()
        self._retry_at = now + self._pause
        self._log.warning("kafka_away", reason=reason, waiting=len(self._producer))
        self._producer.purge(in_queue=True, in_flight=True, blocking=True)
        self._producer.poll(0)

    def _not_taken(self, sequence: int, record: Record, error: Exception) -> None:
        """`produce` refused a record at once."""
        cause = error.args[0] if error.args else None
        if isinstance(cause, KafkaError) and cause.code() in _REFUSED:
            self._reject(record, cause)
            return
        reason = cause.str() if isinstance(cause, KafkaError) else "librdkafka's queue is full"
        self._set_aside(reason)
        self._keep(record, sequence)

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
        record = Record(
            message.topic(), key.decode() if isinstance(key, bytes) else key, value, headers
        )
        self._failed_record(sequence, record, error, message)

    def _failed_record(
        self, sequence: int, record: Record, error: KafkaError | None, _message: Any
    ) -> None:
        # Only noted here: librdkafka must not be asked for more from within its callback.
        self._counters.failed += 1
        self._keep(record, sequence)
        self._trouble = error.str() if error is not None else "failed"

    # -- the spool -------------------------------------------------------------------------------

    def _keep(self, record: Record, sequence: int | None = None) -> None:
        if sequence is None:
            self._sequence += 1
            sequence = self._sequence
        self._unsaved.append((sequence, record))
        if len(self._unsaved) >= COMMIT_RECORDS:
            self._commit(self._clock(), force=True)

    def _commit(self, now: float, *, force: bool = False) -> None:
        if not self._unsaved or (not force and now - self._last_commit < COMMIT_EVERY):
            return
        self._last_commit = now
        records, self._unsaved = self._unsaved, []
        try:
            stored = self._own.put(records)
            reason = "full"
        except SpoolError as error:
            stored = 0
            reason = str(error)
        self._counters.spooled += stored
        if stored == len(records):
            if self.refusing_since is not None:
                self.refusing_since = None
                self._log.warning("spool_takes_again")
            return
        self._counters.lost += len(records) - stored
        if self.refusing_since is None:
            self.refusing_since = now
            self._log.error(
                "spool_refuses", reason=reason, dropped=len(records) - stored, bytes=self._own.bytes
            )

    def _adopt(self, now: float) -> None:
        self._adopt_at = now + ADOPT_EVERY
        found = adopt(self._settings.spool_dir, self._settings.spool_limit, self._own.folder)
        found = [spool for spool in found if spool.folder not in self._folders()]
        for spool in found:
            self._log.info("spool_adopted", folder=spool.folder.name, records=spool.records)
        self._inherited += found
        if found and self.mode == "direct":
            # Its records are older than any that comes now: they go first.
            self._set_aside("an adopted spool goes first")

    def _folders(self) -> set[Any]:
        return {spool.folder for spool in self._inherited}

    def _first(self) -> Spool:
        return self._inherited[0] if self._inherited else self._own

    # -- draining --------------------------------------------------------------------------------

    def _begin_drain(self, now: float) -> None:
        self._commit(now, force=True)
        self._producer = self._new_producer()
        self._produce = self._producer.produce
        self.mode = "draining"
        self._batch_size = DRAIN_RECORDS
        self._acked_at = now
        self._next_batch(now)

    def _next_batch(self, now: float) -> None:
        spool = self._first()
        while self._inherited and not spool.records:
            self._inherited.pop(0).close()
            spool = self._first()
        if not spool.records:
            self._commit(now, force=True)
        if not spool.records:
            self._to_direct(now)
            return
        self._batch = spool.head(self._batch_size, DRAIN_BYTES)
        self._batch_failed = {}
        self._acked = len(self._batch)
        self._acked_at = now
        for sequence, record in self._batch:
            try:
                self._produce(
                    record.topic,
                    record.value,
                    record.key,
                    on_delivery=partial(self._drain_failed, sequence),
                    headers=record.headers,
                )
            except KafkaException as error:
                self._batch_failed[sequence] = error.args[0]
            except BufferError:  # the rest of the batch is sent in the next round
                self._batch = [n for n in self._batch if n[0] < sequence]
                break

    def _drain_failed(self, sequence: int, error: KafkaError, _message: Any) -> None:
        self._batch_failed[sequence] = error

    def _drain(self, now: float) -> None:
        waiting = len(self._producer)
        if waiting:
            if waiting != self._acked:
                self._acked, self._acked_at = waiting, now
            elif now - self._acked_at > STALL:
                self._back_to_spooling(now, f"no acknowledgement for {STALL:.0f}s")
            return
        if not self._batch_failed:
            self._pause = RETRY_FIRST
            self._delivered([sequence for sequence, _ in self._batch])
            if self._batch_size == 1:
                self._batch_size = DRAIN_RECORDS if self._lone_ended() else 1
            self._next_batch(now)
            return
        errors = list(self._batch_failed.values())
        refused = [error for error in errors if error.code() in _REFUSED]
        if refused and len(self._batch) == 1:
            self._delivered([self._batch[0][0]], rejected=True)
            self._reject(self._batch[0][1], refused[0])
            self._next_batch(now)
        elif refused:
            # One of them is at fault, the others only its neighbours: send each alone.
            self._batch_size = 1
            self._lone = len(self._batch)
            self._restart(now)
        else:
            self._back_to_spooling(now, errors[0].str())

    _lone = 0

    def _lone_ended(self) -> bool:
        """Counts the records of a refused batch that are sent one by one."""
        self._lone -= 1
        return self._lone <= 0

    def _delivered(self, sequences: list[int], *, rejected: bool = False) -> None:
        try:
            self._first().remove(sequences)
        except SpoolError as error:
            # They are in Kafka; they will be sent again, which ids make harmless.
            self._log.error("spool_not_shortened", error=error)
        if not rejected:
            self._drained += len(sequences)

    _drained = 0

    def _reject(self, record: Record, error: KafkaError) -> None:
        """Kafka refuses a record for good: it becomes a dead letter, a dead letter a shorter one"""
        self._counters.rejected += 1
        if record.topic == self._settings.dead_letter_topic:
            limit = len(record.value) // 2
            if limit < LEAST_DEAD_LETTER:
                self._counters.lost += 1
                self._log.error("dead_letter_refused", code=error.name(), bytes=len(record.value))
                return
            headers = [h for h in record.headers if not h[0].endswith("truncated-bytes")]
            full = next(
                (str(h[1]) for h in record.headers if h[0].endswith("truncated-bytes")),
                str(len(record.value)),
            )
            headers.append(("mirror.errors.truncated-bytes", full))
            self._send(Record(record.topic, record.key, record.value[:limit], headers))
            return
        source = next((str(h[1]) for h in record.headers if h[0] == "ce_source"), "")
        self._log.error("record_refused", code=error.name(), bytes=len(record.value))
        self.dead_letter(
            record.value,
            source_topic=source.rpartition("/")[2] or None,
            stage="produce",
            error=error.name(),
            message="Kafka refuses the record",
        )

    def _restart(self, now: float) -> None:
        """A fresh producer at once: the old one's sequence numbers have a hole."""
        self._producer.purge()
        self._producer.poll(0)
        self._producer = self._new_producer()
        self._produce = self._producer.produce
        self._next_batch(now)

    def _back_to_spooling(self, now: float, reason: str) -> None:
        self.mode = "spooling"
        self.reason = reason
        self._batch = []
        self._batch_failed = {}
        self._producer.purge(in_queue=True, in_flight=True, blocking=True)
        self._producer.poll(0)
        self._pause = min(self._pause * 2, RETRY_MOST)
        self._retry_at = now + self._pause

    def _to_direct(self, now: float) -> None:
        self.mode = "direct"
        self.reason = self._trouble = ""
        self._batch = []
        self._acked = self._sequence
        self._acked_at = now
        self._log.info("kafka_back", drained=self._drained)
        self._drained = 0

    def _account(self, now: float) -> None:
        counters = self._counters
        pending = self.pending
        counters.produced = self._sequence
        counters.spool_records = self._own.records + sum(s.records for s in self._inherited)
        counters.spool_bytes = self._own.bytes + sum(s.bytes for s in self._inherited)
        durable = self._sequence - pending
        counters.delivered = max(0, durable - self._own.records - counters.lost)
        checkpoints = self._checkpoints
        while checkpoints and checkpoints[0][1] <= durable:
            self._durable_at = checkpoints.popleft()[0]
        if not pending:
            self._durable_at = now
        elif not checkpoints or now - checkpoints[-1][0] >= CHECKPOINT_EVERY:
            checkpoints.append((now, self._sequence))

    def _new_producer(self) -> Producer:
        log = ClientLog("listener.kafka")
        return Producer(producer_config(self._settings, "listener"), **log.options())
