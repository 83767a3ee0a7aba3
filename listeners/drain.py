"""Sends what was spooled, oldest first, a batch at a time.

A batch is removed from the spool only after all of it was acknowledged (I9). A batch of which Kafka
refuses a record for good is sent again one by one, for brokers refuse batches as a whole; the one
that is refused alone is handed to `reject`. Any other failure ends the drain: the records are still
in the spool, and a later one begins with them. What reached Kafka all the same is sent twice, which
ids make harmless.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from listeners.spool import Numbered, SpoolBroken, SpoolError
from listeners.store import Source, Store
from mirror.kafka.limits import REFUSED
from mirror.kafka.record import Record
from mirror.log import logger

BATCH_RECORDS: Final = 2_000
BATCH_BYTES: Final = 4 * 1024 * 1024
STALL: Final = 5.0  # seconds without any acknowledgement, while records wait


class Drain:
    """One attempt to empty the spools, with a producer of its own."""

    def __init__(
        self,
        store: Store,
        new_producer: Callable[[], Producer],
        reject: Callable[[Record, KafkaError], None],
        now: float,
    ) -> None:
        self.delivered = 0
        self.failure = ""
        self.producer = new_producer()
        self._new_producer = new_producer
        self._store = store
        store.commit(now)  # what was taken back last may be older than all that is on disk
        self._reject = reject
        self._log = logger("listener.spool")
        self._spool: Source = store.first()  # where the batch is from
        self._batch: list[Numbered] = []
        self._failed: dict[int, KafkaError] = {}
        self._alone = 0  # records still to be sent one by one
        self._waiting = 0
        self._progress_at = now

    def step(self, now: float) -> bool:
        """Go on; true when the spools are empty. `failure` says why it cannot go on."""
        if self._batch:
            self.producer.poll(0)
            waiting = len(self.producer)
            if waiting:
                if waiting != self._waiting:
                    self._waiting, self._progress_at = waiting, now
                elif now - self._progress_at > STALL:
                    self.failure = f"no acknowledgement for {STALL:.0f}s"
                return False
            if not self._settle():
                return False
        return self._next(now)

    def abandon(self) -> None:
        """Give up what was sent and not acknowledged; it is still in the spool."""
        self._batch = []
        self.producer.purge(in_queue=True, in_flight=True, blocking=True)
        self.producer.poll(0)

    def _settle(self) -> bool:
        """A batch has its reports; whether there is more to send."""
        batch, self._batch = self._batch, []
        errors, self._failed = self._failed, {}
        if not errors:
            self._remove(batch)
            self.delivered += len(batch)
            self._alone = max(0, self._alone - len(batch))
            return True
        refused = [error for error in errors.values() if error.code() in REFUSED]
        if not refused:
            self.failure = next(iter(errors.values())).str()
            return False
        # The failed numbers leave a hole in this producer's sequence: the next one has none.
        self.producer.purge()
        self.producer.poll(0)
        self.producer = self._new_producer()
        if len(batch) == 1:
            self._reject(batch[0][1], refused[0])
            self._remove(batch)
            self._alone = max(0, self._alone - 1)
        else:
            self._alone = len(batch)
        return True

    def _next(self, now: float) -> bool:
        store = self._store
        if not store.first().records:
            store.commit(now)
        spool = store.first()
        if not spool.records:
            return True
        self._spool = spool
        try:
            self._batch = spool.head(1 if self._alone else BATCH_RECORDS, BATCH_BYTES)
        except SpoolError as error:
            self._give_up(spool, error)
            return False
        for index, (sequence, record) in enumerate(self._batch):
            try:
                self.producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    on_delivery=partial(self._report, sequence),
                    headers=record.headers,
                )
            except KafkaException as error:
                self._failed[sequence] = error.args[0]
            except BufferError:  # the rest waits for the next round
                self._batch = self._batch[:index]
                break
        self._waiting = len(self.producer)
        self._progress_at = now
        return False

    def _report(self, sequence: int, error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            self._failed[sequence] = error

    def _remove(self, batch: list[Numbered]) -> None:
        try:
            self._spool.remove([sequence for sequence, _ in batch])
        except SpoolError as error:
            self._log.error("spool_not_shortened", error=error)
            self._give_up(self._spool, error)

    def _give_up(self, source: Source, error: SpoolError) -> None:
        """End this drain; the next one finds a damaged spool replaced by what is whole in it."""
        self.failure = str(error)
        if isinstance(error, SpoolBroken):
            self._store.mend(source)
