"""What a janitor tells Prometheus: names and meanings stand in `mirror.runtime.metrics`."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from janitor.gaps.filler import Filler
from janitor.genesys import GenesysPool
from janitor.producer import Outlet
from janitor.zombies.sweep import Sweep
from mirror.runtime import metrics as names

OUTCOMES = names.VERIFIED.labels[0][1]


class Metrics:
    """A janitor's metrics."""

    def __init__(
        self,
        registry: CollectorRegistry,
        filler: Filler,
        genesys: GenesysPool,
        outlets: Sequence[Outlet],
    ) -> None:
        self._verified = names.counter(names.VERIFIED, registry)
        self._outlets = outlets
        filled = {
            "filled": names.GAPS_FILLED,
            "conversations": names.BACKFILLED,
            "events": names.BACKFILLED_EVENTS,
        }
        registry.register(names.Numbers(filled, filler))
        registry.register(names.Counts(names.UNREAD, lambda: filler.unread))
        registry.register(names.Numbers({"dead_letters": names.BURIED}, self))
        registry.register(names.Numbers({"calls": names.CALLS}, genesys))

    @property
    def dead_letters(self) -> int:
        """Records that Kafka refused for good."""
        return sum(outlet.dead_letters for outlet in self._outlets)

    def note(self, sweep: Sweep) -> None:
        """A sweep has ended."""
        for outcome in OUTCOMES:
            self._verified.labels(outcome).inc(getattr(sweep, outcome))
