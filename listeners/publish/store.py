"""The spools of a process: its own, and those it adopted from processes that are gone.

Records are kept in a buffer for up to `COMMIT_EVERY` before they are written, so that many share
one fsync. While the disk refuses, they wait in memory, up to `HELD_RECORDS` and `HELD_BYTES`, and
go to Kafka from there if it comes back first: a full disk alone costs nothing. What neither the
spool nor memory has room for is counted as lost, the newest first, and `refusing_since` is set
until records are taken again.

Each lane is read by itself, from the oldest inherited spool that has any of it, then from our own.
`waiting` says which lanes have any: what is newer of them goes behind.

A damaged spool is set aside, loudly, and what is whole in it goes on (`listeners.publish.salvage`).
What it lost is told by `losses` until a gap is filed for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from listeners.counters import Counters
from listeners.publish import extent
from listeners.publish.extent import Lost
from listeners.publish.lanes import Lane, lane_of
from listeners.publish.salvage import Salvage, adopt, losses, salvage
from listeners.publish.spool import Numbered, Spool, SpoolBroken, SpoolError, by_sequence
from mirror.base.log import logger
from mirror.conversation.times import show_epoch
from mirror.kafka.record import Record
from mirror.settings import Settings

COMMIT_EVERY: Final = 0.05
COMMIT_RECORDS: Final = 400
ADOPT_EVERY: Final = 60.0
CHECK_EVERY: Final = 1.0
# While the disk refuses: how often to ask it again, and what may wait in memory.
ASK_EVERY: Final = 1.0
HELD_RECORDS: Final = 20_000
HELD_BYTES: Final = 32 * 1024 * 1024
# A topic has other partitions than when its records were stored: so many are moved in one go.
MOVE_RECORDS: Final = 1_000


class Source(Protocol):
    """Where a lane's records wait in order: a spool, or memory."""

    @property
    def lanes(self) -> Mapping[Lane, int]:
        """How many records each lane has; lanes without any are absent."""

    def head(self, lane: Lane, after: int, most: int, most_bytes: int) -> list[Numbered]:
        """A lane's first records behind the number `after`."""

    def remove(self, delivered: Mapping[Lane, Sequence[int]]) -> None:
        """Forget records, by lane: Kafka has them."""


class Held:
    """What waits in memory, in order."""

    def __init__(self) -> None:
        self.bytes = 0
        self.lanes: dict[Lane, int] = {}
        self._waiting: list[Numbered] = []

    @property
    def records(self) -> int:
        """How many there are."""
        return len(self._waiting)

    def take(self, records: list[Numbered]) -> int:
        """Hold as many as there is room for, in sequence; how many that were."""
        taken = 0
        for numbered in sorted(records, key=by_sequence):
            size = len(numbered.record.value)
            if len(self._waiting) >= HELD_RECORDS or self.bytes + size > HELD_BYTES:
                break
            self._waiting.append(numbered)
            self.bytes += size
            taken += 1
        self._settle(self._waiting)
        return taken

    def first(self, most: int) -> list[Numbered]:
        """The first of them."""
        return self._waiting[:most]

    def head(self, lane: Lane, after: int, most: int, most_bytes: int) -> list[Numbered]:
        """A lane's first records, as `Spool.head`."""
        found: list[Numbered] = []
        size = 0
        for numbered in self._waiting:
            if numbered.sequence <= after or numbered.lane != lane:
                continue
            size += len(numbered.record.value)
            if len(found) >= most or (found and size > most_bytes):
                break
            found.append(numbered)
        return found

    def remove(self, delivered: Mapping[Lane, Sequence[int]]) -> None:
        """Forget records, by lane."""
        for sequences in delivered.values():
            self.forget(sequences)

    def forget(self, sequences: Sequence[int]) -> set[int]:
        """Forget these; which of them were here."""
        asked = set(sequences)
        gone = {one.sequence for one in self._waiting if one.sequence in asked}
        if gone:
            self._settle([one for one in self._waiting if one.sequence not in gone])
        return gone

    def replace(self, topic: str, partitions: int) -> None:
        """Put a topic's records in the lanes of so many partitions."""
        self._settle(
            [
                _placed(one, partitions) if one.record.topic == topic else one
                for one in self._waiting
            ]
        )

    def _settle(self, waiting: list[Numbered]) -> None:
        self._waiting = sorted(waiting, key=by_sequence)
        self.bytes = sum(len(one.record.value) for one in waiting)
        self.lanes = dict(Counter(one.lane for one in waiting))


