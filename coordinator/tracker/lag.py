"""How many records wait to be folded, and how old the oldest of them may be. Pure."""

from __future__ import annotations

from collections.abc import Mapping


class Lag:
    """The lag of the own partitions. `now` is monotonic seconds, `clock` the time of records."""

    def __init__(self, now: float) -> None:
        self.records = 0
        self.seconds = 0.0  # age of the oldest waiting record, at most
        self._begun_at = now
        self._folded_at: dict[int, float] = {}  # partition → time of its last folded record
        self._even_at: dict[int, float] = {}  # partition → when it last had no waiting record

    def folded(self, partition: int, clock: float) -> None:
        """The records of a partition are folded up to one of this time."""
        self._folded_at[partition] = clock

    def reassigned(self, now: float) -> None:
        """Forget what is known of the partitions: others may have folded them meanwhile."""
        self._begun_at = now
        self._folded_at.clear()
        self._even_at.clear()

    def measured(self, waiting: Mapping[int, int], now: float, clock: float) -> None:
        """`waiting`: own partition → its records that are not folded yet."""
        self.records = sum(waiting.values())
        self._even_at |= {partition: now for partition, many in waiting.items() if not many}
        ages = (self._age(partition, now, clock) for partition, many in waiting.items() if many)
        self.seconds = max(ages, default=0.0)

    def _age(self, partition: int, now: float, clock: float) -> float:
        """The greatest possible age of a partition's first waiting record: it came after the last
        folded record, and after the last time without waiting records. If neither is known, for how
        long the partition is ours."""
        waits = now - self._even_at.get(partition, self._begun_at)
        folded_at = self._folded_at.get(partition)
        if folded_at is None:
            return waits
        age = max(0.0, clock - folded_at)
        return min(age, waits) if partition in self._even_at else age
