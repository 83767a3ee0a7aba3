"""The disks of the spools full."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from harness.kafka import Broker
from listeners.publish.spool import DATABASE
from tests.chaos import disk
from tests.chaos.faults.common import Deed
from tests.chaos.faults.kafka import freeze_brokers, spooling, thaw_brokers
from tests.chaos.site import Site
from tests.chaos.trial import UNTOLD_BY_REST, WITNESSED, Fault

DRAIN_SECONDS = 40.0


def small_disks(site: Site) -> str:
    """Why spools cannot be filled here."""
    small = all(disk.is_small(host.spool) for host in site.hosts.values())
    return "" if small else "mounting a small disk takes root on Linux"


def fill_disks(*names: str) -> Deed:
    """Fill the disks of these hosts' spools, and freeze all of Kafka."""

    def strike(site: Site) -> Sequence[Broker]:
        for name in names:
            disk.fill(site.hosts[name].spool)
        brokers: Sequence[Broker] = freeze_brokers(len(site.kafka.brokers))(site)
        return brokers

    return strike


def clear_disks(site: Site, hit: Sequence[Broker] | None) -> None:
    """Let Kafka go on, and give the space back once nobody waits for the disk any more."""
    thaw_brokers(site, hit)
    try:
        site.until(
            lambda: "spool" not in str(site.mirror.status().reasons), DRAIN_SECONDS, "drained"
        )
    finally:
        for host in site.hosts.values():
            disk.clear(host.spool)


def refusing(*names: str) -> Callable[[Site, Any], bool]:
    """Whether listeners of each of these hosts say that their spool takes nothing more."""

    def look(site: Site, _hit: Any) -> bool:
        reasons = site.mirror.status().reasons
        return all(any(r.startswith(f"{n}-") and "spool" in r for r in reasons) for n in names)

    return look


def truncate_spools(site: Site) -> Sequence[Broker]:
    """Freeze Kafka, wait until listeners spool, and cut every spool's file in half."""
    brokers: Sequence[Broker] = freeze_brokers(len(site.kafka.brokers))(site)
    try:
        site.until(lambda: spooling(site, None), DRAIN_SECONDS, "listeners spool")
        for host in site.hosts.values():
            for path in host.spool.rglob(f"{DATABASE}*"):
                size = path.stat().st_size
                if size:
                    os.truncate(path, size // 2)
    except BaseException:
        thaw_brokers(site, brokers)
        raise
    return brokers


FAULTS: tuple[Fault, ...] = (
    Fault(
        name="spool disk full on one host, Kafka away",
        proves="a full disk alone costs nothing, also when Kafka comes back before the disk does",
        leaves="both disks full: the next row",
        strike=fill_disks("north"),
        struck=refusing("north"),
        heal=clear_disks,
        needs=small_disks,
        late=WITNESSED,
    ),
    Fault(
        name="spool disks full on both hosts, Kafka away",
        proves="what no disk takes waits in memory and goes to Kafka from there",
        leaves="memory full too, or the processes killed: then it is a gap",
        strike=fill_disks("north", "south"),
        struck=refusing("north", "south"),
        heal=clear_disks,
        needs=small_disks,
        late=WITNESSED,
    ),
    Fault(
        name="spools truncated while Kafka is away",
        proves="what a damaged spool lost is a gap, and is back-filled",
        leaves="rings, holds and parks among what was lost, and the order of what either side kept",
        strike=truncate_spools,
        heal=thaw_brokers,
        window=UNTOLD_BY_REST,
        late=WITNESSED | {"answer", "disconnect", "acw", "acw_end", "wrapup"},
        under_fault=20,
    ),
)
