"""What a listener tells Prometheus and health checks, from memory."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import get_args

from prometheus_client import CollectorRegistry

from listeners.counters import Counters
from listeners.receive.loop import Loop
from mirror.base.health import Health
from mirror.base.turns import Turns
from mirror.fleet.words import ChannelState
from mirror.runtime.metrics import CHANNELS, LISTENER, Numbers, States


class Vitals:
    """The registry of a listener's metrics, and its health."""

    def __init__(
        self,
        counters: Counters,
        loop: Loop,
        thread: threading.Thread,
        turns: Turns,
        *,
        lease: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`thread` runs `loop`; one that says nothing for a `lease` (seconds) hangs.

        `turns` knows of the threads beside it.
        """
        self._loop = loop
        self._thread = thread
        self._turns = turns
        self._lease = lease
        self._clock = clock
        self.registry = CollectorRegistry()
        self.registry.register(Numbers(LISTENER, counters))
        self.registry.register(States(CHANNELS, self._channels))

    def health(self) -> Health:
        """`down` without a loop that works, `degraded` for the reasons that beats tell too."""
        snapshot = self._loop.snapshot
        if not self._thread.is_alive():
            return Health("down", ("the loop has ended: no socket is read",))
        late = self._clock() - snapshot.at
        if late > self._lease:
            return Health("down", (f"the loop hangs for {late:.0f}s: no socket is read",))
        return Health.of(snapshot.reasons, self._turns.reasons())

    def _channels(self) -> Mapping[str, int]:
        found = Counter(report.state for report in self._loop.snapshot.channels)
        return {state: found[state] for state in get_args(ChannelState)}