class Merged:
    """A spool and what waits in memory, in sequence: what was taken back last may be the oldest."""

    def __init__(self, spool: Spool, held: Held) -> None:
        self.spool = spool
        self._held = held

    @property
    def lanes(self) -> Mapping[Lane, int]:
        """How many records each lane has."""
        return Counter(self.spool.lanes) + Counter(self._held.lanes)

    def head(self, lane: Lane, after: int, most: int, most_bytes: int) -> list[Numbered]:
        """A lane's first records, as `Spool.head`, up to `most_bytes` from either."""
        found: list[Numbered] = []
        ends = []
        for source in (self.spool, self._held):
            part = source.head(lane, after, most, most_bytes)
            found += part
            if part and len(part) < source.lanes.get(lane, 0):
                ends.append(part[-1].sequence)  # behind it may be older ones than the other gave
        found.sort(key=by_sequence)
        return [one for one in found if not ends or one.sequence <= min(ends)][:most]

    def remove(self, delivered: Mapping[Lane, Sequence[int]]) -> None:
        """Forget these."""
        stored = {}
        for lane, sequences in delivered.items():
            held = self._held.forget(sequences)
            stored[lane] = [sequence for sequence in sequences if sequence not in held]
        if any(stored.values()):
            self.spool.remove(stored)


