"""Chooses the offset at which a partition goes on. Pure.

Three sources count. The group's offset was moved by the last transaction. Each conversation names
the last record that it counts, so a lost group offset costs nothing. And Kafka may no longer retain
the record.
"""

from __future__ import annotations

import msgspec


class StartOffset(msgspec.Struct, frozen=True):
    """Where a partition goes on.

    `missed` counts records that Kafka deleted before they were projected. `is_shorter`: the
    partition ends before the last projected record, because the topic was created again or lost its
    end. Then no offset is right.
    """

    offset: int
    missed: int = 0
    is_shorter: bool = False


def place(committed: int | None, floor: int, low: int, high: int) -> StartOffset:
    """`committed` is the group's offset, or None. `floor` is the offset behind the last record that
    the conversations count. `low` and `high` bound what Kafka retains of the partition.
    """
    wanted = max(floor, committed or 0)
    if wanted > high:
        return StartOffset(low, is_shorter=True)
    if wanted < low:
        is_new = committed is None and not floor
        return StartOffset(low, missed=0 if is_new else low - wanted)
    return StartOffset(wanted)
