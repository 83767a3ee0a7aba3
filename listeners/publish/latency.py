"""Measures how long records take to reach Kafka, from counts that the publisher has anyway. Pure.

`read`: from the last byte of a frame to the acknowledgement of its records. A mark stands for the
records of about 5 ms. A mark is done when as many records are acknowledged as were handed in up to
it, as if lanes did not overtake each other. The mean stays exact; single late records are blurred.
`occurred`: from Genesys' time of one event of a mark, by our clock.

Records that went through the store are measured by samples, when Kafka has them (`waited`). So are
records that were taken back from a producer.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from mirror.base.tally import Tally
from mirror.conversation.event import Event
from mirror.conversation.times import epoch
from mirror.kafka.record import Header, NativeRecord, Record

BOUNDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    *(30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0),
)
MARK_SECONDS: Final = 0.005
MOST_MARKS: Final = 20_000  # beyond that marks grow longer
_TIME: Final = rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"
# In JSON and in MessagePack.
_RECEIVED: Final = re.compile(rb"received_at.{1,4}?" + _TIME, re.DOTALL)
_LIVE: Final = ("live", b"live")
_DATED: Final = re.compile(rb"estimated(?:\":\s?false|\xc2)")


class _Mark(msgspec.Struct):
    """Records up to the `entered`-th were read at `at`; `occurred` is epoch seconds, 0 unknown."""

    entered: int
    at: float
    occurred: float


class Latency:
    """The tallies of one publisher. Its thread adds, the spool's by `waited`; any may read."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._read = Tally(BOUNDS)
        self._occurred = Tally(BOUNDS)
        self._waited_read = Tally(BOUNDS)
        self._waited_occurred = Tally(BOUNDS)
        self._marks: deque[_Mark] = deque()
        self._done = 0

    def tallies(self) -> Mapping[tuple[str, ...], Tally]:
        """Start of the measurement (`read`, `occurred`) → tally."""
        return {
            ("read",): self._read.merged(self._waited_read),
            ("occurred",): self._occurred.merged(self._waited_occurred),
        }

    def begin(self, entered: int) -> None:
        """Start over: no record is under way; `entered` records were handed in so far."""
        self._marks.clear()
        self._done = entered

    def mark(self, entered: int, at: float, latest: Event) -> None:
        """Records up to the `entered`-th were read at `at`; `latest` is their last event."""
        if not self._is_within(entered, at):
            is_dated = latest.origin == "live" and not latest.estimated
            occurred = epoch(latest.occurred_at) if is_dated else 0.0
            self._marks.append(_Mark(entered, at, occurred))

    def mark_record(self, entered: int, at: float, latest: NativeRecord) -> None:
        """Like `mark`, for a last event that is encoded already."""
        if not self._is_within(entered, at):
            value, _, headers, _ = latest
            self._marks.append(_Mark(entered, at, _occurred(value, headers)))

    def _is_within(self, entered: int, at: float) -> bool:
        """Whether the last mark is young enough to stand for these records too."""
        marks = self._marks
        if not marks or (at - marks[-1].at >= MARK_SECONDS and len(marks) < MOST_MARKS):
            return False
        marks[-1].entered = entered
        return True

    def acknowledged(self, count: int, now: float) -> None:
        """Note that Kafka has the first `count` records."""
        marks = self._marks
        while marks and marks[0].entered <= count:
            mark = marks.popleft()
            if mark.entered > self._done:
                self._read.add(now - mark.at, mark.entered - self._done)
                self._done = mark.entered
                if mark.occurred:
                    self._occurred.add(self._wall() - mark.occurred)

    def waited(self, record: Record, count: int) -> None:
        """Kafka has a record from the store; the record stands for `count` records."""
        received = _RECEIVED.search(record.value)
        if received is None:
            return  # a dead letter, which has no such time
        now = self._wall()
        self._waited_read.add(now - epoch(received[1].decode()), count)
        if occurred := _occurred(record.value, record.headers):
            self._waited_occurred.add(now - occurred)


def _occurred(value: bytes, headers: Sequence[Header]) -> float:
    """Genesys' time of a live event's record, in epoch seconds; 0 if it has none."""
    known = dict(headers)
    moment = known.get("ce_time")
    is_dated = known.get("ce_origin") in _LIVE and _DATED.search(value) is not None
    return epoch(moment) if isinstance(moment, str) and is_dated else 0.0