class Store:
    """Own spool and inherited ones. All methods belong to one thread."""

    def __init__(self, settings: Settings, listener: str, counters: Counters, now: float) -> None:
        """Raises `SpoolError` where the spool folder cannot be used."""
        self.refusing_since: float | None = None
        self.waiting: dict[Lane, int] = {}
        self.losses: list[Lost] = []
        self.broken: list[Spool] = []  # to be mended by who drains them
        self._directory = settings.spool_dir
        self._limit = settings.spool_limit
        self._counters = counters
        self._log = logger("listener.spool")
        self._listener = listener
        self._own = Spool(self._directory / listener, self._limit)
        self._inherited: list[Spool] = []
        self._unsaved: list[Numbered] = []
        self._held = Held()
        self._trouble = ""  # why the disk refuses
        self._committed_at = now
        self._ask_at = now
        self._adopt_at = now
        self._check_at = now

    @property
    def unsaved(self) -> int:
        """Records that are not on disk yet."""
        return len(self._unsaved) + self._held.records

    def keep(self, sequence: int, record: Record, lane: Lane, now: float) -> None:
        """Take a record under its sequence number, in its lane."""
        self._unsaved.append(Numbered(sequence, record, lane.place))
        self.waiting[lane] = self.waiting.get(lane, 0) + 1
        if len(self._unsaved) >= COMMIT_RECORDS:
            self.commit(now)

    def commit(self, now: float) -> None:
        """Write what was taken, behind what waits in memory."""
        if self._held.records and now >= self._ask_at:
            self._write_held(now)
        if not self._unsaved:
            return
        self._committed_at = now
        records, self._unsaved = self._unsaved, []
        reason = "full"
        if self._held.records:
            stored, reason = self._held.take(records), self._trouble
        else:
            try:
                stored = self._put(records)
                self._counters.spooled += stored
            except SpoolError as error:
                reason = self._trouble = str(error)
                self._ask_at = now + ASK_EVERY
                self._log.error("spool_held_in_memory", reason=reason)
                stored = self._held.take(records)
        if stored < len(records):
            self._count_waiting()
        self._count_lost(len(records) - stored, reason, now)

    def tick(self, now: float) -> bool:
        """Write what waits long enough, look for orphans; whether one was adopted."""
        if now - self._committed_at >= COMMIT_EVERY:
            self.commit(now)
        if now >= self._check_at:
            self._check_at = now + CHECK_EVERY
            self._check()
        adopted = False
        if now >= self._adopt_at:
            self._adopt_at = now + ADOPT_EVERY
            adopted = self._adopt()
        self._count()
        return adopted

    def source(self, lane: Lane) -> Source | None:
        """Where a lane goes on: the oldest inherited spool that has any of it, then our own."""
        for spool in self._inherited:
            if lane in spool.lanes:
                return spool
        if lane in self._held.lanes:
            return Merged(self._own, self._held) if lane in self._own.lanes else self._held
        return self._own if lane in self._own.lanes else None

    def remove(self, source: Source, delivered: Mapping[Lane, Sequence[int]]) -> None:
        """Kafka has these records, by lane. Raises `SpoolBroken`: then `mend` the source."""
        source.remove(delivered)
        for lane, sequences in delivered.items():
            left = self.waiting.get(lane, 0) - len(sequences)
            if left > 0:
                self.waiting[lane] = left
            else:
                self.waiting.pop(lane, None)
        for spool in [one for one in self._inherited if not one.records]:
            self._inherited.remove(spool)
            self._close(spool)

    def replace(self, topic: str, partitions: int, now: float) -> bool:
        """Put a topic's records in the lanes of so many partitions; whether all are there now.

        It moves some at a time. Nobody may drain them meanwhile. Raises `SpoolError`.
        """
        self.commit(now)
        self._held.replace(topic, partitions)
        for spool in (*self._inherited, self._own):
            if not spool.replace(topic, partitions, MOVE_RECORDS):
                return False
        self._count_waiting()
        return True

    def settle(self, lost: Lost) -> None:
        """A gap is filed for this loss."""
        extent.settle(self._directory / lost.name)
        self.losses = [one for one in self.losses if one.name != lost.name]

    def mend(self, source: Source) -> None:
        """Set a damaged spool aside, and go on with what is whole in it."""
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
        except SpoolError as error:  # whoever adopts it tries again
            self._log.error("spool_damaged", folder=name, reason=str(error))
            name += "+"
        else:
            self._told_damaged(found)
            if found.spool is not None:
                self._inherited.insert(place, found.spool)
        if is_own:
            self._own = Spool(self._directory / name, self._limit)
        self._count_waiting()

    def close(self) -> None:
        """Write what waits and let go of the folders; what they hold stays."""
        self._ask_at = self._committed_at
        self.commit(self._committed_at)
        if self._held.records:
            self._count_lost(self._held.records, self._trouble, self._committed_at)
        self._count()
        for spool in (self._own, *self._inherited):
            self._close(spool)

    def _put(self, records: list[Numbered]) -> int:
        try:
            return self._own.put(records)
        except SpoolBroken:
            self.mend(self._own)
            return self._own.put(records)

    def _write_held(self, now: float) -> None:
        """Ask the disk again."""
        self._ask_at = now + ASK_EVERY
        waiting = self._held.first(COMMIT_RECORDS)
        while waiting:
            try:
                stored = self._put(waiting)
            except SpoolError:
                return
            self._counters.spooled += stored
            self._held.forget([one.sequence for one in waiting[:stored]])
            if stored < len(waiting):
                return  # full by its own limit
            waiting = self._held.first(COMMIT_RECORDS)

    def _count_lost(self, lost: int, reason: str, now: float) -> None:
        self._counters.lost += lost
        if lost and self.refusing_since is None:
            self.refusing_since = now
            self._log.error("spool_refuses", reason=reason, lost=lost, bytes=self._own.bytes)
        elif not lost and self.refusing_since is not None:
            self.refusing_since = None
            self._log.warning("spool_takes_again", lost=self._counters.lost)

    def _check(self) -> None:
        """Notice a spool whose files were cut while nobody read it."""
        for spool in (self._own, *self._inherited):
            if not spool.records:
                continue
            try:
                spool.check()
            except SpoolBroken as error:
                self._log.error("spool_damaged_outside", reason=str(error))
                self.broken.append(spool)

    def _adopt(self) -> bool:
        found = adopt(self._directory, self._limit, self._own.folder, self._told_damaged)
        for spool in found:
            self._log.info("spool_adopted", folder=spool.folder.name, records=spool.records)
        self._inherited += found
        self._count_waiting()
        known = {one.name for one in self.losses}
        self.losses += [one for one in losses(self._directory) if one.name not in known]
        return bool(found)

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
                since=show_epoch(lost.from_ms / 1000),
                until=show_epoch(lost.to_ms / 1000),
            )

    def _count_waiting(self) -> None:
        """Lanes and what waits in them, counted anew."""
        waiting: Counter[Lane] = Counter(one.lane for one in self._unsaved)
        for spool in (*self._inherited, self._own):
            waiting.update(spool.lanes)
        waiting.update(self._held.lanes)
        self.waiting = dict(waiting)

    def _close(self, spool: Spool) -> None:
        if spool.records:
            self._log.warning(
                "spool_kept", folder=spool.folder.name, records=spool.records, bytes=spool.bytes
            )
        try:
            spool.close()
        except SpoolError as error:
            self._log.error("spool_not_closed", error=error)

    def _count(self) -> None:
        spools = (self._own, *self._inherited)
        self._counters.spool_records = sum(spool.records for spool in spools)
        self._counters.spool_bytes = sum(spool.bytes for spool in spools)
        self._counters.held = self._held.records
        self._counters.lanes_waiting = len(self.waiting)


def _placed(numbered: Numbered, partitions: int) -> Numbered:
    record = numbered.record
    lane = lane_of(record.topic, record.key, numbered.sequence, partitions)
    return msgspec.structs.replace(numbered, place=lane.place)
