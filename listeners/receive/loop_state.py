"""The loop's state for other threads of a listener: beats, health and metrics read it."""

from __future__ import annotations

import msgspec

from listeners.channels.topic_list import Missed
from listeners.publish.extent import Lost
from mirror.fleet.words import ChannelReport, NativeState


class LoopState(msgspec.Struct, frozen=True):
    """The state of the loop at `at`, monotonic seconds.

    `seats` and `open_channels` are counts of the session.
    """

    at: float
    version: int
    seats: int = 0
    open_channels: int = 0
    channels: tuple[ChannelReport, ...] = ()
    reasons: tuple[str, ...] = ()
    dark: str = ""  # the problem of channels that are not live; status has its own words for it
    spool_records: int = 0
    spool_bytes: int = 0
    losses: tuple[Lost, ...] = ()  # of damaged spools, to be filed as gaps
    native: NativeState = "off"
    missed: tuple[Missed, ...] = ()  # topics that channels did not have, to be filed as gaps
