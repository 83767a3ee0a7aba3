"""A listener's metrics beside its counters: latency, ages, shares.

`mirror.runtime.metrics` has their names and meanings.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry

from listeners.publish.publisher import Publisher
from listeners.receive.loop import Loop
from mirror.genesys.client import GenesysClient
from mirror.runtime import genesys_metrics
from mirror.runtime.histograms import Gauges, Histograms
from mirror.runtime.metrics import DEAD_SHARE, LAST_FRAME, LATENCY, UNSAVED_AGE


def register(
    registry: CollectorRegistry,
    loop: Loop,
    publisher: Publisher,
    clients: Iterable[GenesysClient],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Export them all. Each is read from memory, in the thread that answers Prometheus."""

    def unsaved() -> Mapping[str, float]:
        return {"": max(0.0, clock() - publisher.durable_at())}

    def last_frames() -> Mapping[str, float]:
        state = loop.state
        since = max(0.0, clock() - state.at)
        ages: dict[str, float] = {}
        for channel in state.channels:
            if channel.last_frame_ms is not None:
                age = channel.last_frame_ms / 1000 + since
                ages[channel.shard] = min(age, ages.get(channel.shard, age))
        return ages

    registry.register(Histograms(LATENCY, publisher.latency.tallies))
    registry.register(Gauges(UNSAVED_AGE, unsaved))
    registry.register(Gauges(LAST_FRAME, last_frames))
    registry.register(Gauges(DEAD_SHARE, lambda: {"": loop.dead_share}))
    genesys_metrics.register(registry, clients)
