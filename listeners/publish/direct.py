"""The producers of the direct way, one after the other.

    candidate ──(has its number at the brokers)──▶ producer ──(set aside)──▶ retiring ──▶ gone

A producer is retired where a report failed, a lane stands still, or all of them do. Nothing more is
given to it then: the lanes that are well empty themselves, and what is left is purged, which
reports it as failed. A producer that was purged is never used again: its successor begins with
sequence numbers of its own at the broker.

All methods belong to one thread, and none waits. What failed is noted while a producer is polled
(`reports`), and taken back by the path in slices. Nothing may be raised from within a poll to end
it early: the client keeps such an exception, with it the frames that it passed, and with them the
producer, whose statistics then pile up for as long as the process lives.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec
from confluent_kafka import KafkaError, Producer

from listeners.publish.lanes import SAMPLE_EVERY_MS, STALL_SECONDS, LaneWatch
from listeners.publish.producers import Producers, let_go, purge
from mirror.base.log import logger
from mirror.kafka.partition import Partitions
from mirror.kafka.record import Record
from mirror.settings import Settings

# A retired producer: how long the lanes that are well may empty themselves, and when they have.
GRACE_SECONDS: Final = 1.0
QUIET_SECONDS: Final = 0.1
CANDIDATE_SECONDS: Final = 30.0  # how long a producer may wait for its number at the brokers
MOST_NAMED: Final = 5

Suspect = tuple[str, int, str]  # topic, partition, and why it is thought to stand still
Report = tuple[int, Record | None, Any]  # a record's number, itself where it is kept, the message


class _Candidate(msgspec.Struct, frozen=True):
    """A producer to be, and what watches its lanes."""

    producer: Producer
    watch: LaneWatch
    at: float


class Direct:
    """The producer in use, the one that retires, and the one to be."""

    def __init__(
        self,
        settings: Settings,
        partitions: Partitions,
        now: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`partitions`: topic → over how many its keys go; kept up to date here."""
        self.producer: Producer | None = None
        self.retiring: Producer | None = None
        self.retired_at = now
        self.suspects: list[Suspect] = []
        self.reports: deque[Report] = deque()  # that failed, to be taken back: no more than a queue
        self._producers = Producers(settings, "listener")
        self._partitions = partitions
        self._clock = clock
        self._watch = LaneWatch(now, partitions)
        self._candidate: _Candidate | None = None
        self._acked = 0
        self._acked_at = now
        self._problem: tuple[str, int, KafkaError] | None = None  # of the reports of this poll
        self._purged = False
        self._left = 0  # in the retiring producer, when that last became less
        self._less_at = now
        self._log = logger("listener.publisher")

    @property
    def reason(self) -> str:
        """Why no producer can be made now, empty where one can."""
        return self._producers.reason

    @property
    def under_way(self) -> int:
        """Records in the producers, and those of them that wait to be taken back."""
        producers = (self.producer, self.retiring)
        waiting = sum(len(producer) for producer in producers if producer is not None)
        return len(self.reports) + waiting

    def begin(self, now: float) -> None:
        """Make the first one, and use it at once: nothing is there that it could overtake."""
        candidate = self._make(now)
        if candidate is not None:
            self._use(candidate, now)

    def reopen(self, now: float, *, may_make: bool) -> bool:
        """Make a producer, and take it into use when it has its number; whether it was."""
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

    def failed(self, report: Report, error: KafkaError | None) -> None:
        """A report of this poll failed; `error` is null where that was our own doing.

        Only noted here: librdkafka must not be asked for more from within its callback.
        """
        self.reports.append(report)
        if error is not None and self._problem is None:
            message = report[2]
            self._problem = (message.topic(), message.partition(), error)

    def why_not(self, waiting: int, acked: int, now: float) -> str:
        """Why the producer is of no more use, empty where it is.

        `waiting` of its records have no report, `acked` of all that were ever handed in are gone.
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
        """Go on with the one that retires; whether nothing is left of it, and it is gone.

        `hurry`: the lanes that are well get no more time.
        """
        producer = self.retiring
        assert producer is not None
        producer.poll(0)
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
        if not self._purged and (hurry or quiet):
            self._purged = True
            purge(producer)
            producer.poll(0)
        return False

    def durable_at(self, now: float) -> float:
        """Up to when all that was given to the producer in use is acknowledged (I9)."""
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
