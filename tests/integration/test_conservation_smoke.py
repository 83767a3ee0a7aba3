"""The conservation suite in small: one broker, one machine, three faults. `make chaos` is the rest.

What each of them proves and does not prove stands in `tests/chaos/faults/`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from harness.kafka import KafkaUnavailable
from harness.redis import RedisUnavailable
from tests.chaos.faults import FAULTS
from tests.chaos.site import Site
from tests.chaos.trial import Trial, table
from tests.services.availability import unavailable

pytestmark = pytest.mark.alone

CHOSEN = ("listener killed", "Redis wiped (FLUSHALL)", "all sockets dropped")


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.kafka
@pytest.mark.timeout(240)
def test_faults_on_the_living_mirror_lose_nothing() -> None:
    """Nothing is missing, invented, altered or out of order, and fresh events flow afterwards."""
    faults = {fault.name: fault for fault in FAULTS}
    try:
        with (
            # pytest's own folders may be too long for the socket of a supervisord.
            tempfile.TemporaryDirectory(prefix="mirror-", dir="/tmp") as folder,
            Site(Path(folder), brokers=1, listeners=1) as site,
        ):
            rows = [Trial(site, faults[name]).run() for name in CHOSEN]
    except (KafkaUnavailable, RedisUnavailable) as missing:
        unavailable(str(missing))
    assert not any(row.problems for row in rows), table(rows)
    print(table(rows))
