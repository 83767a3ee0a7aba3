"""The order in which a listener ends, so that it loses nothing and the fleet does not wait for it.

1. Tell the leader (`draining`) and go on receiving until it has moved the seats.
2. Close the channels, give them back, end the loop.
3. Flush to Kafka; what Kafka does not take goes to the spool.
4. Say farewell.

Each step has a deadline; together they take less than `PROGRAM_STOP_SECONDS` of
`mirror.runtime.process`. What the loop holds is read from its snapshots alone.
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
LAST_BREATH_SECONDS: Final = 0.1  # of a loop that ends by a crash
FLUSH_SECONDS: Final = 6.0
RELEASE_SECONDS: Final = 2.0
DEREGISTER_SECONDS: Final = 2.0
# A leader that lives moves the first seat within a few beats; without one waiting is idle.
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
    """All steps, in order; what a failed step left undone, the flush does not wait for.

    A loop that has crashed is not drained: what it held is flushed.
    """
    try:
        loop_thread.join(LAST_BREATH_SECONDS)  # a crash that ends it may just be under way
        if loop_thread.is_alive():
            _drain(loop, beats, heartbeat)
            loop.call(loop.session.close)
            _wait(CLOSE_SECONDS, lambda: not loop.snapshot.open_channels)
            loop.stop()
            loop_thread.join(JOIN_SECONDS)
        loop.close()
    finally:
        publisher.stop(FLUSH_SECONDS)
        workers.stop(RELEASE_SECONDS)
        beats.stop()
        beats_thread.join(DEREGISTER_SECONDS)


def _drain(loop: Loop, beats: Beats, heartbeat: float) -> None:
    """Wait for the leader to move the seats; not for a leader that does not answer."""
    loop.call(loop.session.drain)
    beats.state = "draining"
    beats.hurry()
    started = time.monotonic()

    def is_done() -> bool:
        idle_since = max(started, beats.assigned_at)
        is_idle = time.monotonic() - idle_since > IDLE_HEARTBEATS * heartbeat
        return is_idle or not loop.snapshot.seats

    _wait(DRAIN_SECONDS, is_done)


def _wait(seconds: float, is_done: Callable[[], bool]) -> None:
    """Until `is_done`, for at most so many seconds."""
    deadline = time.monotonic() + seconds
    while not is_done() and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
