"""The spool's thread: does all work that waits for a disk, so that the loop never waits.

    loop     keep, hold, release ──▶  (lists under a lock)
    spool    writes kept records, adopts, repairs and moves; sends stored records (`drain`)

The loop hands in records and goes on. The results are read from memory: the lanes that wait, their
problems, and the time up to which all records are on disk.

No record may overtake an older one of its lane. While the loop takes back records that a producer
could not deliver, it holds the drain, because these records may be older than all stored ones. A
step of this thread sends only if there was no hold when it took over the kept records. The first
step after a hold writes all of them before it sends any.

A disk that does not answer blocks only this thread. `reasons` reports the delay, and records
without room in memory are counted as lost (`listeners.publish.store`).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from typing import Final

from confluent_kafka import KafkaError

from listeners.counters import Counters
from listeners.publish.direct import Suspect
from listeners.publish.drain import STATISTICS_MS, Drain
from listeners.publish.extent import Lost
from listeners.publish.lanes import Lane, places
from listeners.publish.letters import Letters
from listeners.publish.line import Problem
from listeners.publish.producers import Producers
from listeners.publish.spool import SpoolError
from listeners.publish.store import Store
from mirror.base.log import logger
from mirror.kafka.partition import Partitions
from mirror.kafka.record import Record
from mirror.settings import Settings

BUSY_SECONDS: Final = 0.005  # between two steps while records wait
IDLE_SECONDS: Final = 1.0
SLOW_DISK_SECONDS: Final = 5.0  # a longer step is reported
# Sequence numbers of dead letters that are made here, apart from the loop's numbers.
LETTERS_FROM: Final = 1 << 62


class Keeper:
    """The store, its drain, and their thread."""

    def __init__(
        self,
        settings: Settings,
        listener: str,
        counters: Counters,
        partitions: Partitions,
        told: Callable[[Record, int], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`partitions`: topic → partitions for its keys. `told` is called for deliveries (`Drain`).

        Raises `SpoolError` if the spool folder cannot be used.
        """
        now = clock()
        topics = [settings.topic, settings.dead_letter_topic]
        if settings.agents:
            topics.append(settings.agents_topic)
        self.store = Store(settings, listener, counters, now)
        self.store.placed.update(partitions)
        self.letters = Letters(settings, listener, counters, self.store.lock)
        self.problems: tuple[Problem, ...] = ()
        self.is_moving = False
        self.written = 0  # dead letters that were made here
        self.crash: Exception | None = None
        self._partitions = partitions
        self._clock = clock
        self._producers = Producers(settings, "listener")
        self._drain = Drain(
            self.store,
            partial(self._producers.make, every_ms=STATISTICS_MS, all_reports=True),
            self._replace,
            partitions,
            lambda: self._producers.client_log.last_error,
            told,
            topics,
        )
        self._numbers = count(LETTERS_FROM)
        self._held = False
        self._was_held = False
        self._suspects: deque[Suspect] = deque()
        self._settled: deque[Lost] = deque()
        self._filed: set[str] = set()  # losses with a filed gap
        self._step_at: float | None = None  # when the present step began
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._log = logger("listener.spool")
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)

    # -- the loop's end --------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def waiting(self) -> Mapping[Lane, int]:
        """Lane → number of records here, including those that are not on disk yet."""
        return self.store.waiting

    @property
    def delivered(self) -> int:
        """The number of records that the drain delivered."""
        return self._drain.delivered

    @property
    def acked_at(self) -> float | None:
        """When Kafka last took a record from here."""
        return self._drain.acked_at

    def keep(self, sequence: int, record: Record, lane: Lane, now: float) -> None:
        """Take a record under its sequence number, in its lane."""
        self.store.keep(sequence, record, lane, now)
        if not self._wake.is_set():
            self._wake.set()

    def hold(self) -> None:
        """Stop sending: older records are about to be taken back."""
        with self.store.lock:
            self._held = True

    def release(self, suspects: list[Suspect]) -> None:
        """Send again: all records were taken back. `suspects` are lanes that stood still in the
        producer."""
        with self.store.lock:
            self._held = False
            self._suspects.extend(suspects)
        self._wake.set()

    def settle(self, lost: Lost) -> None:
        """Note that a gap is filed for this loss."""
        self._filed.add(lost.name)
        self._settled.append(lost)
        self._wake.set()

    @property
    def losses(self) -> tuple[Lost, ...]:
        """Losses of damaged spools without a filed gap."""
        return tuple(lost for lost in list(self.store.losses) if lost.name not in self._filed)

    def reasons(self, now: float) -> tuple[str, ...]:
        """A reason if the disk is too slow."""
        began = self._step_at
        if began is None or now - began < SLOW_DISK_SECONDS:
            return ()
        return (f"the spool's disk has not answered for {now - began:.0f}s",)

    def check(self) -> None:
        """Raise the exception that ended the thread, if any."""
        if self.crash is not None:
            raise self.crash

    def stop(self, seconds: float) -> None:
        """Write all kept records and release the folders; give up after `seconds`."""
        self._stop.set()
        self._wake.set()
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._log.error("spool_close_failed", reason="the disk does not answer")
        elif self.crash is not None:
            self.store.commit(self._clock())
            self.store.close()

    # -- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._step_at = self._clock()
                self._step(self._step_at)
                self._step_at = None
                busy = bool(self.store.waiting) or self._drain.in_flight > 0
                self._wake.clear()
                if busy or self.store.unsaved:
                    self._stop.wait(BUSY_SECONDS)
                else:
                    self._wake.wait(IDLE_SECONDS)
            self._step_at = self._clock()
            self._settle_losses()
            self.store.commit(self._step_at)
            self._drain.close()
            self.store.close()
        except Exception as error:  # noqa: BLE001 - the loop ends by it, and says so
            self.crash = error
            self._log.error("spool_thread_failed", error=error, exc_info=True)

    def _step(self, now: float) -> None:
        with self.store.lock:
            held, suspects = self._held, []
            if not held:
                suspects = list(self._suspects)
                self._suspects.clear()
        if self._was_held and not held:
            self.store.commit(now)
        self._was_held = held
        self.store.tick(now)
        self._settle_losses()
        for topic, partition, text in suspects:
            self._drain.suspect(topic, partition, text)
        may_send = not held and self._repartition(now)
        self._drain.step(now, may_send=may_send)
        self.problems = tuple(self._drain.problems())
        self.is_moving = self._drain.is_moving(now)

    def _settle_losses(self) -> None:
        while self._settled:
            self.store.settle(self._settled.popleft())

    def _repartition(self, now: float) -> bool:
        """Repartition stored records of topics with a new number of partitions. Returns whether all
        records are in their lanes."""
        store = self.store
        for topic, partitions in list(self._partitions.items()):
            if store.placed.get(topic, 0) == partitions:
                continue
            first, end = places(partitions)
            waiting = store.lanes_waiting()
            if any(lane.topic == topic and not first <= lane.place < end for lane in waiting):
                if not self._drain.is_quiet(topic):  # nothing more is sent: its lanes are wrong
                    if self._drain.is_stuck(topic):
                        self._drain.restart()
                    continue
                try:
                    if not store.repartition(topic, partitions, now):
                        return False
                except SpoolError as error:
                    self._log.error("spool_move_failed", topic=topic, error=error)
                    return True  # its lanes wait, the others do not
            store.place(topic, partitions)
        return True

    def _replace(self, record: Record, error: KafkaError) -> bool:
        """Put the dead letter of a stored record into the store. Whether the record may be
        removed."""
        letter = self.letters.of_record(record, error)
        if letter is None:
            return True
        if not self.store.replace(next(self._numbers), letter, self._clock()):
            return False
        self.written += 1  # after the store has counted it, else it would pass for delivered
        return True
