"""The producers that send records straight to Kafka, without the spool, one after the other.

    candidate ──(has its producer id)──▶ producer ──(set aside)──▶ retiring ──▶ gone

A producer is retired if a delivery failed, or if one lane or all lanes stand still. A retiring
producer gets no more records. Its healthy lanes empty themselves. Then the rest is purged, and
librdkafka reports each purged record as failed. A purged producer is never used again: its
successor begins with new sequence numbers at the broker.

All methods but `failed` belong to one thread, and no method waits. While a producer is polled,
failed records are only noted (`reports`); the path (`listeners.publish.path`) takes them back in
slices. A purge can fail all records in one poll, so a thread of its own polls after it. Code that a
poll calls must not raise an exception to end the poll early. The client keeps such an exception,
and through its stack frames the producer. The statistics of that producer would then use more and
more memory until the process ends.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec
from confluent_kafka import KafkaError, Producer

from listeners.publish.lanes import SAMPLE_EVERY_MS, STALL_SECONDS, LaneWatch
from listeners.publish.producers import Producers, purge, serve_reports
from mirror.base.log import logger
from mirror.kafka.client import let_go
from mirror.kafka.partition import Partitions
from mirror.kafka.polling import serve
from mirror.kafka.record import Record
from mirror.settings import Settings

# A retiring producer is purged after GRACE_SECONDS, or when no record was delivered for
# QUIET_SECONDS: then its healthy lanes are empty.
GRACE_SECONDS: Final = 1.0
QUIET_SECONDS: Final = 0.1
CANDIDATE_SECONDS: Final = 30.0  # how long a producer may wait for its producer id
MOST_NAMED: Final = 5

Suspect = tuple[str, int, str]  # topic, partition, and why it seems to stand still
Report = tuple[int, Record | None, Any]  # a record's number, the record if known, the message


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
        self.reports: deque[Report] = deque()  # failed records, to be taken back by the path
        self._producers = Producers(settings, "listener")
        self._partitions = partitions
        self._clock = clock
        self._watch = LaneWatch(now, partitions)
        self._candidate: _Candidate | None = None
        self._acked = 0
        self._acked_at = now
        self._problem: tuple[str, int, KafkaError] | None = None  # from the reports of this poll
        self._purged: threading.Thread | None = None  # serves the reports of the purge
        self._left = 0  # records in the retiring producer, when their number last fell
        self._less_at = now
        self._log = logger("listener.publisher")

    @property
    def reason(self) -> str:
        """Why no producer can be made now, empty if one can."""
        return self._producers.reason

    @property
    def under_way(self) -> int:
        """The number of records in the producers, and of failed ones not taken back yet."""
        producers = (self.producer, self.retiring)
        waiting = sum(len(producer) for producer in producers if producer is not None)
        return len(self.reports) + waiting

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
        serve(candidate.producer)
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

    def failed(self, report: Report, error: KafkaError | None) -> None:
        """Note a failed record of this poll; `error` is None if our own purge failed it.

        Called by the thread that polls. The record is only noted, because librdkafka must not be
        called from within its callback.
        """
        self.reports.append(report)
        if error is not None and self._problem is None:
            message = report[2]
            self._problem = (message.topic(), message.partition(), error)

    def why_not(self, waiting: int, acked: int, now: float) -> str:
        """Why the producer must be retired, empty while it works.

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
            details = ", ".join(part for part in (place.leader, said) if part)
            text = f"no acknowledgement for {STALL_SECONDS:.0f}s" + (
                f" ({details})" if details else ""
            )
            self.suspects.append((place.topic, place.partition, text))
        names = ", ".join(
            f"{partition.topic}/{partition.partition}" for partition in stalled[:MOST_NAMED]
        )
        return f"no acknowledgement for {STALL_SECONDS:.0f}s: {names or 'all'}"

    def set_aside(self, reason: str, now: float) -> None:
        """Retire the producer in use."""
        assert self.producer is not None
        self.retiring, self.producer = self.producer, None
        self._purged = None
        self._problem = None
        self.retired_at = self._less_at = now
        self._left = len(self.retiring)
        if self.under_way:  # else the process stops, and nothing is left to do
            self._log.warning("producer_failed_over_to_spool", reason=reason, waiting=self._left)

    def retire(self, now: float, *, hurry: bool = False) -> bool:
        """Continue the retirement. Returns whether the retiring producer is empty and gone.

        `hurry`: healthy lanes get no more time.
        """
        producer = self.retiring
        assert producer is not None
        if self._purged is not None and self._purged.is_alive():
            return False
        serve(producer)
        left = len(producer)
        if left < self._left:
            self._left, self._less_at = left, now
        if not left and not self.reports:
            last = [producer]
            self.retiring = None
            del producer
            let_go(last)
            return True
        quiet = now - self._less_at > QUIET_SECONDS or now - self.retired_at > GRACE_SECONDS
        if self._purged is None and (hurry or quiet):
            purge(producer)
            self._purged = serve_reports(producer)
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
