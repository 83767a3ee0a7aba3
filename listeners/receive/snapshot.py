"""What the loop leaves for the other threads of a listener: beats, health and metrics read it."""

from __future__ import annotations

import msgspec

from listeners.channels.topic_list import Missed
from listeners.publish.extent import Lost
from mirror.fleet.words import ChannelReport


class Snapshot(msgspec.Struct, frozen=True):
    """What the loop says of itself for the next beat; `at` is monotonic seconds."""

    at: float
    version: int
    channels: tuple[ChannelReport, ...] = ()
    reasons: tuple[str, ...] = ()
    spool_records: int = 0
    spool_bytes: int = 0
    losses: tuple[Lost, ...] = ()  # of damaged spools, to be filed as gaps
    missed: tuple[Missed, ...] = ()  # topics that channels did not have, to be filed as gaps
