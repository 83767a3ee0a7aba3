"""A janitor's metrics; `mirror.runtime.metrics` has their names and meanings."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from janitor.gaps.filler import Filler
from janitor.genesys import GenesysPool
from janitor.producer import AckedProducer
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
        producers: Sequence[AckedProducer],
    ) -> None:
        self._verified = names.counter(names.VERIFIED, registry)
        self._producers = producers
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
        return sum(producer.dead_letters for producer in self._producers)

    def note(self, sweep: Sweep) -> None:
        """Note the result of a sweep."""
        for outcome in OUTCOMES:
            self._verified.labels(outcome).inc(getattr(sweep, outcome))
