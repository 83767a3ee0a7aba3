"""Metrics of a process' calls to Genesys; `mirror.runtime.metrics` has their names and meanings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry

from mirror.genesys.client import GenesysClient
from mirror.genesys.timing import total
from mirror.runtime.histograms import Gauges, Histograms
from mirror.runtime.metrics import REQUESTS, TOKEN_LEFT


def register(registry: CollectorRegistry, clients: Iterable[GenesysClient]) -> None:
    """Export the calls of all of a process' OAuth clients, and the earliest end of a token."""
    held = tuple(clients)

    def token_left() -> Mapping[str, float]:
        lives = [left for client in held if (left := client.token_left) is not None]
        return {"": min(lives)} if lives else {}

    registry.register(Histograms(REQUESTS, lambda: total(client.calls for client in held)))
    registry.register(Gauges(TOKEN_LEFT, token_left))
