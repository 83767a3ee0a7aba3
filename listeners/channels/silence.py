"""Finds a socket that fell silent. Pure.

    heard     frames or heartbeats come in time
    probed    a heartbeat is late: Genesys' own ping was sent, and its pong counts as traffic

After nine tenths of the permitted silence the socket is probed; after all of it, closed.
"""

from __future__ import annotations

from typing import Final, Literal

from listeners.channels.table import SILENCE, Silence, SilenceInput, step

PING_AT: Final = 0.9  # of the permitted silence

Verdict = Literal["", "ping", "lost"]


class SilenceWatch:
    """The watch of one socket."""

    def __init__(self, permitted: float) -> None:
        """`permitted`: seconds without a frame."""
        self.permitted = permitted
        self.state: Silence = "heard"

    def reset(self) -> None:
        """Another socket is open."""
        self._take("heard")

    def look(self, silent: float) -> Verdict:
        """The verdict after `silent` seconds without a frame."""
        if silent >= self.permitted:
            self._take("silent")
            return "lost"
        if silent < self.permitted * PING_AT:
            self._take("heard")
            return ""
        if self.state == "probed":
            return ""
        self._take("late")
        return "ping"

    def _take(self, occurred: SilenceInput) -> None:
        self.state = step(SILENCE, self.state, occurred) or self.state
