"""A listener's health, from memory: for `/healthz`, Prometheus and supervisord's watchdog."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, get_args

from prometheus_client import CollectorRegistry

from listeners.counters import Counters
from listeners.receive.loop import Loop
from mirror.base.health import Health
from mirror.fleet.words import ChannelState
from mirror.runtime.metrics import CHANNELS, LISTENER, Numbers, States

UNASSIGNED: Final = (
    "no assignment has come yet, so nothing is received here: `mirror status` says whether a "
    "coordinator leads"
)


class ListenerHealth:
    """Health from the loop's state and counters. Any thread may ask."""

    def __init__(
        self,
        counters: Counters,
        loop: Loop,
        registry: CollectorRegistry,
        *,
        lease: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Registers the metrics. A loop without a new state for a `lease` (seconds) hangs."""
        self._loop = loop
        self._lease = lease
        self._clock = clock
        registry.register(Numbers(LISTENER, counters))
        registry.register(States(CHANNELS, self._channels))

    def health(self) -> Health:
        """`degraded` for the same reasons as in beats, while channels do not become live, and
        before the first assignment."""
        state = self._loop.state
        unassigned = "" if state.version else UNASSIGNED
        return Health.of((*state.reasons, *filter(None, (state.dark, unassigned))))

    def hung(self) -> tuple[str, ...]:
        """Not empty while the loop makes no progress: it is busy, stuck or has ended."""
        late = self._clock() - self._loop.state.at
        if late > self._lease:
            return (f"the loop hangs for {late:.0f}s: no socket is read",)
        return ()

    def _channels(self) -> Mapping[str, int]:
        found = Counter(report.state for report in self._loop.state.channels)
        return {state: found[state] for state in get_args(ChannelState)}
