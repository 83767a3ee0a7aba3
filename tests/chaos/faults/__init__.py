"""The table of faults, by kind; each module has the rows of a kind and the deeds behind them.

The order matters in one place only: a janitor that is killed keeps its gap until its lease lapses,
four minutes later, so janitors come first and the last reckoning finds their gaps filled.
"""

from __future__ import annotations

from tests.chaos.faults import (
    disks,
    hosts,
    kafka,
    network,
    processes,
    projectors,
    redis,
    rest,
    sockets,
)
from tests.chaos.trial import Fault

FAULTS: tuple[Fault, ...] = (
    *processes.FAULTS,
    *redis.FAULTS,
    *kafka.FAULTS,
    *projectors.FAULTS,
    *disks.FAULTS,
    *sockets.FAULTS,
    *rest.FAULTS,
    *network.FAULTS,
    *hosts.FAULTS,
)
