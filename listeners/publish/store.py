"""The spools of a process: its own, and those it adopted from processes that are gone.

The loop hands records in (`keep`), which costs it no more than a lock that nobody holds while the
disk works. All else belongs to the spool's thread (`listeners.publish.keeper`). Records wait up to
`COMMIT_EVERY_SECONDS` before they are written, so that many share one fsync. While the disk
refuses, they wait in memory, up to `HELD_RECORDS` and `HELD_BYTES`, and go to Kafka from there if
it comes back first: a full disk alone costs nothing. While the disk does not answer at all, as many
wait to be taken. What neither the spool nor memory has room for is counted as lost, the newest
first, and `refusing_since` is set until records are taken again, or would be: half of the spool is
free. Where Kafka is back, what is new may never come here.

Each lane is read by itself, from the oldest inherited spool that has any of it, then from our own.
`waiting` says which lanes have any: what is newer of them goes behind. `durable_at` is the time up
to which all that was handed in is on disk (I9), or is counted as lost.

A damaged spool is set aside, loudly, and what is whole in it goes on (`listeners.publish.salvage`).
What it lost is told by `losses` until a gap is filed for it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from listeners.counters import Counters
from listeners.publish import extent
from listeners.publish.extent import Lost
from listeners.publish.held import HELD_BYTES, HELD_RECORDS, Held, Merged, Source, placed_anew
from listeners.publish.lanes import Lane, lane_of
from listeners.publish.rows import Numbered
from listeners.publish.salvage import Salvage, adopt, losses, salvage
from listeners.publish.spool import Spool, SpoolBroken, SpoolError, take_of
from mirror.base.log import logger
from mirror.conversation.times import show_epoch
from mirror.kafka.record import Record
from mirror.settings import Settings

COMMIT_EVERY_SECONDS: Final = 0.05
COMMIT_RECORDS: Final = 400
ADOPT_EVERY_SECONDS: Final = 60.0
CHECK_EVERY_SECONDS: Final = 1.0
ROOM_SHARE: Final = 0.5  # of the limit: what is free when a full spool is taken for well again
ASK_EVERY_SECONDS: Final = 1.0  # while the disk refuses: how often to ask it again
# A topic has other partitions than when its records were stored: so many are moved in one go.
MOVE_RECORDS: Final = 1_000


class Balance(NamedTuple):
    """How many records are on no disk yet, on disk, and lost: all of one moment."""

    unsaved: int
    stored: int
    lost: int


class Store:
    """Own spool and inherited ones."""

    def __init__(self, settings: Settings, listener: str, counters: Counters, now: float) -> None:
        """Raises `SpoolError` where the spool folder cannot be used."""
        # Around `waiting`, `placed`, what is handed in, and counters that two threads add to; never
        # held while the disk works.
        self.lock = threading.RLock()
        self.placed: dict[str, int] = {}  # topic → partitions that its lanes are of
        self.durable_at = now
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
        self._unsaved_bytes = 0
        self._acknowledged: dict[Lane, int] = {}  # and not removed yet
        self._hand: list[Numbered] = []  # being written
        self._settled = (0, 0)  # records in memory and on disk, when nothing was half done
        self._held = Held()
        self._problem = ""  # why the disk refuses
        self._committed_at = now
        self._ask_at = now
        self._adopt_at = now
        self._check_at = now

    # -- the loop's end --------------------------------------------------------------------------

    @property
    def unsaved(self) -> int:
        """Records that are not on disk yet."""
        return self.balance().unsaved

    @property
    def handed(self) -> int:
        """Records that were handed in and wait for the disk's first word on them."""
        return len(self._unsaved) + len(self._hand)

    def balance(self) -> Balance:
        """What became of all records that were handed in or inherited, and not delivered."""
        with self.lock:
            held, stored = self._settled
            unsaved = len(self._unsaved) + len(self._hand) + held
            return Balance(unsaved, stored, self._counters.lost)

    def lane(self, record: Record, sequence: int) -> Lane:
        """Where a record waits, as the store's lanes are now."""
        return lane_of(record.topic, record.key, sequence, self.placed.get(record.topic, 0))

    def lanes_waiting(self) -> list[Lane]:
        """A copy: the other thread changes the original."""
        with self.lock:
            return list(self.waiting)

    def keep(self, sequence: int, record: Record, lane: Lane, now: float) -> None:
        """Take a record under its sequence number, in its lane."""
        with self.lock:
            size = self._unsaved_bytes + len(record.value)
            if len(self._unsaved) >= HELD_RECORDS or size > HELD_BYTES:
                self._count_lost(1, "the disk does not answer", now)
                return
            self._unsaved.append(Numbered(sequence, record, lane.place))
            self._unsaved_bytes = size
            self.waiting[lane] = self.waiting.get(lane, 0) + 1

    # -- the spool's thread ----------------------------------------------------------------------

    def commit(self, now: float) -> None:
        """Write what was taken, behind what waits in memory."""
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

    def _store(self, records: list[Numbered], now: float) -> None:
        reason = "full"
        if self._held.records:
            stored, reason = self._held.take(records), self._problem
        else:
            try:
                stored = self._put(records)
                self._counters.spooled += stored
            except SpoolError as error:
                reason = self._problem = str(error)
                self._ask_at = now + ASK_EVERY_SECONDS
                self._log.error("spool_write_failed", reason=reason)
                stored = self._held.take(records)
        with self.lock:
            self._hand = []
            if stored < len(records):
                self._count_waiting()
            self._count_lost(len(records) - stored, reason, now)
            self._settle()

    def tick(self, now: float) -> None:
        """Write what waits long enough, look for orphans."""
        if now - self._committed_at >= COMMIT_EVERY_SECONDS or len(self._unsaved) >= COMMIT_RECORDS:
            self.commit(now)
        if self.refusing_since is not None and self._has_room():
            self._count_lost(0, "", now)
        if now >= self._check_at:
            self._check_at = now + CHECK_EVERY_SECONDS
            self._check()
        if now >= self._adopt_at:
            self._adopt_at = now + ADOPT_EVERY_SECONDS
            self._adopt()
        self._count()

    def source(self, lane: Lane) -> Source | None:
        """Where a lane goes on: the oldest inherited spool that has any of it, then our own."""
        for spool in self._inherited:
            if lane in spool.lanes:
                return spool
        if lane in self._held.lanes:
            return Merged(self._own, self._held) if lane in self._own.lanes else self._held
        return self._own if lane in self._own.lanes else None

    def acknowledge(self, lane: Lane, records: int) -> None:
        """Kafka has so many of a lane: they hold up nothing any more. `remove` follows."""
        with self.lock:
            self._acknowledged[lane] = self._acknowledged.get(lane, 0) + records
            take_of(self.waiting, lane, records)

    def start_over(self) -> None:
        """What was acknowledged and not removed is sent again."""
        with self.lock:
            self._acknowledged.clear()
            self._count_waiting()

    def remove(self, source: Source, delivered: Mapping[Lane, Sequence[int]]) -> None:
        """Kafka has these records, by lane. Raises `SpoolBroken`: then `mend` the source."""
        source.remove(delivered)
        with self.lock:
            for lane, sequences in delivered.items():
                take_of(self._acknowledged, lane, len(sequences))
            self._settle()
        for spool in [one for one in self._inherited if not one.records]:
            self._inherited.remove(spool)
            self._close(spool)

    def replace(self, topic: str, partitions: int, now: float) -> bool:
        """Put a topic's stored records in the lanes of so many partitions; whether all are there.

        It moves some at a time, `place` puts an end to it. Nobody may drain them meanwhile. Raises
        `SpoolError`.
        """
        self.commit(now)
        self._held.replace(topic, partitions)
        for spool in (*self._inherited, self._own):
            if not spool.replace(topic, partitions, MOVE_RECORDS):
                return False
        return True

    def place(self, topic: str, partitions: int) -> None:
        """From now on a topic's lanes are those of so many partitions."""
        with self.lock:
            self.placed[topic] = partitions
            self._unsaved = [
                placed_anew(one, partitions) if one.record.topic == topic else one
                for one in self._unsaved
            ]
            self._count_waiting()

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
            with self.lock:
                self._count_lost(self._held.records, self._problem, self._committed_at)
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
        self._ask_at = now + ASK_EVERY_SECONDS
        waiting = self._held.first(COMMIT_RECORDS)
        while waiting:
            try:
                stored = self._put(waiting)
            except SpoolError:
                return
            self._counters.spooled += stored
            self._held.forget([one.sequence for one in waiting[:stored]])
            if stored < len(waiting):
                with self.lock:
                    self._settle()
                return  # full by its own limit
            with self.lock:
                self._settle()
            waiting = self._held.first(COMMIT_RECORDS)

    def _count_lost(self, lost: int, reason: str, now: float) -> None:
        self._counters.lost += lost
        if lost and self.refusing_since is None:
            self.refusing_since = now
            self._log.error("spool_full", reason=reason, lost=lost, bytes=self._own.bytes)
        elif not lost and self.refusing_since is not None:
            self.refusing_since = None
            self._log.warning("spool_recovered", lost=self._counters.lost)

    def _has_room(self) -> bool:
        """Whether what comes next will be kept, as far as that can be said."""
        return not self.unsaved and self._own.bytes <= ROOM_SHARE * self._limit

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

    def _adopt(self) -> None:
        found = adopt(self._directory, self._limit, self._own.folder, self._told_damaged)
        for spool in found:
            self._log.info("spool_adopted", folder=spool.folder.name, records=spool.records)
        self._inherited += found
        self._count_waiting()
        known = {one.name for one in self.losses}
        self.losses += [one for one in losses(self._directory) if one.name not in known]

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
        with self.lock:
            waiting: Counter[Lane] = Counter(one.lane for one in (*self._unsaved, *self._hand))
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
