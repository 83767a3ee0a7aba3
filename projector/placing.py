"""From which offset a partition goes on. Pure.

Three things may say so: the group's offset, which the last transaction moved; the conversations,
each of which names the last record that it counts, so that a lost offset costs nothing; and what
Kafka still retains.
"""

from __future__ import annotations

import msgspec


class Place(msgspec.Struct, frozen=True):
    """Where a partition goes on.

    `missed` counts records that Kafka deleted before they were projected. `is_shorter` says that
    the partition ends before what was projected of it: it is another topic of the same name, or
    lost its end; where to go on then, nobody can know.
    """

    offset: int
    missed: int = 0
    is_shorter: bool = False


def place(committed: int | None, floor: int, low: int, high: int) -> Place:
    """`committed` is the group's offset, if there is one, `floor` the offset behind the last record
    that the conversations count, `low` and `high` what Kafka retains of the partition.
    """
    wanted = max(floor, committed or 0)
    if wanted > high:
        return Place(low, is_shorter=True)
    if wanted < low:
        is_new = committed is None and not floor
        return Place(low, missed=0 if is_new else low - wanted)
    return Place(wanted)
