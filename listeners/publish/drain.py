"""Sends the stored records to Kafka, each lane by itself, oldest first.

    waiting ──(its turn)──▶ in flight ──(acknowledged)──▶ removed from the store
       ▲                        │
       └──(a pause)──(failed)───┤
                                └──(refused, alone in its batch)──▶ a dead letter

A lane has a bounded window in flight, and a small window until its first acknowledgement.
Acknowledged records are removed from the store (I9) and never sent again. Records in flight stay in
the store until then. So a lane that stands still costs the others nothing: librdkafka keeps trying
it, and the lane goes on where it stood. After a failure the lane is sent again from the first
failed record on, after a growing pause. Brokers refuse a batch as a whole. So records of a refused
batch are sent again one by one, and a record that is refused alone is replaced by its dead letter.

One producer serves all lanes. It is made before it is needed, because it needs a producer id from
the brokers, which they may not give while a broker is away, and the topics' partitions
(`listeners.publish.metadata`). It is replaced after a fault of its own, or when none of its lanes
has moved for `RENEW_AFTER_SECONDS`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from listeners.publish.held import Source
from listeners.publish.lanes import STALL_SECONDS, Lane, LaneWatch, places
from listeners.publish.line import BEFORE_ALL, PAUSE_FIRST_SECONDS, Line, Problem
from listeners.publish.metadata import Metadata
from listeners.publish.producers import purge
from listeners.publish.spool import SpoolBroken, SpoolError
from listeners.publish.store import Store
from mirror.base.log import logger
from mirror.kafka import faults
from mirror.kafka.client import let_go
from mirror.kafka.partition import Partitions
from mirror.kafka.polling import serve
from mirror.kafka.record import Record

WINDOW_RECORDS: Final = 500
WINDOW_BYTES: Final = 1024 * 1024
TRIAL_RECORDS: Final = 20  # in flight in a lane before its first acknowledgement
MOST_IN_FLIGHT: Final = 4_000
STEP_SECONDS: Final = 0.02
REMOVE_EVERY_SECONDS: Final = 0.05
REMOVE_RECORDS: Final = 500
PAUSE_MOST_SECONDS: Final = 5.0
# librdkafka keeps trying by itself; this covers the case that it does not.
RENEW_AFTER_SECONDS: Final = 300.0
STATISTICS_MS: Final = 1_000


class Drain:
    """Empties the store as far as Kafka takes it. All methods belong to one thread."""

    def __init__(
        self,
        store: Store,
        make: Callable[[float, Callable[[str], None]], Producer | None],
        reject: Callable[[Record, KafkaError], bool],
        partitions: Partitions,
        last_error: Callable[[], str] = str,
        told: Callable[[Record, int], None] = lambda _record, _count: None,
        topics: Sequence[str] = (),
    ) -> None:
        """`make` returns a producer that reports every delivery, None if it cannot now.

        `reject` puts the dead letter of a record into the store, and returns whether the record may
        be removed. `last_error` returns librdkafka's last error. `told` is called with a sample
        record of each acknowledged batch and the batch's size. The producer learns the partitions
        of `topics` before it sends anything.
        """
        self.delivered = 0
        self.acked_at: float | None = None  # when Kafka last took a record
        self._store = store
        self._make = make
        self._reject = reject
        self._partitions = partitions
        self._last_error = last_error
        self._told = told
        self._metadata = Metadata(topics)
        self._log = logger("listener.spool")
        self._producer: Producer | None = None
        self._old: Producer | None = None  # purged, and not yet empty
        self._watch = LaneWatch(0.0, partitions)
        self._lines: dict[Lane, Line] = {}
        self._removed_at = 0.0
        self._turn = 0

    # -- what others see -------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Records sent and not yet acknowledged."""
        return sum(len(line.sent) for line in self._lines.values())

    def is_moving(self, now: float) -> bool:
        """Whether at least one lane is not known to stand still."""
        return any(
            line.problem is None and (line.sent or line.acked or now >= line.resume_at)
            for line in self._lines.values()
        )

    def problems(self) -> list[Problem]:
        """Why lanes wait."""
        return [line.problem for line in self._lines.values() if line.problem is not None]

    def suspect(self, topic: str, partition: int, text: str) -> None:
        """Note that a lane stood still in another producer, and report it until it moves here."""
        for lane in self._store.lanes_waiting():
            if lane.topic == topic and partition in {lane.partition, -1}:
                line = self._line(lane)
                self._tell(line, Problem(topic, lane.partition, "partition", text, _SEE_LEADER))

    # -- work ------------------------------------------------------------------------------------

    def step(self, now: float, *, may_send: bool) -> None:
        """Serve reports, remove acknowledged records, send the next ones if `may_send`."""
        if self._old is not None:
            serve(self._old)
            if not len(self._old):
                last = [self._old]
                self._old = None
                let_go(last)
        if self._producer is not None:
            serve(self._producer)
        for line in list(self._lines.values()):
            if line.reports:
                self._settle(line, now)
        while self._store.broken:
            self._start_over(self._store.broken.pop(), SpoolBroken("a file was cut"))
        self._remove(now)
        self._look(now)
        if self._producer is None and self._old is None:
            self._producer = self._make(now, self._watch.statistics)
            self._metadata.forget()
        if self._producer is not None and not self._store.waiting:
            self._metadata.look(self._producer, now)
        if may_send and self._producer is not None and self._store.waiting:
            self._send(self._producer, now)

    def is_quiet(self, topic: str) -> bool:
        """Whether no record of a topic is in flight."""
        return all(line.is_idle for lane, line in self._lines.items() if lane.topic == topic)

    def is_stuck(self, topic: str) -> bool:
        """Whether records of a topic are in flight and do not move."""
        return any(
            line.sent and line.problem is not None
            for lane, line in self._lines.items()
            if lane.topic == topic
        )

    def restart(self) -> None:
        """Give up the records in flight and start over: lanes are about to change."""
        if self._forget([line for line in self._lines.values() if line.acked]):
            self._renew()
            self._lines.clear()

    def close(self) -> None:
        """Give up the records in flight; they are still in the store. The last call."""
        for line in self._lines.values():
            if line.reports:
                self._settle(line, 0.0)
        self._remove(float("inf"))
        if self._producer is not None:
            purge(self._producer)

    # -- reports ---------------------------------------------------------------------------------

    def _report(self, line: Line, sequence: int, error: KafkaError | None, _message: Any) -> None:
        line.reports.append((sequence, error))

    def _settle(self, line: Line, now: float) -> None:
        reports, line.reports = line.reports, []
        taken = 0
        for sequence, error in reports:
            if sequence not in line.sent:
                continue  # from before a restart
            line.sent.discard(sequence)
            if error is None:
                line.acked.append(sequence)
                taken += 1
                if line.sample is not None and line.sample.sequence == sequence:
                    self._told(line.sample.record, line.sample_of)
                    line.sample = None
            else:
                line.failed[sequence] = error
        if taken:
            self._store.acknowledge(line.lane, taken)
            self.delivered += taken
            self.acked_at = line.moved_at = now
            line.proven = True
            line.pause = PAUSE_FIRST_SECONDS
            line.alone = max(0, line.alone - taken)
            if line.problem is not None:
                self._log.info(
                    "lane_recovered", topic=line.lane.topic, partition=line.lane.partition
                )
                line.problem = None
        if line.failed and not line.sent:
            self._judge(line, now)

    def _judge(self, line: Line, now: float) -> None:
        """Decide on a lane whose records in flight all have reports, some of them failures."""
        if not self._forget([line]):
            return
        failed, line.failed = line.failed, {}
        first = min(failed)
        line.cursor = first - 1
        kinds = {sequence: faults.judge(error) for sequence, error in failed.items()}
        waits = [sequence for sequence, kind in kinds.items() if kind not in {"record", "ours"}]
        if waits:
            error = failed[min(waits)]
            line.resume_at = now + line.pause
            line.pause = min(PAUSE_MOST_SECONDS, line.pause * 2)
            line.proven = False
            kind = faults.judge(error)
            self._tell(
                line,
                Problem(
                    line.lane.topic,
                    line.lane.partition,
                    kind,
                    faults.words(error),
                    faults.step(error),
                ),
            )
            if kind == "client":
                self._renew()
        elif "record" in kinds.values():
            if not line.alone:
                line.alone = len(failed)
            elif self._dead_letter(line, first, failed[first]):
                line.alone -= 1
            else:
                line.resume_at = now + PAUSE_MOST_SECONDS

    def _dead_letter(self, line: Line, sequence: int, error: KafkaError) -> bool:
        """Replace a record that was refused alone by its dead letter in the store. False if there
        is no place for it."""
        source = line.source
        assert source is not None
        try:
            found = source.head(line.lane, sequence - 1, 1, 1)
            if not found or found[0].sequence != sequence:
                return True  # counted as lost while it was in flight: no room
            if not self._reject(found[0].record, error):
                return False
            self._store.acknowledge(line.lane, 1)
            self._store.remove(source, {line.lane: [sequence]})
        except SpoolError as broken:
            self._start_over(source, broken)
        return True

    def _tell(self, line: Line, problem: Problem) -> None:
        if line.problem is None or line.problem.text != problem.text:
            self._log.warning(
                "lane_stalled",
                topic=problem.topic,
                partition=problem.partition,
                reason=problem.text,
                step=problem.step,
            )
        line.problem = problem

    # -- the store -------------------------------------------------------------------------------

    def _remove(self, now: float) -> None:
        """Remove acknowledged records, in one write to each spool."""
        many = sum(len(line.acked) for line in self._lines.values())
        if not many or (now - self._removed_at < REMOVE_EVERY_SECONDS and many < REMOVE_RECORDS):
            return
        self._removed_at = now
        self._forget([line for line in self._lines.values() if line.acked])

    def _forget(self, lines: list[Line]) -> bool:
        """Remove the acknowledged records of these lines; False if a spool was found damaged."""
        sources: dict[int, tuple[Source, dict[Lane, list[int]]]] = {}
        for line in lines:
            if line.acked and line.source is not None:
                _, gone = sources.setdefault(id(line.source), (line.source, {}))
                gone[line.lane], line.acked = line.acked, []
        for source, gone in sources.values():
            try:
                self._store.remove(source, gone)
            except SpoolError as error:
                self._log.error("spool_removal_failed", error=error)
                self._start_over(source, error)
                return False
        return True

    def _start_over(self, source: Source, error: SpoolError) -> None:
        """Replace a damaged spool by its intact part, and start over."""
        self._renew()
        self._lines.clear()
        self._store.start_over()
        if isinstance(error, SpoolBroken):
            try:
                self._store.replace_damaged(source)
            except SpoolError as failed:  # the next look tries again
                self._log.error("spool_repair_failed", error=failed)

    def _renew(self) -> None:
        """Replace the producer; its records in flight are reported as purged."""
        if self._producer is not None and self._old is None:
            purge(self._producer)
            self._old, self._producer = self._producer, None
            self._watch = LaneWatch(0.0, self._partitions)

    # -- sending ---------------------------------------------------------------------------------

    def _look(self, now: float) -> None:
        """Forget empty lanes; note lanes that stand still."""
        waiting = self._store.waiting
        for lane in [lane for lane, line in self._lines.items() if line.is_idle]:
            if lane not in waiting:
                del self._lines[lane]
        moved_at = [line.moved_at for line in self._lines.values() if line.sent]
        for line in self._lines.values():
            if line.sent and now - line.moved_at > STALL_SECONDS and line.problem is None:
                lane = line.lane
                leader = self._watch.leader(lane.topic, lane.partition)
                said = ", ".join(part for part in (leader, self._last_error()) if part)
                text = f"no acknowledgement for {STALL_SECONDS:.0f}s" + (
                    f" ({said})" if said else ""
                )
                problem = Problem(lane.topic, lane.partition, "partition", text, _SEE_LEADER)
                self._tell(line, problem)
        if moved_at and now - max(moved_at) > RENEW_AFTER_SECONDS:
            self._renew()

    def _send(self, producer: Producer, now: float) -> None:
        lanes = self._store.lanes_waiting()
        until = time.monotonic() + STEP_SECONDS
        room = MOST_IN_FLIGHT - self.in_flight
        for index in range(len(lanes)):
            if room <= 0 or time.monotonic() > until:
                self._turn += index
                return
            lane = lanes[(self._turn + index) % len(lanes)]
            room -= self._feed(producer, self._line(lane), room, now)
        self._turn += 1

    def _line(self, lane: Lane) -> Line:
        line = self._lines.get(lane)
        if line is None:
            line = self._lines[lane] = Line(lane=lane)
        return line

    def _feed(self, producer: Producer, line: Line, room: int, now: float) -> int:
        """Send as many records of a lane as its window has room for. Returns their number."""
        lane, sent = line.lane, line.sent
        if now < line.resume_at or line.failed or line.reports or not self._is_placed(lane):
            return 0
        window = 1 if line.alone else WINDOW_RECORDS if line.proven else TRIAL_RECORDS
        free = min(window - len(sent), room)
        if free <= 0 or len(sent) > window // 2:
            return 0
        if line.is_idle:  # the source changes only while nothing is in flight
            line.source, line.cursor = self._store.source(lane), BEFORE_ALL
        source = line.source
        if source is None:  # on its way to the disk
            return 0
        try:
            batch = source.head(lane, line.cursor, free, WINDOW_BYTES)
            if not batch and line.is_idle and lane in source.lanes:
                raise SpoolBroken(f"the spool's index lacks records of {lane.topic}")
        except SpoolError as error:
            self._log.error("spool_read_failed", error=error)
            self._start_over(source, error)
            return 0
        if not sent:
            line.moved_at = now
            line.sample = None
        if batch and line.sample is None:
            line.sample, line.sample_of = batch[-1], 0
        line.sample_of += len(batch)
        for count, numbered in enumerate(batch):
            sequence, record = numbered.sequence, numbered.record
            try:
                producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    partition=lane.partition,
                    on_delivery=partial(self._report, line, sequence),
                    headers=record.headers,
                )
            except BufferError:  # the rest waits for its next turn
                return count
            except KafkaException as error:
                cause = faults.cause(error) or KafkaError(KafkaError._FAIL, str(error))
                line.reports.append((sequence, cause))
            sent.add(sequence)
            line.cursor = sequence
        return len(batch)

    def _is_placed(self, lane: Lane) -> bool:
        """Whether the lane fits its topic's present number of partitions."""
        partitions = self._partitions.get(lane.topic, 0)
        if not partitions:  # not known yet: the lane was right when it was stored
            return True
        first, end = places(partitions)
        return first <= lane.place < end


_SEE_LEADER: Final = "see the broker that leads this partition"
