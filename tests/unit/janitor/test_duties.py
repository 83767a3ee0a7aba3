"""A janitor that verifies nothing says so (guarantee 12)."""

from __future__ import annotations

from typing import Any

import pytest

from janitor.duties import Sweeping
from janitor.zombies.sweep import GIVE_UP_AFTER, Sweep
from mirror.base.errors import GenesysRefused
from mirror.settings import Settings, load
from tests.unit.janitor.fakes import refusal, unwell
from tests.unit.janitor.test_failing import Stand

INTERVAL = 60.0


class Sweeps:
    """Sweeps with given results, a minute apart."""

    def __init__(self) -> None:
        self.now = 0.0
        self.next = Sweep()
        zombies: Any = self
        self.sweeping = Sweeping(zombies, INTERVAL, lambda _: None, lambda: self.now)

    def sweep(self) -> Sweep:
        return self.next

    def problem(self, **fields: Any) -> str:
        """The problem of a round with such a sweep."""
        self.now += INTERVAL
        self.next = Sweep(**fields)
        return self.sweeping.round().problem


@pytest.fixture
def settings() -> Settings:
    """The defaults."""
    return load({"GENESYS_CLIENT_ID": "a", "GENESYS_CLIENT_SECRET": "b"})


def test_a_problem_lasts_until_a_sweep_works() -> None:
    """What failed is put back: the next sweeps claim nothing, which proves nothing."""
    sweeps = Sweeps()
    assert sweeps.problem() == ""
    failed: dict[str, Any] = {"claimed": 3, "failed": 3, "longest_pause": 120.0}
    assert sweeps.problem(**failed, problem="refused") == "refused"
    assert sweeps.problem() == "refused"
    assert sweeps.problem(obstacle="away") == "the tracker is away; refused"
    assert sweeps.problem(claimed=3, failed=1, error="an odd one") == ""
    assert sweeps.problem() == ""


def test_a_problem_of_conversations_that_ended_by_themselves_ends() -> None:
    """They were due again, and nobody claimed them, or another janitor did."""
    sweeps = Sweeps()
    assert sweeps.problem(claimed=1, failed=1, longest_pause=120.0, problem="refused")
    sweeps.now += 120.0
    assert sweeps.problem()
    assert sweeps.problem() == ""


def test_a_sweep_tells_the_longest_pause_of_what_it_could_not_verify(settings: Settings) -> None:
    """What failed or is held, not what goes on or is over."""
    stand = Stand()
    for name in ("over", "1held"):
        stand.add(name)
    assert stand.sweep(settings).longest_pause == 0.0
    stand = Stand()
    stand.add("1held")
    stand.producer.away = {1}
    assert stand.sweep(settings).longest_pause == 120.0
    stand.add("odd", unwell())
    stand.leases.now += 1.0
    stand.leases.since["odd"] = stand.leases.now - 300.0
    assert round(stand.sweep(settings).longest_pause) == 600
    stand = Stand("a", error=GenesysRefused("403: no right", status=403))
    stand.add("a")
    assert stand.sweep(settings).longest_pause == 120.0


def test_a_tracker_that_is_behind_in_a_partition_is_a_problem_until_it_has_read_it() -> None:
    """Its conversations are put back meanwhile, and no sweep sees them."""
    sweeps = Sweeps()
    behind = frozenset({3})
    assert sweeps.problem(behind=behind) == "", "none of its conversations is overdue"
    assert sweeps.problem(claimed=2, obstacle="behind", behind=behind) == "the tracker is behind"
    for claimed in (0, 5):
        assert sweeps.problem(claimed=claimed, behind=behind) == "the tracker is behind"
    assert sweeps.problem() == ""


def test_only_where_all_wait_for_the_tracker_the_next_sweep_is_soon() -> None:
    """Conversations of one partition are put back for longer than that."""
    sweeps = Sweeps()
    for behind in (frozenset[int](), frozenset({3})):
        sweeps.next = Sweep(obstacle="behind", behind=behind)
        assert (sweeps.sweeping.round().pause < INTERVAL) == (not behind)


def test_an_analytics_that_refuses_us_is_a_problem(settings: Settings) -> None:
    """The role has lost a right: nothing is verified."""

    stand = Stand("c0", error=GenesysRefused("403: no right", status=403))
    for number in range(2):
        stand.add(f"c{number}")
    assert stand.sweep(settings).problem == (
        "2 overdue conversations cannot be verified: 403: no right"
    )


def test_a_rest_api_that_answers_nothing_is_a_problem(settings: Settings) -> None:
    """It fails at each of several, or the sweep breaks off."""
    for several in (GIVE_UP_AFTER - 1, GIVE_UP_AFTER):
        stand = Stand()
        for number in range(several):
            stand.add(f"c{number}", refusal())
        told = f"{several} overdue conversations cannot be verified: GET answers 403"
        assert (told in stand.sweep(settings).problem) == (several == GIVE_UP_AFTER)
    stand = Stand()
    for number in range(2 * GIVE_UP_AFTER):
        stand.add(f"c{number}", unwell())
        stand.add(f"active{number}")
        stand.genesys.add(f"active{number}", 0)
    sweep = stand.sweep(settings)
    assert sweep.active == sweep.failed == 2 * GIVE_UP_AFTER
    assert "GET answers 500" in sweep.problem


def test_an_odd_conversation_is_no_problem(settings: Settings) -> None:
    """Neither if it is due with others, nor if it is due alone, each time."""
    stand = Stand()
    stand.add("a", unwell())
    for _ in range(2 * GIVE_UP_AFTER):
        stand.leases.now = stand.leases.due["a"]
        sweep = stand.sweep(settings)
        assert (sweep.claimed, sweep.failed, sweep.problem) == (1, 1, "")
    stand = Stand()
    stand.add("a", unwell())
    stand.add("b")
    sweep = stand.sweep(settings)
    assert (sweep.failed, sweep.finalized, sweep.problem) == (1, 1, "")
