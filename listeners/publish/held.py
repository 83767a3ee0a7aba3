"""Records that wait in memory while the spool's disk refuses, and both merged as one source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from listeners.publish.lanes import Lane, lane_of
from listeners.publish.rows import Numbered, by_sequence
from listeners.publish.spool import Spool, room_for

HELD_RECORDS: Final = 20_000
HELD_BYTES: Final = 32 * 1024 * 1024


class Source(Protocol):
    """A place where a lane's records wait in order: a spool, or memory."""

    @property
    def lanes(self) -> Mapping[Lane, int]:
        """Lane → number of records; lanes without records are absent."""

    def head(self, lane: Lane, after: int, most: int, most_bytes: int) -> list[Numbered]:
        """A lane's first records after the sequence number `after`."""

    def remove(self, delivered: Mapping[Lane, Sequence[int]]) -> None:
        """Forget records, by lane: Kafka has them."""


class HeldRecords:
    """Records that wait in memory, in order."""

    def __init__(self, favoured: str) -> None:
        """`favoured`: as in `room_for`."""
        self.bytes = 0
        self._favoured = favoured
        self.lanes: dict[Lane, int] = {}
        self._waiting: list[Numbered] = []

    @property
    def records(self) -> int:
        """The number of records."""
        return len(self._waiting)

    def take(self, records: list[Numbered]) -> list[Numbered]:
        """Hold as many records as there is room for, in sequence. Returns the others."""
        refused = []
        for numbered in sorted(records, key=by_sequence):
            size = len(numbered.record.value)
            topic = self._favoured if numbered.takes_place else numbered.record.topic
            if not has_memory(len(self._waiting), self.bytes + size, topic, self._favoured):
                refused.append(numbered)
                continue
            self._waiting.append(numbered)
            self.bytes += size
        self._settle(self._waiting)
        return refused

    def first(self, most: int) -> list[Numbered]:
        """The first `most` records."""
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
        """Forget the records with these numbers. Returns the numbers that were here."""
        asked = set(sequences)
        gone = {numbered.sequence for numbered in self._waiting if numbered.sequence in asked}
        if gone:
            self._settle([numbered for numbered in self._waiting if numbered.sequence not in gone])
        return gone

    def repartition(self, topic: str, partitions: int) -> None:
        """Put a topic's records in the lanes for `partitions` partitions."""
        self._settle(
            [
                placed_anew(numbered, partitions) if numbered.record.topic == topic else numbered
                for numbered in self._waiting
            ]
        )

    def _settle(self, waiting: list[Numbered]) -> None:
        self._waiting = sorted(waiting, key=by_sequence)
        self.bytes = sum(len(numbered.record.value) for numbered in waiting)
        self.lanes = dict(Counter(numbered.lane for numbered in waiting))


class Merged:
    """A spool and memory merged in sequence: records taken back last may be the oldest.

    Records may move from memory to the disk while they are in flight.
    """

    def __init__(self, spool: Spool, held: HeldRecords) -> None:
        self.spool = spool
        self._held = held

    @property
    def lanes(self) -> Mapping[Lane, int]:
        """Lane → number of records."""
        return Counter(self.spool.lanes) + Counter(self._held.lanes)

    def head(self, lane: Lane, after: int, most: int, most_bytes: int) -> list[Numbered]:
        """A lane's first records, as `Spool.head`, up to `most_bytes` from either."""
        found: list[Numbered] = []
        ends = []
        for source in (self.spool, self._held):
            if lane not in source.lanes:  # a disk that cannot be read holds up no other lane
                continue
            part = source.head(lane, after, most, most_bytes)
            found += part
            if part and len(part) < source.lanes.get(lane, 0):
                ends.append(part[-1].sequence)  # the other source may have older ones
        found.sort(key=by_sequence)
        return [numbered for numbered in found if not ends or numbered.sequence <= min(ends)][:most]

    def remove(self, delivered: Mapping[Lane, Sequence[int]]) -> None:
        """Forget records that Kafka has, by lane."""
        stored = {}
        for lane, sequences in delivered.items():
            held = self._held.forget(sequences)
            # What had room in neither is counted as lost, although it was in flight.
            stored[lane] = self.spool.stored(set(sequences) - held)
        if any(stored.values()):
            self.spool.remove(stored)


def has_memory(records: int, size: int, topic: str, favoured: str) -> bool:
    """Whether one more record of `topic` has room behind `records` records. `size`: the bytes of
    all of them."""
    return records < room_for(topic, favoured, HELD_RECORDS) and size <= room_for(
        topic, favoured, HELD_BYTES
    )


def placed_anew(numbered: Numbered, partitions: int) -> Numbered:
    """The record in its lane for `partitions` partitions."""
    record = numbered.record
    lane = lane_of(record.topic, record.key, numbered.sequence, partitions)
    return msgspec.structs.replace(numbered, place=lane.place)
