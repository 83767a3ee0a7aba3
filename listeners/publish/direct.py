"""The producers of the direct way, one after the other.

    candidate ──(has its producer id)──▶ producer ──(set aside)──▶ retiring ──▶ gone

A producer is retired if a delivery failed, or if a lane or all lanes stand still. It gets no more
records then: healthy lanes empty themselves, and the rest is purged, which reports each record as
failed. A purged producer is never used again: its successor begins with sequence numbers of its own
at the broker.

All methods belong to one thread, and none waits. Failed reports are taken in slices.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import msgspec
from confluent_kafka import KafkaError, Producer

from listeners.publish.lanes import SAMPLE_EVERY_MS, STALL_SECONDS, LaneWatch
from listeners.publish.producers import Producers, let_go, purge
from mirror.base.log import logger
from mirror.kafka.partition import Partitions
from mirror.settings import Settings

# A retired producer: the time for healthy lanes to empty, and the pause that shows that they have.
GRACE_SECONDS: Final = 1.0
QUIET_SECONDS: Final = 0.1
SLICE: Final = 400  # failed reports per poll
CANDIDATE_SECONDS: Final = 30.0  # how long a producer may wait for its producer id
MOST_NAMED: Final = 5

Suspect = tuple[str, int, str]  # topic, partition, and the sign of its standstill


class _Enough(Exception):
    """A slice of reports was taken: librdkafka keeps the rest for the next poll."""


class _Candidate(msgspec.Struct, frozen=True):
    """A producer without a producer id yet, and the watch of its lanes."""

    producer: Producer
    watch: LaneWatch
    at: float


class Direct:
    """The producer in use, the retiring one, and the candidate."""

    def __init__(
        self,
        settings: Settings,
        partitions: Partitions,
        now: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`partitions`: topic → partitions for its keys; updated here."""
        self.producer: Producer | None = None
        self.retiring: Producer | None = None
        self.retired_at = now
        self.suspects: list[Suspect] = []
        self._producers = Producers(settings, "listener")
        self._partitions = partitions
        self._clock = clock
        self._watch = LaneWatch(now, partitions)
        self._candidate: _Candidate | None = None
        self._acked = 0
        self._acked_at = now
        self._problem: tuple[str, int, KafkaError] | None = None  # from the reports of this poll
        self._purged = False
        self._left = 0  # records in the retiring producer, when their number last fell
        self._less_at = now
        self._slice = SLICE
        self._log = logger("listener.publisher")

    @property
    def reason(self) -> str:
        """Why no producer can be made now, empty if one can."""
        return self._producers.reason

    @property
    def under_way(self) -> int:
        """Records in the producers."""
        return sum(
            len(producer) for producer in (self.producer, self.retiring) if producer is not None
        )

    def begin(self, now: float) -> None:
        """Make the first producer and use it at once: there are no records to overtake."""
        candidate = self._make(now)
        if candidate is not None:
            self._use(candidate, now)

    def reopen(self, now: float, *, may_make: bool) -> bool:
        """Make a producer, and use it when it has its producer id. Returns whether it is in use."""
        candidate = self._candidate
        if candidate is None:
            if may_make:
                self._candidate = self._make(now)
            return False
        candidate.producer.poll(0)
        if candidate.watch.is_ready:
            self._candidate = None
            self._use(candidate, now)
            return True
        if now - candidate.at > CANDIDATE_SECONDS:
            self._candidate = None
            last = [candidate.producer]
            del candidate
            let_go(last)
        return False

    def poll(self, producer: Producer) -> None:
        """Serve its reports, a slice of them."""
        self._slice = SLICE
        try:
            producer.poll(0)
        except _Enough:
            return

    def failed(self, topic: str, partition: int, error: KafkaError | None) -> None:
        """A delivery in this poll failed; `error` is None if our own purge caused it.

        Only notes it: librdkafka must not be called from within its callback. Raises `_Enough` at
        the end of the slice.
        """
        if error is not None and self._problem is None:
            self._problem = (topic, partition, error)
        self._slice -= 1
        if self._slice <= 0:
            raise _Enough

    def why_not(self, waiting: int, acked: int, now: float) -> str:
        """Why the producer is of no more use, empty while it is useful.

        `waiting` counts its records without a report, `acked` all records ever acknowledged.
        """
        if self._problem is not None:
            topic, number, error = self._problem
            return f"{topic}/{number}: {error.name()}: {error.str()}"
        if acked != self._acked or not waiting:
            self._acked, self._acked_at = acked, now
        stalled = self._watch.stalled(now)
        if not stalled and now - self._acked_at <= STALL_SECONDS:
            return ""
        said = self._producers.client_log.last_error
        for place in stalled:
            where = ", ".join(part for part in (place.leader, said) if part)
            text = f"no acknowledgement for {STALL_SECONDS:.0f}s" + (f" ({where})" if where else "")
            self.suspects.append((place.topic, place.partition, text))
        names = ", ".join(
            f"{partition.topic}/{partition.partition}" for partition in stalled[:MOST_NAMED]
        )
        return f"no acknowledgement for {STALL_SECONDS:.0f}s: {names or 'all'}"

    def set_aside(self, reason: str, now: float) -> None:
        """Retire the producer in use."""
        assert self.producer is not None
        self.retiring, self.producer = self.producer, None
        self._purged = False
        self._problem = None
        self.retired_at = self._less_at = now
        self._left = len(self.retiring)
        self._log.warning("producer_failed_over_to_spool", reason=reason, waiting=self._left)

    def retire(self, now: float, *, hurry: bool = False) -> bool:
        """Continue the retirement. Returns whether the retiring producer is empty and gone.

        `hurry`: healthy lanes get no more time.
        """
        producer = self.retiring
        assert producer is not None
        self.poll(producer)
        left = len(producer)
        if left < self._left:
            self._left, self._less_at = left, now
        if not left:
            last = [producer]
            self.retiring = None
            del producer
            let_go(last)
            return True
        quiet = now - self._less_at > QUIET_SECONDS or now - self.retired_at > GRACE_SECONDS
        if not self._purged and (hurry or quiet):
            self._purged = True
            purge(producer)
            self.poll(producer)
        return False

    def durable_at(self, now: float) -> float:
        """The time up to which all records of the producer in use are acknowledged (I9)."""
        if self.producer is None:
            return now
        if not len(self.producer):
            self._watch.is_empty(now)
        return self._watch.durable_at()

    def _make(self, now: float) -> _Candidate | None:
        watch = LaneWatch(now, self._partitions, self._clock)
        producer = self._producers.make(now, watch.statistics, SAMPLE_EVERY_MS, all_reports=False)
        return None if producer is None else _Candidate(producer, watch, now)

    def _use(self, candidate: _Candidate, now: float) -> None:
        self.producer, self._watch = candidate.producer, candidate.watch
        self._watch.is_empty(now)
        self._acked, self._acked_at = -1, now
