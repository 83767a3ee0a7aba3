"""What a process tells Prometheus of its calls to Genesys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry

from mirror.genesys.client import GenesysClient
from mirror.genesys.timing import total
from mirror.runtime.histograms import Gauges, Histograms
from mirror.runtime.metrics import REQUESTS, TOKEN_LEFT


def tell_of_genesys(clients: Iterable[GenesysClient], registry: CollectorRegistry) -> None:
    """Export the calls of all of a process' OAuth clients, and the token that ends first."""
    held = tuple(clients)

    def token_left() -> Mapping[str, float]:
        lives = [left for client in held if (left := client.token_left) is not None]
        return {"": min(lives)} if lives else {}

    registry.register(Histograms(REQUESTS, lambda: total(client.calls for client in held)))
    registry.register(Gauges(TOKEN_LEFT, token_left))
