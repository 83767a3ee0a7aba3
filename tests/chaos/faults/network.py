"""Hosts cut off from each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.chaos.faults.common import Deed
from tests.chaos.faults.kafka import spooling
from tests.chaos.site import Site
from tests.chaos.trial import UNTOLD_BY_REST, WITNESSED, Fault


def cables(site: Site) -> str:
    """Why nothing can be cut here."""
    return "" if site.network.severable else "network namespaces take root on Linux"


def unplug(name: str) -> Deed:
    """Cut a host off from everything."""

    def strike(site: Site) -> str:
        site.network.unplug(name)
        return name

    return strike


def plug(site: Site, hit: str | None) -> None:
    """Connect it again."""
    if hit is not None:
        site.network.plug(hit)


def cut(*pairs: tuple[str, str]) -> Deed:
    """Swallow packets between these pairs."""

    def strike(site: Site) -> Sequence[tuple[str, str]]:
        for host, peer in pairs:
            site.network.cut(host, peer)
        return pairs

    return strike


def heal(site: Site, hit: Sequence[tuple[str, str]] | None) -> None:
    """Let them pass again."""
    for host, peer in hit or ():
        site.network.heal(host, peer)


def dead_host(name: str) -> Callable[[Site, Any], bool]:
    """Whether no listener of that host counts as alive."""

    def look(site: Site, _hit: Any) -> bool:
        return all(
            listener.state == "dead"
            for listener in site.mirror.status().listeners
            if listener.host == name
        )

    return look


def silent(*names: str) -> Callable[[Site, Any], bool]:
    """Whether no channel of these hosts is live."""

    def look(site: Site, _hit: Any) -> bool:
        return not any(
            listener.channels
            for listener in site.mirror.status().listeners
            if listener.host in names and listener.state != "dead"
        )

    return look


FAULTS: tuple[Fault, ...] = (
    Fault(
        name="host cut off from everything",
        proves="the other host has a replica of every shard; the lost one comes back without harm",
        leaves="asymmetric cuts",
        strike=unplug("north"),
        struck=dead_host("north"),
        heal=plug,
        needs=cables,
        late=WITNESSED,
    ),
    Fault(
        name="host cut off from Redis",
        proves="its channels go on mirroring (static stability)",
        leaves="a cut longer than a token",
        strike=cut(("north", "redis")),
        struck=dead_host("north"),
        heal=heal,
        needs=cables,
    ),
    Fault(
        name="host cut off from Kafka",
        proves="its events wait on disk and follow in order",
        leaves="",
        strike=cut(("north", "kafka")),
        struck=spooling,
        heal=heal,
        needs=cables,
        late=WITNESSED,
    ),
    Fault(
        name="host cut off from Genesys",
        proves="silence on all its sockets is noticed, the other host covers",
        leaves="",
        strike=cut(("north", "genesys")),
        struck=silent("north"),
        heal=heal,
        needs=cables,
    ),
    Fault(
        name="both hosts cut off from Genesys",
        proves="the gap is filed from the last frame on, and back-filled",
        leaves="rings, holds and parks inside the gap",
        strike=cut(("north", "genesys"), ("south", "genesys")),
        struck=silent("north", "south"),
        heal=heal,
        window=UNTOLD_BY_REST,
        late=WITNESSED,
        needs=cables,
        under_fault=20,
    ),
)
