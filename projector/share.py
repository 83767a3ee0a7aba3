"""The partitions of this process, from their assignment to their first record.

A partition passes through three states. *New*: the group assigned it, and Kafka is asked where it
goes on. While Kafka does not say, the partition stays new and holds up no other. *Restoring*: its
conversations are read back. This step is skipped if this process still has them and the group's
offset shows that no other process has gone on. *Ready*: its records are read and projected. Ready
partitions go on while others restore.

After an aborted or doubtful transaction, its partitions are new again. A partition that cannot be
written rests for a while. A partition that waiting cannot cure is refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from confluent_kafka import KafkaException, TopicPartition

from mirror.base.errors import MirrorError
from mirror.base.log import logger
from mirror.kafka.projected import REBUILD
from mirror.settings import Settings
from projector.offsets import Bounds, Offsets
from projector.placing import StartOffset, place
from projector.projection import Draft, Partition
from projector.restore import Restore

NOT_PLACED: Final = "Kafka does not say where to go on"
RETRY_SECONDS: Final = 1.0
# Ready partitions wait while Kafka is asked about others. So the pause until the next question is
# this many times as long as the question took.
PAUSE_PER_ASKING: Final = 4
# A partition may seem to have lost its end. For this time Kafka is asked again, then the partition
# is refused. The end may only seem lost: it was read before the conversations, and another process
# may have gone on since. And a new leader of a partition may know fewer records than the last
# leader, until its replicas answer.
SHORT_SECONDS: Final = 60.0
SHORT_RETRY_SECONDS: Final = 5.0
# The rest of a partition that cannot be written even in a transaction of its own. It doubles with
# each failure, because a trial may take as long as a transaction, and the other partitions wait for
# it.
REST_SECONDS: Final = 15.0
MOST_DOUBLED: Final = 4


class Share:
    """The partitions of this process. Only the counters may be read by other threads."""

    def __init__(
        self, settings: Settings, accept: Callable[[Draft], None], partitions: int
    ) -> None:
        """`accept` is called with a draft that turns out to be written. `partitions` is the number
        of partitions of each topic; a partition with a higher number is refused.
        """
        self.restored = 0
        self.missed = 0
        self.joined = False  # the group has admitted us, perhaps without a partition
        self.refusal = ""  # why partitions are refused
        self.group: Any = None  # the group's metadata of the present assignment
        self.assigned: dict[int, float] = {}  # own partitions → since when (monotonic)
        self.ready: set[int] = set()
        self.ends: set[int] = set()  # ready partitions that were read to their end
        self.read_ms: dict[int, int] = {}  # ready partitions → time of the last record read
        self._settings = settings
        self._accept = accept
        self._partitions = partitions
        self._log = logger("projector")
        self._offsets = Offsets(settings)
        self._known: dict[int, Partition] = {}  # whole; kept for a later assignment
        self._new: set[int] = set()
        self._refused: set[int] = set()
        self._short: dict[int, float] = {}  # partitions that seem to lack their end → since when
        self._rests: dict[int, float] = {}  # partitions that cannot be written → until when
        self._failures: dict[int, int] = {}  # partitions that could not be written → how often
        self._doubtful: dict[int, Draft] = {}  # drafts of a transaction that may be committed
        self._restore: Restore | None = None
        self._bounds: dict[int, Bounds] = {}  # Kafka's answers about offsets
        self._problems: dict[int, str] = {}  # partitions that are not placed or restored → why
        self._place_at = 0.0

    # -- for other threads -----------------------------------------------------------------------

    @property
    def problem(self) -> str:
        """Why partitions cannot be placed or restored, or empty."""
        return "; ".join(dict.fromkeys(dict(self._problems).values()))

    @property
    def partitions(self) -> int:
        """The number of own partitions."""
        return len(self.assigned)

    @property
    def waiting(self) -> int:
        """The number of own partitions that are not projected."""
        return sum(number not in self.ready for number in list(self.assigned))

    @property
    def conversations(self) -> int:
        """The number of conversations of own partitions."""
        return sum(
            len(partition.kept) for n, partition in list(self._known.items()) if n in self.assigned
        )

    @property
    def lag(self) -> float:
        """About how many seconds the oldest unprojected record has waited."""
        now, wall_ms = time.monotonic(), time.time() * 1000
        ages = [0.0]
        for number, since in list(self.assigned.items()):
            if number not in self.ready:
                ages.append(now - since)
            elif number not in self.ends:
                read_ms = self.read_ms.get(number)
                ages.append((wall_ms - read_ms) / 1000 if read_ms else now - since)
        return max(ages)

    @property
    def is_restoring(self) -> bool:
        """Whether conversations are being read back now."""
        return self._restore is not None

    def partition(self, number: int) -> Partition:
        """A ready partition."""
        return self._known[number]

    def due(self, wall_ms: int) -> list[int]:
        """The ready partitions, read to their end, with a conversation whose grace is over."""
        return [
            number
            for number in self.ready & self.ends
            if next(self._known[number].due(wall_ms), None) is not None
        ]

    # -- the way to ready ------------------------------------------------------------------------

    def advance(self, consumer: Any) -> None:
        """Place new partitions, and restore some records of others."""
        now = time.monotonic()
        for number in [number for number, until in self._rests.items() if now >= until]:
            del self._rests[number]
            self._new.add(number)
        restoring = frozenset() if self._restore is None else self._restore.partitions
        if self._new - restoring and now >= self._place_at:
            self._place_new(consumer)
        if self._restore is not None:
            self._restore_some(consumer)

    def renew(self, consumer: Any, numbers: Iterable[int], *, later: bool = False) -> None:
        """Place these partitions again, with `later` after a pause. Until then none of their
        records is read.
        """
        renewed = set(numbers)
        self.ready -= renewed
        self._new |= renewed & self.assigned.keys()
        if later:
            self._place_at = time.monotonic() + RETRY_SECONDS
        self._assign(consumer)

    def doubt(self, drafts: Iterable[Draft]) -> None:
        """Keep drafts that may be written. The group's offset will show whether they are."""
        self._doubtful |= {draft.partition.number: draft for draft in drafts}

    def rest(self, number: int) -> None:
        """Let a partition rest that cannot be written by itself."""
        if number in self._new:
            self._new.discard(number)
            failures = self._failures.get(number, 0)
            self._failures[number] = min(failures + 1, MOST_DOUBLED)
            self._rests[number] = time.monotonic() + REST_SECONDS * 2**failures

    def is_suspect(self, number: int) -> bool:
        """Whether a partition could not be written by itself, and was not written since."""
        return number in self._failures

    def clear(self, number: int) -> None:
        """Note that a partition was written."""
        self._failures.pop(number, None)

    def close(self) -> None:
        """Close the restore, if there is one."""
        self._stop_restore()

    def _place_new(self, consumer: Any) -> None:
        added = {number for number in self._new if number >= self._partitions}
        if added:
            self._refuse(
                added,
                f"{self._settings.topic} had {self._partitions} partitions when this process "
                f"started, and has more: {REBUILD}",
            )
        numbers = set(self._new)
        if not numbers:
            return
        began = time.monotonic()
        try:
            bounds, unknown = self._offsets.ask(consumer, numbers)
        except (KafkaException, MirrorError) as error:
            self._wait(numbers, f"{NOT_PLACED}: {error}")
            return
        if unknown:
            reason = f"{NOT_PLACED}: {_told(unknown)}"
            pause = PAUSE_PER_ASKING * (time.monotonic() - began) if bounds or self.ready else 0.0
            self._wait(unknown, reason, max(RETRY_SECONDS, pause))
        # Their offsets are known now, and their restore may take a while.
        placed = {n for n in bounds if self._problems.get(n, "").startswith(NOT_PLACED)}
        self._keep_problems(self._problems.keys() - placed)
        restoring = frozenset() if self._restore is None else self._restore.partitions
        if bounds.keys() <= restoring:
            return  # the restore goes on, and nothing else can
        self._stop_restore()
        self._bounds = bounds
        to_read: dict[int, Partition] = {}
        for number, found in sorted(bounds.items()):
            draft, known = self._doubtful.pop(number, None), self._known.get(number)
            offset = -1 if found.committed is None else found.committed
            if draft is not None and draft.partition is known and draft.following == offset:
                self._accept(draft)
            is_here = known is not None and known.following == offset
            if is_here and found.low <= offset <= found.high:
                self._begin(number, StartOffset(offset))
            else:
                grace_ms = round(self._settings.conversation_grace * 1000)
                to_read[number] = Partition(number, grace_ms)
        if to_read:
            try:
                ends = {number: bounds[number].end for number in to_read}
                self._restore = Restore(self._settings, to_read, ends)
            except MirrorError as error:
                self._wait(to_read, f"conversations cannot be restored: {error}")
        self._assign(consumer)

    def _restore_some(self, consumer: Any) -> None:
        restore = self._restore
        assert restore is not None
        before = restore.records
        try:
            whole = restore.step()
        except KafkaException as error:
            self._wait(restore.partitions, f"conversations cannot be restored: {error}")
            self._stop_restore()
            return
        except MirrorError as error:
            self._refuse(restore.partitions, str(error))
            self._stop_restore()
            return
        self.restored += restore.records - before
        for partition in whole:
            number = partition.number
            asked = self._bounds[number]
            found = place(asked.committed, partition.following, asked.low, asked.high)
            if found.is_shorter:
                self._doubt_end(number)
                continue
            self._known[number] = partition
            self._begin(number, found)
        if not restore.partitions:
            self._stop_restore()
        if whole:
            self._assign(consumer)

    def _doubt_end(self, number: int) -> None:
        """Ask again where a partition ends, and refuse it if its end stays too low."""
        now = time.monotonic()
        finding = (
            f"partition {number} of {self._settings.topic} ends before what was projected of it"
        )
        if now < self._short.setdefault(number, now) + SHORT_SECONDS:
            self._wait({number}, f"{finding}: asked again", SHORT_RETRY_SECONDS)
        else:
            self._refuse({number}, f"{finding}: it was created again or lost its end; {REBUILD}")

    def _begin(self, number: int, found: StartOffset) -> None:
        partition = self._known[number]
        self._short.pop(number, None)
        partition.following = found.offset
        self._new.discard(number)
        self.ready.add(number)
        self.ends.discard(number)
        self.read_ms.pop(number, None)
        self._problems.pop(number, None)
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
        self.ends &= self.ready
        topic = self._settings.topic
        consumer.assign(
            [TopicPartition(topic, n, self._known[n].following) for n in sorted(self.ready)]
        )

    def _wait(self, numbers: Iterable[int], reason: str, seconds: float = RETRY_SECONDS) -> None:
        if reason not in self._problems.values():
            self._log.warning("projector_waits", reason=reason)
        self._problems |= dict.fromkeys(numbers, reason)
        self._place_at = time.monotonic() + seconds

    def _keep_problems(self, numbers: Collection[int]) -> None:
        self._problems = {n: reason for n, reason in self._problems.items() if n in numbers}

    def _refuse(self, numbers: Iterable[int], reason: str) -> None:
        """Refuse these partitions until the process starts again."""
        self.refusal = reason
        self._refused |= set(numbers)
        self._new -= self._refused
        self._keep_problems(self._new)
        self._log.error("partition_refused", reason=reason)

    def _stop_restore(self) -> None:
        restore, self._restore = self._restore, None
        if restore is not None:
            restore.close()

    # -- assignments -----------------------------------------------------------------------------

    def on_assign(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        """Take an assignment. The group revoked the last assignment before."""
        # The metadata of our membership now. After the membership was lost, it would be that of a
        # consumer without a group, which a broker does not refuse.
        self.group = consumer.consumer_group_metadata()
        now = time.monotonic()
        self.assigned = {partition.partition: now for partition in partitions}
        self._new = set(self.assigned) - self._refused
        self._known = {n: partition for n, partition in self._known.items() if n in self.assigned}
        self._keep_problems(self._new)
        self.joined = True
        self._place_at = 0.0
        self._log.info("partitions_assigned", partitions=len(partitions))
        consumer.assign([])  # read nothing before the offset is known

    def on_revoke(self, consumer: Any, _partitions: list[TopicPartition]) -> None:
        """Give up all partitions: the group revoked them, or lost us."""
        self._stop_restore()
        self.joined = False
        self.assigned, self._new, self.ready = {}, set(), set()
        self._rests, self._failures = {}, {}
        self._keep_problems(())
        consumer.unassign()


def _told(unknown: Mapping[int, str]) -> str:
    """The reasons, each with the partitions that it holds for."""
    partitions: dict[str, list[str]] = {}
    for number, reason in sorted(unknown.items()):
        partitions.setdefault(reason, []).append(str(number))
    return "; ".join(
        f"partition {', '.join(numbers)}: {reason}" for reason, numbers in partitions.items()
    )
