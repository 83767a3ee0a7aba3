"""The spools of a process: its own, and those adopted from processes that are gone.

The loop hands in records (`keep`). That costs only a lock, which nobody holds while the disk works.
The spool's thread does the rest (`listeners.publish.keeper`). Records wait up to
`COMMIT_EVERY_SECONDS` before they are written, so that many share one fsync. While the disk
refuses, they wait in memory, up to `HELD_RECORDS` and `HELD_BYTES`, and go to Kafka from there if
it comes back first: a full disk alone costs nothing. While a write to the disk does not return, as
many records again may wait in front of it. If neither the spool nor memory has room, the newest
records are counted as lost.

The spool, and memory, keep half of their room for interactions. Otherwise a topic without a right
to write would fill them within days, and the next outage of a few seconds would lose interactions.
So records of one topic may be refused while others are taken. `refusing` has the refused topics. A
topic leaves it when a record of it is taken, or when half of its room is free: once Kafka is back,
new records of it need not come to the spool at all. If interactions are refused (`refusing_since`),
the listener covers nothing. `interactions_lost` also counts refused dead letters of interactions: a
gap is filed for them too. The dead letter of a stored record is never refused for room: it takes
the record's place (`replace`).

Each lane is read by itself, from the oldest inherited spool with records of it, then from our own.
`waiting` has the lanes with stored records: new records of them go behind. `durable_at` is the time
up to which all records handed in are on disk (I9), or counted as lost.

A damaged spool is set aside with an error in the log, and its intact records go on
(`listeners.publish.salvage`). `losses` has its loss until a gap is filed for it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from listeners.counters import Counters
from listeners.publish import extent
from listeners.publish.extent import Lost
from listeners.publish.held import HeldRecords, Merged, Source, has_memory, placed_anew
from listeners.publish.lanes import Lane, lane_of
from listeners.publish.rows import Numbered
from listeners.publish.salvage import Salvage, adopt, losses, salvage
from listeners.publish.spool import Spool, SpoolBroken, SpoolError, room_for, take_of
from mirror.base.log import logger
from mirror.conversation.normaliser.topics import classify
from mirror.conversation.times import show_ms
from mirror.kafka.record import Record
from mirror.settings import Settings

COMMIT_EVERY_SECONDS: Final = 0.05
COMMIT_RECORDS: Final = 400
ADOPT_EVERY_SECONDS: Final = 60.0
CHECK_EVERY_SECONDS: Final = 1.0
# A topic's full room counts as recovered when this share of it is free. Other topics never use more
# of the room for interactions, so they cannot keep it from recovering.
ROOM_SHARE: Final = 0.5
ASK_EVERY_SECONDS: Final = 1.0  # while the disk refuses: how often to ask it again
# How many records are moved at once if the number of a topic's partitions has changed.
MOVE_RECORDS: Final = 1_000


class Balance(NamedTuple):
    """The numbers of records not on disk yet, on disk, and lost, at one moment."""

    unsaved: int
    stored: int
    lost: int


class Store:
    """The process' own spool and the inherited ones."""

    def __init__(self, settings: Settings, listener: str, counters: Counters, now: float) -> None:
        """Raises `SpoolError` if the spool folder cannot be used."""
        # Guards `waiting`, `placed`, the records handed in, and counters of two threads. Never held
        # while the disk works.
        self.lock = threading.RLock()
        self.placed: dict[str, int] = {}  # topic → partitions of its lanes
        self.durable_at = now
        self.refusing: dict[str, float] = {}  # topic → since when its records are lost
        self.interactions_lost = 0
        self.waiting: dict[Lane, int] = {}
        self.losses: list[Lost] = []
        self.broken: list[Spool] = []  # damaged; the drain repairs them
        self._directory = settings.spool_dir
        self._limit = settings.spool_limit
        self._favoured = settings.topic
        self._letters_topic = settings.dead_letter_topic
        self._counters = counters
        self._log = logger("listener.spool")
        self._listener = listener
        self._own = Spool(self._directory / listener, self._limit, self._favoured)
        self._inherited: list[Spool] = []
        self._unsaved: list[Numbered] = []
        self._unsaved_bytes = 0
        self._acknowledged: dict[Lane, int] = {}  # not removed yet
        self._hand: list[Numbered] = []  # being written
        self._settled = (0, 0)  # records in memory and on disk, at the last consistent moment
        self._held = HeldRecords(self._favoured)
        self._problem = ""  # why the disk refuses
        self._committed_at = now
        self._ask_at = now
        self._adopt_at = now
        self._check_at = now

    # -- the loop's end --------------------------------------------------------------------------

    @property
    def refusing_since(self) -> float | None:
        """Since when interactions are lost, None while they are kept."""
        return self.refusing.get(self._favoured)

    @property
    def unsaved(self) -> int:
        """The number of records that are not on disk yet."""
        return self.balance().unsaved

    @property
    def handed(self) -> int:
        """The number of records that were handed in and for which no write to the disk was tried
        yet."""
        return len(self._unsaved) + len(self._hand)

    def balance(self) -> Balance:
        """The state of all undelivered records that were handed in or inherited."""
        with self.lock:
            held, stored = self._settled
            unsaved = len(self._unsaved) + len(self._hand) + held
            return Balance(unsaved, stored, self._counters.lost)

    def lane(self, record: Record, sequence: int) -> Lane:
        """The lane of a record, by the store's present lanes."""
        return lane_of(record.topic, record.key, sequence, self.placed.get(record.topic, 0))

    def lanes_waiting(self) -> list[Lane]:
        """A copy: the other thread changes the original."""
        with self.lock:
            return list(self.waiting)

    def keep(self, sequence: int, record: Record, lane: Lane, now: float) -> None:
        """Take a record under its sequence number, in its lane."""
        with self.lock:
            size = self._unsaved_bytes + len(record.value)
            numbered = Numbered(sequence, record, lane.place)
            if not has_memory(len(self._unsaved), size, record.topic, self._favoured):
                self._count_lost([numbered], "the disk does not answer", now)
                return
            self._unsaved.append(numbered)
            self._unsaved_bytes = size
            self.waiting[lane] = self.waiting.get(lane, 0) + 1

    # -- the spool's thread ----------------------------------------------------------------------

    def commit(self, now: float) -> None:
        """Write the records that were handed in, after those that wait in memory."""
        if self._held.records and now >= self._ask_at:
            self._write_held(now)
        with self.lock:
            records, self._unsaved, self._unsaved_bytes = self._unsaved, [], 0
            self._hand = records
        self._committed_at = now
        if records:
            self._store(records, now)
        if not self._held.records:
            self.durable_at = now

    def replace(self, sequence: int, letter: Record, now: float) -> bool:
        """Store the dead letter of a stored record, which is to be removed next.

        False if neither the disk nor memory takes it: then that record must stay.
        """
        self.commit(now)
        with self.lock:
            lane = self.lane(letter, sequence)
        numbered = Numbered(sequence, letter, lane.place, takes_place=True)
        try:
            self._put([numbered])
            self._counters.spooled += 1
        except SpoolError as error:
            self._disk_refuses(error, now)
            if self._held.take([numbered]):
                return False
        with self.lock:
            self._count_waiting()
        return True

    def _store(self, records: list[Numbered], now: float) -> None:
        reason = "full"
        if self._held.records:
            refused, reason = self._held.take(records), self._problem
        else:
            try:
                refused = self._put(records)
                self._counters.spooled += len(records) - len(refused)
            except SpoolError as error:
                self._disk_refuses(error, now)
                refused, reason = self._held.take(records), self._problem
        with self.lock:
            self._hand = []
            if refused:
                self._count_waiting()
            self._takes_again(_topics(records) - _topics(refused))
            self._count_lost(refused, reason, now)
            self._settle()

    def _disk_refuses(self, error: SpoolError, now: float) -> None:
        self._problem, self._ask_at = str(error), now + ASK_EVERY_SECONDS
        self._log.error("spool_write_failed", reason=self._problem)

    def tick(self, now: float) -> None:
        """Write records that have waited long enough; look for orphaned spools."""
        if now - self._committed_at >= COMMIT_EVERY_SECONDS or len(self._unsaved) >= COMMIT_RECORDS:
            self.commit(now)
        if self.refusing:
            with self.lock:
                self._takes_again({topic for topic in self.refusing if self._has_room(topic)})
        if now >= self._check_at:
            self._check_at = now + CHECK_EVERY_SECONDS
            self._check()
        if now >= self._adopt_at:
            self._adopt_at = now + ADOPT_EVERY_SECONDS
            self._adopt()
        self._count()

    def source(self, lane: Lane) -> Source | None:
        """The next source of a lane: the oldest inherited spool with its records, then our own."""
        for spool in self._inherited:
            if lane in spool.lanes:
                return spool
        if lane in self._held.lanes:
            return Merged(self._own, self._held)
        return self._own if lane in self._own.lanes else None

    def acknowledge(self, lane: Lane, records: int) -> None:
        """Note that Kafka has the first `records` of a lane, which then block no record. `remove`
        follows."""
        with self.lock:
            self._acknowledged[lane] = self._acknowledged.get(lane, 0) + records
            take_of(self.waiting, lane, records)

    def start_over(self) -> None:
        """Send records again that were acknowledged but not removed."""
        with self.lock:
            self._acknowledged.clear()
            self._count_waiting()

    def remove(self, source: Source, delivered: Mapping[Lane, Sequence[int]]) -> None:
        """Remove records that Kafka has, by lane. Raises `SpoolBroken`: then call
        `replace_damaged`."""
        source.remove(delivered)
        with self.lock:
            for lane, sequences in delivered.items():
                take_of(self._acknowledged, lane, len(sequences))
            self._settle()
        for spool in [inherited for inherited in self._inherited if not inherited.records]:
            self._inherited.remove(spool)
            self._close(spool)

    def repartition(self, topic: str, partitions: int, now: float) -> bool:
        """Move a topic's stored records to the lanes for `partitions`. Returns whether all are
        moved.

        Moves some per call; `place` completes the move. Nobody may drain them meanwhile. Raises
        `SpoolError`.
        """
        self.commit(now)
        self._held.repartition(topic, partitions)
        for spool in (*self._inherited, self._own):
            if not spool.repartition(topic, partitions, MOVE_RECORDS):
                return False
        return True

    def place(self, topic: str, partitions: int) -> None:
        """Use the lanes for `partitions` partitions for a topic from now on."""
        with self.lock:
            self.placed[topic] = partitions
            self._unsaved = [
                placed_anew(numbered, partitions) if numbered.record.topic == topic else numbered
                for numbered in self._unsaved
            ]
            self._count_waiting()

    def settle(self, lost: Lost) -> None:
        """Note that a gap is filed for this loss."""
        extent.settle(self._directory / lost.name)
        self.losses = [known for known in self.losses if known.name != lost.name]

    def replace_damaged(self, source: Source) -> None:
        """Set a damaged spool aside, and go on with its intact records."""
        if isinstance(source, Merged):
            source = source.spool
        if not isinstance(source, Spool) or source not in (self._own, *self._inherited):
            return
        source.abandon()
        is_own = source is self._own
        place = len(self._inherited) if is_own else self._inherited.index(source)
        if not is_own:
            del self._inherited[place]
        name = source.folder.name
        try:
            found = salvage(source.folder, self._limit)
        except SpoolError as error:  # the process that adopts it tries again
            self._log.error("spool_damaged", folder=name, reason=str(error))
            name += "+"
        else:
            self._told_damaged(found)
            if found.spool is not None:
                self._inherited.insert(place, found.spool)
        if is_own:
            self._own = Spool(self._directory / name, self._limit, self._favoured)
        self._count_waiting()

    def close(self) -> None:
        """Write waiting records and unlock the folders; their records stay."""
        self._ask_at = self._committed_at
        self.commit(self._committed_at)
        if self._held.records:
            with self.lock:
                held = self._held.first(self._held.records)
                self._count_lost(held, self._problem, self._committed_at)
        self._count()
        for spool in (self._own, *self._inherited):
            self._close(spool)

    def _put(self, records: list[Numbered]) -> list[Numbered]:
        try:
            return self._own.put(records)
        except SpoolBroken:
            self.replace_damaged(self._own)
            return self._own.put(records)

    def _write_held(self, now: float) -> None:
        """Try the disk again."""
        self._ask_at = now + ASK_EVERY_SECONDS
        waiting = self._held.first(COMMIT_RECORDS)
        while waiting:
            try:
                refused = self._put(waiting)
            except SpoolError:
                return
            self._counters.spooled += len(waiting) - len(refused)
            # Interactions wait here until the spool has room. Records of other topics would wait
            # for as long as their topic cannot be written, and `durable_at` with them.
            kept = {
                numbered.sequence for numbered in refused if numbered.record.topic == self._favoured
            }
            self._held.forget(
                [numbered.sequence for numbered in waiting if numbered.sequence not in kept]
            )
            lost = [numbered for numbered in refused if numbered.sequence not in kept]
            with self.lock:
                if lost:
                    self._count_waiting()
                self._count_lost(lost, "full", now)
                self._settle()
            if kept:
                return
            waiting = self._held.first(COMMIT_RECORDS)

    def _count_lost(self, lost: list[Numbered], reason: str, now: float) -> None:
        self._counters.lost += len(lost)
        self.interactions_lost += sum(self._is_interaction(numbered.record) for numbered in lost)
        for topic in sorted(_topics(lost) - self.refusing.keys()):
            self.refusing[topic] = now
            self._log.error("spool_full", topic=topic, reason=reason, bytes=self._own.bytes)

    def _is_interaction(self, record: Record) -> bool:
        """Whether it is an interaction, or the dead letter of an interaction or of a frame that may
        have shown interactions."""
        if record.topic == self._letters_topic:
            return classify(record.key or "") in {"conversation", "unknown"}
        return record.topic == self._favoured

    def _takes_again(self, topics: set[str]) -> None:
        for topic in sorted(topics & self.refusing.keys()):
            del self.refusing[topic]
            self._log.warning("spool_recovered", topic=topic, lost=self._counters.lost)

    def _has_room(self, topic: str) -> bool:
        """Whether the next records of a topic will probably be kept."""
        room = room_for(topic, self._favoured, self._limit)
        return not self.unsaved and self._own.bytes <= ROOM_SHARE * room

    def _check(self) -> None:
        """Find a spool whose files were truncated between two reads."""
        for spool in (self._own, *self._inherited):
            if not spool.records:
                continue
            try:
                spool.check()
            except SpoolBroken as error:
                self._log.error("spool_damaged_outside", reason=str(error))
                self.broken.append(spool)

    def _adopt(self) -> None:
        found = adopt(self._directory, self._limit, self._own.folder, self._told_damaged)
        for spool in found:
            self._log.info("spool_adopted", folder=spool.folder.name, records=spool.records)
        self._inherited += found
        self._count_waiting()
        known = {lost.name for lost in self.losses}
        self.losses += [lost for lost in losses(self._directory) if lost.name not in known]

    def _told_damaged(self, found: Salvage) -> None:
        self._counters.spools_damaged += 1
        saved = found.spool.records if found.spool else 0
        self._log.error("spool_damaged", set_aside=found.aside.name, saved=saved)
        lost = found.lost
        if lost is not None:
            self._counters.spool_lost += lost.records or 0
            self.losses.append(lost)
            self._log.error(
                "spool_lost_records",
                records=lost.records,
                since=show_ms(lost.from_ms),
                until=show_ms(lost.to_ms),
            )

    def _count_waiting(self) -> None:
        """Count the waiting records of all lanes again."""
        with self.lock:
            waiting: Counter[Lane] = Counter(
                numbered.lane for numbered in (*self._unsaved, *self._hand)
            )
            for spool in (*self._inherited, self._own):
                waiting.update(spool.lanes)
            waiting.update(self._held.lanes)
            waiting.subtract(self._acknowledged)
            self.waiting = {lane: many for lane, many in waiting.items() if many > 0}
            self._settle()

    def _settle(self) -> None:
        spools = (self._own, *self._inherited)
        self._settled = (self._held.records, sum(spool.records for spool in spools))

    def _close(self, spool: Spool) -> None:
        if spool.records:
            self._log.warning(
                "spool_kept", folder=spool.folder.name, records=spool.records, bytes=spool.bytes
            )
        try:
            spool.close()
        except SpoolError as error:
            self._log.error("spool_close_failed", error=error)

    def _count(self) -> None:
        spools = (self._own, *self._inherited)
        self._counters.spool_records = sum(spool.records for spool in spools)
        self._counters.spool_bytes = sum(spool.bytes for spool in spools)
        self._counters.held = self._held.records
        self._counters.lanes_waiting = len(self.waiting)


def _topics(records: list[Numbered]) -> set[str]:
    return {numbered.record.topic for numbered in records}
