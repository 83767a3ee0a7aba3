"""What the faults of several kinds need: deeds and the processes that they strike."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.chaos.host import Host
from tests.chaos.site import Site, signal_process

# Strikes the site; what it returns is handed to `struck` and `heal` of the fault.
Deed = Callable[[Site], Any]


@dataclass
class Hit:
    """A process that was struck."""

    host: Host
    program: str
    pid: int
    identity: str = ""


def busiest_listener(site: Site) -> str:
    """The listener with most seats, of those that run: the dead are told of until their lease."""
    pids = {pid for host in site.hosts.values() for pid in host.pids().values()}
    holders = {
        name: seats for name, seats in site.holders().items() if int(name.split("-")[1]) in pids
    }
    return max(holders, key=lambda holder: (holders[holder], holder))


def send(site: Site, identity: str, number: signal.Signals) -> Hit:
    """Send a signal to a listener or coordinator, by its id."""
    host, program, pid = site.process(identity)
    signal_process(pid, number)
    return Hit(host, program, pid, identity)


def simulate(**fields: Any) -> Deed:
    """Switch a fault of the simulator on (docs/simulator.md)."""

    def strike(site: Site) -> int:
        return site.fault(**fields)

    return strike


def busiest_client(site: Site) -> str:
    """The OAuth client that holds most channels: one that holds none is not worth striking."""
    held = Counter(
        replica.client
        for shard in site.mirror.status().shards
        for replica in shard.replicas
        if replica.client is not None
    )
    return held.most_common(1)[0][0]


def calm(site: Site, _hit: Any) -> None:
    """Switch all of them off."""
    site.calm()
