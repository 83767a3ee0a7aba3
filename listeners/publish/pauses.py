"""Pauses new records of a lane in memory while its last stored records are in flight. Pure.

Without pauses a busy lane would never leave the store: records that come while its last ones are
sent would be stored behind them, above all on a slow disk. So when few records of a lane are left
and Kafka takes them, new records wait here, for at most `PAUSE_SECONDS`. Then they go straight to
Kafka, or to the store like all before them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from listeners.publish.lanes import Lane, are_of_one_size
from mirror.kafka.record import Record

LITTLE: Final = 500  # stored records left in a lane
PAUSE_SECONDS: Final = 3.0
BARRED_SECONDS: Final = 5.0  # after a pause in vain the lane is not paused again for this time
MOST_RECORDS: Final = 5_000  # in all lanes together
MOVED_SECONDS: Final = 2.0  # Kafka took a record within this time


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
        """Let a record wait here; False if it must be stored.

        `left` counts the lane's stored records; at `moved_at` Kafka last took a record of any lane.
        Once a lane pauses, all its new records wait here, in order.
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
        """Paused lanes of the same topic from when it had another number of partitions."""
        return [
            paused
            for paused in self._lanes
            if paused.topic == lane.topic and not are_of_one_size(paused, lane)
        ]

    def over(self, waiting: dict[Lane, int], now: float) -> list[Lane]:
        """Lanes without stored records, and lanes that have paused long enough."""
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
        """End the pause of a lane. Returns its records in order; none if it does not pause."""
        pause = self._lanes.pop(lane, None)
        if pause is None:
            return []
        self.count -= len(pause.records)
        return pause.records

    def lanes(self) -> list[Lane]:
        """The lanes that pause."""
        return list(self._lanes)
