"""New records of lanes whose last stored ones are on their way: they wait in memory for those.

Without it a busy lane would never leave the store: whatever comes while its last records are sent
would be stored behind them, most of all where the disk is slow. So once little is left of a lane
and Kafka takes it, what is new waits here, for `PAUSE_SECONDS` at most; then it goes straight to
Kafka, or to the store like all before it. Pure.
"""

from __future__ import annotations

from typing import Final

import msgspec

from listeners.publish.lanes import Lane, are_of_one_size
from mirror.kafka.record import Record

LITTLE: Final = 500  # records left of a lane
PAUSE_SECONDS: Final = 3.0
BARRED_SECONDS: Final = 5.0  # a lane whose pause was in vain is not paused again for so long
MOST_RECORDS: Final = 5_000  # of all lanes
MOVED_SECONDS: Final = 2.0  # Kafka took something so lately


class Pause(msgspec.Struct):
    """One lane's new records in order, with their numbers, until `until`."""

    until: float
    records: list[tuple[int, Record]] = msgspec.field(default_factory=list)


class Pauses:
    """The lanes that pause."""

    def __init__(self) -> None:
        self.count = 0
        self._lanes: dict[Lane, Pause] = {}
        self._barred: dict[Lane, float] = {}

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def take(
        self,
        lane: Lane,
        sequence: int,
        record: Record,
        left: int,
        moved_at: float | None,
        now: float,
    ) -> bool:
        """Have a record wait here; false where it is to be stored.

        `left` of the lane are in the store, Kafka took something of any at `moved_at`. Once a lane
        pauses, all that is new of it waits here, in order.
        """
        pause = self._lanes.get(lane)
        if pause is None:
            is_moving = moved_at is not None and now - moved_at < MOVED_SECONDS
            may_not = now < self._barred.get(lane, 0.0) or self.count >= MOST_RECORDS
            if left > LITTLE or not is_moving or may_not or not lane.place:
                return False
            pause = self._lanes[lane] = Pause(now + PAUSE_SECONDS)
        pause.records.append((sequence, record))
        self.count += 1
        return True

    def has(self, lane: Lane) -> bool:
        """Whether the lane pauses."""
        return lane in self._lanes

    def misplaced(self, lane: Lane) -> list[Lane]:
        """Lanes of the same topic that pause, of when it had other partitions."""
        return [
            other
            for other in self._lanes
            if other.topic == lane.topic and not are_of_one_size(other, lane)
        ]

    def over(self, waiting: dict[Lane, int], now: float) -> list[Lane]:
        """Lanes of which nothing is stored any more, and those that have paused long enough."""
        crowded = self.count >= MOST_RECORDS
        found = []
        for lane, pause in self._lanes.items():
            in_vain = now >= pause.until or crowded
            if lane not in waiting:
                found.append(lane)
            elif in_vain:
                self._barred[lane] = now + BARRED_SECONDS
                found.append(lane)
        return found

    def end(self, lane: Lane) -> list[tuple[int, Record]]:
        """The lane pauses no more; what waited, in order."""
        records = self._lanes.pop(lane).records
        self.count -= len(records)
        return records

    def lanes(self) -> list[Lane]:
        """The lanes that pause."""
        return list(self._lanes)
