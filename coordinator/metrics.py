"""A coordinator's metrics; `mirror.runtime.metrics` has their names and meanings."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry

from coordinator.leader import Outcome
from mirror.base.tally import Tally
from mirror.runtime import metrics as names
from mirror.runtime.histograms import Histograms

PASS_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """A coordinator's metrics. Only the leader sets those of the fleet."""

    def __init__(self, made: CollectorRegistry) -> None:
        self._leader = names.gauge(names.LEADER, made)
        self._shards = names.gauge(names.SHARDS, made)
        self._topics = names.gauge(names.TOPICS, made)
        self._listeners = names.gauge(names.LISTENERS_ALIVE, made)
        self._unassigned = names.gauge(names.SEATS_UNASSIGNED, made)
        self._rejected = names.gauge(names.TOPICS_REJECTED, made)
        self._gone = names.gauge(names.TOPICS_GONE, made)
        self._gaps_open = names.gauge(names.GAPS_OPEN, made)
        self._conversations = names.gauge(names.CONVERSATIONS, made)
        self._gaps = names.counter(names.GAPS_FILED, made)
        self._changes = names.counter(names.SEAT_CHANGES, made)
        self._oldest_due = names.gauge(names.OLDEST_DUE, made)
        self._passes = Tally(PASS_BOUNDS)
        made.register(Histograms(names.PASS_SECONDS, lambda: {(): self._passes}))

    def note(self, outcome: Outcome, seconds: float) -> None:
        """Note a pass that took `seconds`."""
        self._shards.set(len(outcome.shards))
        self._topics.set(sum(len(shard.topics) for shard in outcome.shards.values()))
        self._listeners.set(len(outcome.alive))
        self._unassigned.set(len(outcome.unassigned))
        self._rejected.set(len(outcome.rejected))
        self._passes.add(seconds)
        for gap in outcome.gaps:
            self._gaps.labels(gap.kind).inc()
        for change in outcome.changes:
            self._changes.labels(change.kind).inc()

    def census(self, gaps_open: int, active: int, overdue: int, oldest_due: float) -> None:
        """Note the counts from Redis; `oldest_due` is in seconds."""
        self._oldest_due.set(oldest_due)
        self._gaps_open.set(gaps_open)
        self._conversations.labels("active").set(active)
        self._conversations.labels("overdue").set(overdue)

    def gone(self, topics: int) -> None:
        """Note the number of mirrored topics that disappeared lately."""
        self._gone.set(topics)

    def lead(self, leads: bool) -> None:
        """Note whether this coordinator leads; if not, the fleet's metrics become 0."""
        self._leader.set(leads)
        if leads:
            return
        for gauge in (
            self._shards,
            self._topics,
            self._listeners,
            self._unassigned,
            self._rejected,
            self._gone,
        ):
            gauge.set(0)
        self.census(0, 0, 0, 0.0)
