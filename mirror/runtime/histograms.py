"""Histograms of durations that are kept elsewhere (`mirror.base.tally`), and gauges by label."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from mirror.base.tally import Tally
from mirror.runtime.metrics import Described


class Histograms(Collector):
    """Exports the present tallies when Prometheus asks."""

    def __init__(
        self, metric: Described, source: Callable[[], Mapping[tuple[str, ...], Tally]]
    ) -> None:
        """`source` returns label values, in the metric's order → tally."""
        self._metric = metric
        self._source = source

    def collect(self) -> Iterable[Metric]:
        """The buckets of each series, its count and its sum."""
        names = [name for name, _ in self._metric.labels]
        family = HistogramMetricFamily(self._metric.name, self._metric.help, labels=names)
        for values, tally in self._source().items():
            running = list(accumulate(tally.counts))
            ends = [*map(str, tally.bounds), "+Inf"]
            family.add_metric(list(values), list(zip(ends, running, strict=True)), tally.seconds)
        yield family


class Gauges(Collector):
    """Exports numbers that are kept elsewhere, by the values of one label or of none.

    A value that is unknown now has no series.
    """

    def __init__(self, metric: Described, source: Callable[[], Mapping[str, float]]) -> None:
        """`source` returns label value → number; without a label the key is the empty text."""
        self._metric = metric
        self._source = source

    def collect(self) -> Iterable[Metric]:
        """One sample per value."""
        names = [name for name, _ in self._metric.labels]
        family = GaugeMetricFamily(self._metric.name, self._metric.help, labels=names)
        for value, number in self._source().items():
            family.add_metric([value] if names else [], number)
        yield family
