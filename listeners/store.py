"""The spools of a process: its own, and those it adopted from processes that are gone.

Records are kept in a buffer for up to `COMMIT_EVERY` before they are written, so that many share
one fsync. While the disk refuses, they wait in memory, up to `HELD_RECORDS` and `HELD_BYTES`, and
go to Kafka from there if it comes back first: a full disk alone costs nothing. What neither the
spool nor memory has room for is counted as lost, the newest first, and `refusing_since` is set
until records are taken again.

A damaged spool is set aside, loudly, and what is whole in it goes on (`listeners.spool.salvage`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

from listeners.counters import Counters
from listeners.spool import Numbered, Spool, SpoolBroken, SpoolError, adopt, salvage
from mirror.kafka.record import Record
from mirror.log import logger
from mirror.settings import Settings

COMMIT_EVERY: Final = 0.05
COMMIT_RECORDS: Final = 1_000
ADOPT_EVERY: Final = 60.0
# While the disk refuses: how often to ask it again, and what may wait in memory.
ASK_EVERY: Final = 1.0
HELD_RECORDS: Final = 20_000
HELD_BYTES: Final = 32 * 1024 * 1024


class Source(Protocol):
    """Where records wait in order: a spool, or memory."""

    @property
    def records(self) -> int:
        """How many there are."""

    def head(self, most: int, most_bytes: int) -> list[Numbered]:
        """The first of them."""

    def remove(self, sequences: list[int]) -> object:
        """Forget the first of them: Kafka has them."""


class Held:
    """What waits in memory, in order."""

    def __init__(self) -> None:
        self.bytes = 0
        self._waiting: list[Numbered] = []

    @property
    def records(self) -> int:
        """How many there are."""
        return len(self._waiting)

    def take(self, records: list[Numbered]) -> int:
        """Hold as many as there is room for, in sequence; how many that were."""
        taken = 0
        for numbered in sorted(records, key=lambda one: one[0]):
            size = len(numbered[1].value)
            if len(self._waiting) >= HELD_RECORDS or self.bytes + size > HELD_BYTES:
                break
            self._waiting.append(numbered)
            self.bytes += size
            taken += 1
        self._waiting.sort(key=lambda one: one[0])
        return taken

    def head(self, most: int, most_bytes: int) -> list[Numbered]:
        """The first of them, as `Spool.head`."""
        found: list[Numbered] = []
        size = 0
        for numbered in self._waiting[:most]:
            size += len(numbered[1].value)
            if found and size > most_bytes:
                break
            found.append(numbered)
        return found

    def remove(self, sequences: list[int]) -> set[int]:
        """Forget these; which of them were here."""
        gone = {one[0] for one in self._waiting}.intersection(sequences)
        self._waiting = [one for one in self._waiting if one[0] not in gone]
        self.bytes = sum(len(one[1].value) for one in self._waiting)
        return gone


class Merged:
    """A spool and what waits in memory, in sequence: what was taken back last may be the oldest."""

    def __init__(self, spool: Spool, held: Held) -> None:
        self.spool = spool
        self._held = held

    @property
    def records(self) -> int:
        """How many there are."""
        return self.spool.records + self._held.records

    def head(self, most: int, most_bytes: int) -> list[Numbered]:
        """The first of them, as `Spool.head`, up to `most_bytes` from either."""
        found: list[Numbered] = []
        ends = []
        for source in (self.spool, self._held):
            part = source.head(most, most_bytes)
            found += part
            if len(part) < source.records:
                ends.append(part[-1][0])  # behind it there may be older ones than the other gave
        found.sort(key=lambda one: one[0])
        return [one for one in found if not ends or one[0] <= min(ends)][:most]

    def remove(self, sequences: list[int]) -> None:
        """Forget these."""
        held = self._held.remove(sequences)
        if stored := [sequence for sequence in sequences if sequence not in held]:
            self.spool.remove(stored)


class Store:
    """Own spool and inherited ones. All methods belong to one thread."""

    def __init__(self, settings: Settings, listener: str, counters: Counters, now: float) -> None:
        """Raises `SpoolError` where the spool folder cannot be used."""
        self.refusing_since: float | None = None
        self._directory = settings.spool_dir
        self._limit = settings.spool_limit
        self._counters = counters
        self._log = logger("listener.spool")
        self._own = Spool(self._directory / listener, self._limit)
        self._inherited: list[Spool] = []
        self._unsaved: list[Numbered] = []
        self._held = Held()
        self._trouble = ""  # why the disk refuses
        self._committed_at = now
        self._ask_at = now
        self._adopt_at = now

    @property
    def unsaved(self) -> int:
        """Records that are not on disk yet."""
        return len(self._unsaved) + self._held.records

    def keep(self, sequence: int, record: Record, now: float) -> None:
        """Take a record under its sequence number."""
        self._unsaved.append((sequence, record))
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
        self._count_lost(len(records) - stored, reason, now)

    def tick(self, now: float) -> bool:
        """Write what waits long enough, look for orphans; whether one was adopted."""
        if now - self._committed_at >= COMMIT_EVERY:
            self.commit(now)
        adopted = False
        if now >= self._adopt_at:
            self._adopt_at = now + ADOPT_EVERY
            adopted = self._adopt()
        self._count()
        return adopted

    def first(self) -> Source:
        """Where records go from first: the oldest inherited spool that has any, then our own."""
        while self._inherited and not self._inherited[0].records:
            self._close(self._inherited.pop(0))
        if self._inherited:
            return self._inherited[0]
        if not self._held.records:
            return self._own
        return Merged(self._own, self._held) if self._own.records else self._held

    def mend(self, source: Source) -> None:
        """Set a damaged spool aside, and go on with what is whole in it."""
        if isinstance(source, Merged):
            source = source.spool
        if not isinstance(source, Spool):
            return
        source.abandon()
        is_own = source is self._own
        place = len(self._inherited) if is_own else self._inherited.index(source)
        if not is_own:
            del self._inherited[place]
        name = source.folder.name
        try:
            saved, aside = salvage(source.folder, self._limit)
        except SpoolError as error:  # whoever adopts it tries again
            self._log.error("spool_damaged", folder=name, reason=str(error))
            name += "+"
        else:
            self._told_damaged(aside, saved.records if saved else 0)
            if saved is not None:
                self._inherited.insert(place, saved)
        if is_own:
            self._own = Spool(self._directory / name, self._limit)

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
        waiting = self._held.head(COMMIT_RECORDS, HELD_BYTES)
        while waiting:
            try:
                stored = self._put(waiting)
            except SpoolError:
                return
            self._counters.spooled += stored
            self._held.remove([sequence for sequence, _ in waiting[:stored]])
            if stored < len(waiting):
                return  # full by its own limit
            waiting = self._held.head(COMMIT_RECORDS, HELD_BYTES)

    def _count_lost(self, lost: int, reason: str, now: float) -> None:
        self._counters.lost += lost
        if lost and self.refusing_since is None:
            self.refusing_since = now
            self._log.error("spool_refuses", reason=reason, lost=lost, bytes=self._own.bytes)
        elif not lost and self.refusing_since is not None:
            self.refusing_since = None
            self._log.warning("spool_takes_again", lost=self._counters.lost)

    def _adopt(self) -> bool:
        found = adopt(self._directory, self._limit, self._own.folder, self._told_damaged)
        for spool in found:
            self._log.info("spool_adopted", folder=spool.folder.name, records=spool.records)
        self._inherited += found
        return bool(found)

    def _told_damaged(self, aside: Path, saved: int) -> None:
        self._counters.spools_damaged += 1
        self._log.error("spool_damaged", set_aside=aside.name, saved=saved)

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
