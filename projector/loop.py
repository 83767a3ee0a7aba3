"""Reads the interaction topic in a group, has it projected, and writes: a transaction a batch.

A partition passes through three states. *New*: the group gave it; Kafka is asked where it goes on.
*Restoring*: its conversations are read back; left out where they are still here from before and
the group's offset says that nobody moved on since. *Ready*: its records are read and projected.
Ready partitions go on while others restore.

After a transaction that was aborted, or of which nobody knows, its partitions are new again. A
partition that cannot be written must not stop the others: after an abort each one is written by
itself for a while, and who fails again rests.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from mirror.base.errors import KafkaUnavailable, MirrorError
from mirror.base.log import logger
from mirror.base.turns import Turned, unwatched
from mirror.kafka.config import ClientLog, committed_reader_config, open_client
from mirror.settings import Settings
from projector.offsets import Offsets
from projector.placing import Place, place
from projector.projection import Draft, Partition
from projector.restore import KEPT_HEADER, Restore
from projector.writer import Aborted, Out, Writer

BATCH: Final = 5_000
POLL_SECONDS: Final = 0.2
# After the first record of a batch: a transaction costs some ten milliseconds, however small.
GATHER_SECONDS: Final = 0.02
RETRY_SECONDS: Final = 1.0
# Conversations whose grace is over are looked for so often.
SWEEP_SECONDS: Final = 1.0
# A partition that could not be written by itself rests so long.
REST_SECONDS: Final = 15.0
# After an abort so many batches are written partition by partition.
CAREFUL_BATCHES: Final = 5
SESSION_TIMEOUT_MS: Final = 10_000

_OF_A_PARTITION: Final = frozenset(
    {KafkaError._PARTITION_EOF, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET}
)

Header = tuple[str, Any]


class Loop:
    """Projects until it is told to stop. `run` owns everything it opens.

    The counters may be read from other threads at any time.
    """

    def __init__(
        self,
        settings: Settings,
        transactional_id: str,
        *,
        header: Header | None = None,
        turned: Turned = unwatched,
        make_writer: Callable[[Settings, str], Writer] = Writer,
    ) -> None:
        """`header` names the schema of views (`mirror.kafka.registry`)."""
        self.events = self.repeats = self.unreadable = self.views = self.tombstones = 0
        self.transactions = self.aborted = self.fenced = self.restored = self.missed = 0
        self.joined = False  # the group has counted us in, be it without a partition
        self.hold = ""  # why nothing is projected; set from outside
        self.trouble = ""  # what keeps a partition from being placed, restored or read
        self.refusal = ""  # what waiting does not cure
        self._settings = settings
        self._turned = turned
        self._log = logger("projector")
        self._writer = make_writer(settings, transactional_id)
        self._offsets = Offsets(settings)
        self._group: Any = None  # our place in the group, as of the assignment in force
        self._known: dict[int, Partition] = {}  # kept beyond a revocation: they may come back
        self._assigned: dict[int, float] = {}  # own partitions → since when (monotonic)
        self._new: set[int] = set()
        self._ready: set[int] = set()
        self._refused: set[int] = set()
        self._doubtful: dict[int, Draft] = {}  # drafts of a transaction that may be committed
        self._ends: set[int] = set()  # ready partitions of which no record is known to wait
        self._read_ms: dict[int, int] = {}  # ready partitions → time of the last record read
        self._rests: dict[int, float] = {}
        self._careful = 0
        self._restore: Restore | None = None
        self._placing: tuple[dict[int, int], ...] = ({}, {}, {})  # what Kafka said of offsets
        self._place_at = self._sweep_at = 0.0
        self._headers = [("content-type", b"application/json"), *([header] if header else ())]

    # -- what others ask -------------------------------------------------------------------------

    @property
    def partitions(self) -> int:
        """Own partitions."""
        return len(self._assigned)

    @property
    def restoring(self) -> int:
        """Own partitions that are not projected yet."""
        return len(self._assigned.keys() - self._ready)

    @property
    def conversations(self) -> int:
        """Conversations of own partitions that are kept."""
        return sum(len(one.kept) for n, one in list(self._known.items()) if n in self._assigned)

    @property
    def resting(self) -> int:
        """Own partitions that cannot be written and rest."""
        return len(self._rests)

    @property
    def lag(self) -> float:
        """For how many seconds the oldest record that is not projected has waited, about."""
        now, wall_ms = time.monotonic(), time.time() * 1000
        ages = [0.0]
        for number, since in list(self._assigned.items()):
            if number not in self._ready:
                ages.append(now - since)
            elif number not in self._ends:
                read_ms = self._read_ms.get(number)
                ages.append((wall_ms - read_ms) / 1000 if read_ms else now - since)
        return max(ages)

    # -- the thread ------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Project until `stop` is set; outlives any outage of Kafka."""
        consumer = self._consumer()
        try:
            consumer.subscribe(
                [self._settings.topic],
                on_assign=self._on_assign,
                on_revoke=self._on_revoke,
                on_lost=self._on_revoke,
            )
            while not stop.is_set():
                self._turned()
                self.step(consumer)
        finally:
            self._stop_restore()
            self._writer.close()
            consumer.close()
            self._offsets.close()

    def step(self, consumer: Any) -> None:
        """One turn: place, restore, read, project, write."""
        now = time.monotonic()
        self._end_rests(now)
        restoring = frozenset() if self._restore is None else self._restore.partitions
        if self._new - restoring and not self.hold and now >= self._place_at:
            self._place_new(consumer)
        if self._restore is not None:
            self._restore_some(consumer)
        batches = self._sorted(consumer, self._read(consumer))
        if self.hold:
            if self._ready:
                self._renew(consumer, set(self._ready))
            return
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_SECONDS
            wall_ms = round(time.time() * 1000)
            for number in self._ready & self._ends:
                if next(self._known[number].due(wall_ms), None) is not None:
                    batches.setdefault(number, [])
        self._project(consumer, batches)

    def _sorted(self, consumer: Any, messages: Iterable[Any]) -> dict[int, list[Message]]:
        """Ready partition → its records, of what was read."""
        batches: dict[int, list[Message]] = {}
        for message in messages:
            number, error = message.partition(), message.error()
            if error is not None and error.code() not in _OF_A_PARTITION:
                self._log.warning("projector_kafka_error", code=error.name())
            elif number not in self._ready:
                continue
            elif error is None:
                self._ends.discard(number)
                batches.setdefault(number, []).append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._ends.add(number)
            else:
                self._renew(consumer, {number})
        return batches

    def _read(self, consumer: Any) -> list[Message]:
        busy = self._restore is not None
        messages: list[Message] = consumer.consume(1, timeout=0.0 if busy else POLL_SECONDS)
        if messages:
            messages += consumer.consume(BATCH - 1, timeout=GATHER_SECONDS)
        return messages

    # -- projecting ------------------------------------------------------------------------------

    def _project(self, consumer: Any, batches: dict[int, list[Message]]) -> None:
        if not batches:
            return
        if not self._careful:
            self._write(consumer, batches)
            return
        self._careful -= 1
        for number, messages in batches.items():
            self._turned()
            if number in self._ready and not self._write(consumer, {number: messages}):
                self._rests[number] = time.monotonic() + REST_SECONDS
                self._new.discard(number)

    def _write(self, consumer: Any, batches: dict[int, list[Message]]) -> bool:
        """Project and write some partitions in one transaction. Whether it is committed."""
        wall_ms = round(time.time() * 1000)
        drafts: list[Draft] = []
        records: list[Out] = []
        for number, messages in batches.items():
            draft = Draft(self._known[number])
            records += self._once(draft, messages, wall_ms)
            records += self._views(draft, wall_ms if number in self._ends else None)
            drafts.append(draft)
        topic = self._settings.topic
        offsets = [TopicPartition(topic, one.partition.number, one.following) for one in drafts]
        try:
            self._writer.write(records, offsets, self._group)
        except Aborted as error:
            self._on_abort(consumer, drafts, error)
            return False
        self.transactions += 1
        self.trouble = ""
        for draft in drafts:
            self._accept(draft)
        for number, messages in batches.items():
            if messages:
                self._read_ms[number] = messages[-1].timestamp()[1]
        return True

    def _once(self, draft: Draft, messages: Iterable[Any], wall_ms: int) -> Iterator[Out]:
        topic, number = self._settings.once_topic, draft.partition.number
        for message in messages:
            if message.offset() < draft.following:
                continue  # read again behind a new assignment
            timestamp_ms = message.timestamp()[1]
            value = message.value()
            # A clock that is ahead somewhere must not end the grace of all others.
            if draft.take(message.offset(), value, min(timestamp_ms, wall_ms)):
                key, headers = message.key(), message.headers()
                yield Out(topic, number, key, value, headers, max(0, timestamp_ms))

    def _views(self, draft: Draft, wall_ms: int | None) -> Iterator[Out]:
        topic, number = self._settings.conversations_topic, draft.partition.number
        for view in draft.views(wall_ms):
            headers = [*self._headers, (KEPT_HEADER, view.kept)]
            yield Out(topic, number, view.key, view.value, headers)

    def _accept(self, draft: Draft) -> None:
        draft.partition.accept(draft)
        self.events += draft.events
        self.repeats += draft.repeats
        self.unreadable += draft.unreadable
        gone = sum(kept is None for _, kept, _ in draft.outcome)
        self.tombstones += gone
        self.views += len(draft.outcome) - gone

    def _on_abort(self, consumer: Any, drafts: list[Draft], error: Aborted) -> None:
        self.aborted += 1
        self.fenced += error.is_fenced
        self.trouble = f"a transaction was aborted: {error}"
        self._log.warning(
            "transaction_aborted", why=str(error), fenced=error.is_fenced, partitions=len(drafts)
        )
        if error.is_doubtful:
            self._doubtful |= {draft.partition.number: draft for draft in drafts}
        if not error.is_fenced:
            self._careful = CAREFUL_BATCHES
        self._renew(consumer, {draft.partition.number for draft in drafts})
        self._place_at = time.monotonic() + RETRY_SECONDS

    # -- where partitions go on ------------------------------------------------------------------

    def _renew(self, consumer: Any, numbers: set[int]) -> None:
        """These partitions are to be placed again; nothing of them is read until then."""
        self._ready -= numbers
        self._new |= numbers & self._assigned.keys()
        self._assign(consumer)

    def _place_new(self, consumer: Any) -> None:
        numbers = self._new - self._refused
        try:
            # The group's offsets first: once they are settled, so is what a restore must reach.
            committed = self._offsets.committed(consumer, numbers)
            low, high = self._offsets.retained(self._settings.topic, numbers)
            ends = self._offsets.ends(self._settings.conversations_topic, numbers)
        except (KafkaException, KafkaUnavailable) as error:
            self._wait(f"Kafka does not say where to go on: {error}")
            return
        self._stop_restore()
        to_read: dict[int, Partition] = {}
        for number in sorted(numbers):
            draft, known = self._doubtful.pop(number, None), self._known.get(number)
            offset = committed.get(number)
            if draft is not None and draft.following == offset:
                self._accept(draft)
            if (
                known is not None
                and known.following == offset
                and (low[number] <= offset <= high[number])
            ):
                self._begin(number, Place(offset))
                continue
            fresh = Partition(number, round(self._settings.conversation_grace * 1000))
            self._known[number] = to_read[number] = fresh
        if to_read:
            self._restore = Restore(self._settings, to_read, ends)
        self._placing = (committed, low, high)
        self._assign(consumer)

    def _restore_some(self, consumer: Any) -> None:
        restore = self._restore
        assert restore is not None
        before = restore.records
        try:
            whole = restore.step()
        except KafkaException as error:
            self._stop_restore()
            self._wait(f"conversations cannot be restored: {error}")
            return
        except MirrorError as error:
            self._refuse(restore.partitions, str(error))
            self._stop_restore()
            return
        self.restored += restore.records - before
        committed, low, high = self._placing
        for partition in whole:
            number = partition.number
            found = place(committed.get(number), partition.following, low[number], high[number])
            if found.is_shorter:
                why = (
                    f"partition {number} of {self._settings.topic} ends before what was projected "
                    "of it: it was made anew or lost its end; stop all projectors, "
                    "`mirror projector rebuild`, and start them"
                )
                self._refuse({number}, why)
                continue
            self._begin(number, found)
        if not restore.partitions:
            self._stop_restore()
        if whole:
            self._assign(consumer)

    def _begin(self, number: int, found: Place) -> None:
        partition = self._known[number]
        partition.following = found.offset
        self._new.discard(number)
        self._ready.add(number)
        self._read_ms.pop(number, None)
        if found.missed:
            self.missed += found.missed
            self._log.error("records_expired", partition=number, count=found.missed)
        self._log.info(
            "partition_ready",
            partition=number,
            offset=found.offset,
            conversations=len(partition.kept),
        )

    def _assign(self, consumer: Any) -> None:
        self._ends &= self._ready
        topic = self._settings.topic
        consumer.assign(
            [TopicPartition(topic, n, self._known[n].following) for n in sorted(self._ready)]
        )

    def _end_rests(self, now: float) -> None:
        for number in [number for number, until in self._rests.items() if now >= until]:
            del self._rests[number]
            if number in self._assigned:
                self._new.add(number)
                self._careful = CAREFUL_BATCHES

    def _wait(self, why: str) -> None:
        if why != self.trouble:
            self._log.warning("projector_waits", why=why)
        self.trouble = why
        self._place_at = time.monotonic() + RETRY_SECONDS

    def _refuse(self, numbers: Iterable[int], why: str) -> None:
        """Partitions that no waiting cures: held until the process starts again."""
        self.refusal = why
        self._refused |= set(numbers)
        self._new -= self._refused
        self._log.error("partition_refused", why=why)

    def _stop_restore(self) -> None:
        restore, self._restore = self._restore, None
        if restore is not None:
            restore.close()

    # -- the group -------------------------------------------------------------------------------

    def _on_assign(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        # Our place in the group as it is now. Asked for later, after it was lost, it would be
        # that of somebody without a group, which a broker does not refuse.
        self._group = consumer.consumer_group_metadata()
        now = time.monotonic()
        self._assigned = {one.partition: now for one in partitions}
        self._new = set(self._assigned) - self._refused
        self._known = {n: one for n, one in self._known.items() if n in self._assigned}
        self.joined = True
        self._place_at = 0.0
        self._log.info("partitions_assigned", partitions=len(partitions))
        consumer.assign([])  # read nothing before Kafka has said from where

    def _on_revoke(self, consumer: Any, _partitions: list[TopicPartition]) -> None:
        self._stop_restore()
        self.joined = False
        self._assigned, self._new, self._ready, self._rests = {}, set(), set(), {}
        consumer.unassign()

    def _consumer(self) -> Any:
        settings = self._settings
        config = {
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": SESSION_TIMEOUT_MS // 4,
            **committed_reader_config(
                settings, "projector", f"mirror-{settings.namespace}-projector"
            ),
            "partition.assignment.strategy": "range",
            "auto.offset.reset": "error",
            "enable.partition.eof": "true",
            "check.crcs": "false",
        }
        return open_client(Consumer, config, ClientLog("projector.kafka"))
