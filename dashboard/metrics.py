"""A dashboard's metrics for Prometheus. `mirror.runtime.metrics` has their names and meanings."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from dashboard.hub import Hub
from dashboard.reader.reader import Reader
from mirror.runtime.metrics import DASHBOARD, Numbers


class Metrics:
    """A dashboard's metrics: an attribute for each key of `DASHBOARD`."""

    def __init__(self, registry: CollectorRegistry, hub: Hub, reader: Reader) -> None:
        self._hub = hub
        self._reader = reader
        registry.register(Numbers(DASHBOARD, self))

    @property
    def streams(self) -> int:
        return self._hub.streams

    @property
    def cut(self) -> int:
        return self._hub.cut

    @property
    def sent(self) -> int:
        return self._hub.sent

    @property
    def events(self) -> int:
        return self._reader.rates.events

    @property
    def repeats(self) -> int:
        return self._reader.rates.repeats

    @property
    def conversations(self) -> int:
        return self._reader.floor.live

    @property
    def unreadable(self) -> int:
        return self._reader.unreadable

    @property
    def from_views(self) -> int:
        return int(bool(self._reader.opened.topic) and not self._reader.opened.reason)

    @property
    def opened_in(self) -> float:
        return self._reader.opened.seconds
