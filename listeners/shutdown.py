"""Stops a listener in an order that loses nothing and does not make the fleet wait.

1. Tell the leader (`draining`), and go on receiving until it has moved the seats.
2. Close the channels, give them back, end the loop.
3. Flush to Kafka; records that Kafka does not take go to the spool.
4. Deregister at the leader.

Each step has a deadline; together they take less than `PROGRAM_STOP_SECONDS` of
`mirror.runtime.process`. The loop's state is read only from `Loop.state`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from listeners.beats import Beats
from listeners.channels.workers import Workers
from listeners.publish.publisher import Publisher
from listeners.receive.loop import Loop

DRAIN_SECONDS: Final = 9.0
CLOSE_SECONDS: Final = 1.5
JOIN_SECONDS: Final = 2.0
LAST_BREATH_SECONDS: Final = 0.1  # for a loop that is crashing
FLUSH_SECONDS: Final = 6.0
RELEASE_SECONDS: Final = 2.0
DEREGISTER_SECONDS: Final = 2.0
# A live leader moves the first seat within a few beats; without a leader waiting is useless.
IDLE_HEARTBEATS: Final = 2.5
_LOOK_SECONDS: Final = 0.1


def shut_down(
    loop: Loop,
    loop_thread: threading.Thread,
    beats: Beats,
    beats_thread: threading.Thread,
    workers: Workers,
    publisher: Publisher,
    *,
    heartbeat: float,
) -> None:
    """Run all steps in order. The flush runs also after a failed step.

    A crashed loop is not drained, but its records are flushed.
    """
    try:
        loop_thread.join(LAST_BREATH_SECONDS)  # it may just be crashing
        if loop_thread.is_alive():
            _drain(loop, beats, heartbeat)
            loop.call(loop.session.close)
            _wait(CLOSE_SECONDS, lambda: not loop.state.open_channels)
            loop.stop()
            loop_thread.join(JOIN_SECONDS)
        loop.close()
    finally:
        publisher.stop(FLUSH_SECONDS)
        workers.stop(RELEASE_SECONDS)
        beats.stop()
        beats_thread.join(DEREGISTER_SECONDS)


def _drain(loop: Loop, beats: Beats, heartbeat: float) -> None:
    """Wait until the leader has moved the seats; give up if the leader does not answer."""
    loop.call(loop.session.drain)
    beats.state = "draining"
    beats.hurry()
    started = time.monotonic()

    def is_done() -> bool:
        idle_since = max(started, beats.assigned_at)
        is_idle = time.monotonic() - idle_since > IDLE_HEARTBEATS * heartbeat
        return is_idle or not loop.state.seats

    _wait(DRAIN_SECONDS, is_done)


def _wait(seconds: float, is_done: Callable[[], bool]) -> None:
    """Wait until `is_done`, for at most `seconds`."""
    deadline = time.monotonic() + seconds
    while not is_done() and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
