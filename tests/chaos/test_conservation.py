"""Every fault, on the real thing: what Kafka has is what happened.

Each trial says in `faults.py` what it proves and what it does not. None proves anything of Genesys
itself: the simulator is our reading of it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.site import Site
from tests.chaos.trial import Fault, Row, Trial, table

# The gaps of several faults in a row wait for each other: Genesys takes 300 requests a minute from
# an OAuth client, and a gap that could not be read waits before the next try.
RANDOM_WHOLE_SECONDS = 300.0
GAPS_SECONDS = 270.0  # the lease of a killed janitor's gap, and its two readings


@pytest.fixture(scope="session")
def at_random(request: pytest.FixtureRequest) -> float:
    """For how many seconds to run random faults; 0: the table."""
    return float(request.config.getoption("--chaos-seconds"))


@pytest.mark.parametrize("fault", FAULTS, ids=[row.id for row in FAULTS])
def test_fault(fault: Fault, site: Site, enter: Callable[[Row], None], at_random: float) -> None:
    """Nothing is missing, invented, altered or out of order, and fresh events flow afterwards."""
    if at_random:
        pytest.skip("random faults were asked for")
    if reason := fault.needs(site):
        pytest.skip(reason)
    enter(row := Trial(site, fault).run())
    assert not row.problems, table([row])


def test_in_the_end_every_gap_is_filled(site: Site, at_random: float) -> None:
    """Also those that a killed janitor held: they fall due when its lease lapses."""
    if at_random:
        pytest.skip("random faults were asked for")
    site.until(
        lambda: all(gap.done for gap in site.gaps()), GAPS_SECONDS, "all gaps filled", interval=1.0
    )
    assert [gap for gap in site.gaps() if gap.state == "unfillable"] == []


def test_random(
    request: pytest.FixtureRequest,
    site: Site,
    say: Callable[[str], None],
    enter: Callable[[Row], None],
    at_random: float,
) -> None:
    """Faults drawn from a seed, for as long as asked (`--chaos-seconds`, `--chaos-seed`)."""
    if not at_random:
        pytest.skip("only with --chaos-seconds")
    seed = request.config.getoption("--chaos-seed")
    if seed is None:
        seed = random.SystemRandom().randrange(1 << 31)
    say(f"\nrandom faults: --chaos-seed={seed}")
    draw = random.Random(seed)
    possible = [fault for fault in FAULTS if not fault.needs(site)]
    deadline = time.monotonic() + at_random
    failed = []
    while time.monotonic() < deadline:
        enter(row := Trial(site, draw.choice(possible), RANDOM_WHOLE_SECONDS).run())
        if row.problems:
            failed.append(row)
    assert not failed, f"--chaos-seed={seed}\n{table(failed)}"
