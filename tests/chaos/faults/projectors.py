"""Projectors killed, frozen, moved; the broker of their group lost."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import suppress

from harness.kafka import Broker
from harness.process import ServiceError
from tests.chaos.faults.common import Deed, Hit
from tests.chaos.faults.kafka import freeze_brokers, leaderless, start_brokers, thaw_brokers
from tests.chaos.faults.processes import (
    KILL,
    STOP,
    TERM,
    all_replaced,
    replaced,
    signal_all,
    thaw,
    thaw_all,
)
from tests.chaos.site import Site, signal_process
from tests.chaos.trial import WITNESSED, Fault

PROJECTOR = "projector-0"
# Transitions that happen while all brokers are frozen: some 20 s of load, longer than a session
# (10 s) and than a transaction may take (15 s).
BEYOND_A_TRANSACTION = 1_200
ELSEWHERE = "a death between any two effects: tests/integration/test_projector_kills.py"


def signal_projector(number: signal.Signals) -> Deed:
    """Send a signal to one of the two projectors."""

    def strike(site: Site) -> Hit:
        host = site.hosts["north"]
        pid = host.pid(PROJECTOR)
        signal_process(pid, number)
        return Hit(host, PROJECTOR, pid)

    return strike


def stop_projector(site: Site) -> Hit:
    """Take one away in order: the other one gets its partitions."""
    host = site.hosts["north"]
    pid = host.pid(PROJECTOR)
    host.stop(PROJECTOR)
    return Hit(host, PROJECTOR, pid)


def start_projector(_site: Site, hit: Hit | None) -> None:
    """Add it again: it gets half of the partitions."""
    if hit is not None:
        hit.host.start_again(PROJECTOR)


def taken_over(site: Site, _hit: Hit) -> bool:
    """The other one has all partitions."""
    with suppress(ServiceError):
        return site.projectors_group()[1] == [site.settings.partitions]
    return False


def all_deposed(site: Site, _hits: list[Hit]) -> bool:
    """The group has nobody left."""
    with suppress(ServiceError):
        return site.projectors_group()[1] == []
    return False


def kill_coordinator_of_the_group(site: Site) -> Sequence[Broker]:
    """SIGKILL for the broker that a transaction sends the group's offsets to."""
    nodes: list[int] = []

    def known() -> bool:
        with suppress(ServiceError):
            node, shares = site.projectors_group()
            if sum(shares) == site.settings.partitions:
                nodes.append(node)
        return bool(nodes)

    site.until(known, 30.0, "the projectors' group has its partitions")
    brokers = [broker for broker in site.kafka.brokers if broker.node == nodes[0]]
    for broker in brokers:
        broker.kill()
    return brokers


FAULTS: tuple[Fault, ...] = (
    Fault(
        name="projector killed",
        proves="the other one takes over behind its open transaction; each event once",
        leaves=ELSEWHERE,
        strike=signal_projector(KILL),
        struck=replaced,
    ),
    Fault(
        name="projector frozen beyond its session",
        proves="it is deposed, and what it has in hand is refused when it wakes up",
        leaves="a freeze before each kind of effect: tests/integration/test_projector_kills.py",
        strike=signal_projector(STOP),
        struck=taken_over,
        heal=thaw,
    ),
    Fault(
        name="projector taken away and added",
        proves="partitions move to the other one and back, with nothing twice",
        leaves="more projectors than partitions",
        strike=stop_projector,
        struck=taken_over,
        heal=start_projector,
    ),
    Fault(
        name="projector ended by SIGTERM",
        proves="it finishes its transaction and gives its partitions back",
        leaves="an end while Kafka is away",
        strike=signal_projector(TERM),
        struck=replaced,
    ),
    Fault(
        name="all projectors killed at once",
        proves="state is in Kafka alone: who starts restores it",
        leaves="the loss of the group's offsets: tests/integration/test_projector.py",
        strike=signal_all("projector", KILL),
        struck=all_replaced,
    ),
    Fault(
        name="all projectors frozen beyond their session",
        proves="both are deposed at once; they join again",
        leaves="a freeze beyond what Kafka retains",
        strike=signal_all("projector", STOP),
        struck=all_deposed,
        heal=thaw_all,
    ),
    Fault(
        name="broker of the projectors' group killed",
        proves="offsets go with their transaction to the next coordinator, or not at all",
        leaves="a cluster of one broker: tests/integration/test_projector_outages.py",
        strike=kill_coordinator_of_the_group,
        struck=leaderless,
        heal=start_brokers,
        late=WITNESSED,
    ),
    Fault(
        name="all Kafka brokers frozen beyond a transaction",
        proves="transactions that were under way are ended by their age, and are written again",
        leaves="hours of it",
        strike=freeze_brokers(3),
        heal=thaw_brokers,
        late=WITNESSED,
        under_fault=BEYOND_A_TRANSACTION,
    ),
)
