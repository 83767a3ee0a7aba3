"""The metrics of a listener: their names, and how a struct of numbers becomes them.

Names follow Prometheus: prefix `mirror_`, base units, `_total` for what only grows. Labels are
bounded: never a conversation, a user, a topic or a channel. What coordinators and janitors tell
they register beside what they do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Kind = Literal["counter", "gauge"]


class Described(msgspec.Struct, frozen=True):
    """A metric's name, kind and meaning."""

    name: str
    kind: Kind
    help: str


def _counter(name: str, text: str) -> Described:
    return Described(f"mirror_{name}_total", "counter", text)


def _gauge(name: str, text: str) -> Described:
    return Described(f"mirror_{name}", "gauge", text)


# Field of a listener's counters → metric.
LISTENER: Final[Mapping[str, Described]] = {
    "frames": _counter("frames", "Frames read from sockets."),
    "bytes": _counter("received_bytes", "Bytes read from sockets."),
    "heartbeats": _counter("heartbeats", "Heartbeats and pongs read."),
    "system_frames": _counter("system_frames", "System messages read."),
    "unknown_frames": _counter("unknown_frames", "Frames of topics that are not known."),
    "events": _counter("events", "Events of interactions."),
    "agent_events": _counter("agent_events", "States of agents."),
    "dead_letters": _counter("dead_letters", "Dead letters."),
    "produced": _counter("records", "Records on their way to Kafka."),
    "delivered": _counter("records_delivered", "Records that Kafka acknowledged."),
    "failed": _counter("delivery_failures", "Deliveries that failed; their records are spooled."),
    "rejected": _counter("records_refused", "Records that Kafka refuses for good."),
    "lost": _counter("records_lost", "Records that neither Kafka nor the spool took."),
    "spooled": _counter("records_spooled", "Records written to the spool."),
    "spool_records": _gauge("spool_records", "Records in the spool."),
    "spool_bytes": _gauge("spool_bytes", "Size of what is in the spool."),
    "outages": _counter("kafka_outages", "Times that records went to the spool for Kafka's sake."),
    "connects": _counter("connects", "Sockets opened."),
    "reconnects": _counter("reconnects", "Sockets opened again on a channel that had one."),
    "rotations": _counter("rotations", "Channels that a successor took over from."),
    "protocol_errors": _counter("protocol_errors", "Sockets ended for breaches of WebSocket."),
    "read_seconds": _counter("loop_busy_seconds", "Time spent reading, normalising, producing."),
    "stalls": _counter("loop_stalls", "Passes of the loop that took longer than a second."),
}
CHANNELS: Final = _gauge("channels", "Channels held, by state.")


class Numbers(Collector):
    """Exports numbers that are kept elsewhere, as they are when Prometheus asks."""

    def __init__(self, metrics: Mapping[str, Described], source: object) -> None:
        """`source` has each key of `metrics` as an attribute."""
        self._metrics = metrics
        self._source = source

    def collect(self) -> Iterable[Metric]:
        """One sample of each."""
        for field, metric in self._metrics.items():
            family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            yield family(metric.name, metric.help, value=getattr(self._source, field))


class States(Collector):
    """Exports how many there are in each state."""

    def __init__(self, metric: Described, count: Callable[[], Mapping[str, int]]) -> None:
        """`count` gives all states there can be, so that none vanishes when it is empty."""
        self._metric = metric
        self._count = count

    def collect(self) -> Iterable[Metric]:
        """One sample a state."""
        family = GaugeMetricFamily(self._metric.name, self._metric.help, labels=["state"])
        for state, number in self._count().items():
            family.add_metric([state], number)
        yield family
