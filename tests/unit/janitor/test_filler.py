"""What becomes of a gap that cannot be read: it waits, and is given up only after a day."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from janitor.claims import Claim
from janitor.gaps.filler import (
    LEASE_SECONDS,
    LEAST_ATTEMPTS,
    PATIENCE_SECONDS,
    RETRY_MOST_SECONDS,
    Filler,
)
from janitor.gaps.plan import DAY_MS
from janitor.genesys import Pool
from mirror.base.errors import GenesysRefused
from mirror.conversation.normaliser import Normaliser
from mirror.fleet.gaps import Gap
from mirror.redis.keys import Keys
from tests.unit.janitor.fakes import AckedProducer, Genesys, Memory, Odd, unwell

NOON = 20_000 * DAY_MS
KEYS = Keys("test")


class Ledger:
    """One gap, due whenever it is asked for."""

    def __init__(self, **fields: Any) -> None:
        topics = ("v2.routing.queues.odd.conversations",)
        made = Gap(id="g", shard="0", topics=topics, from_ms=NOON, to_ms=NOON + 60_000)
        self.the_gap = msgspec.structs.replace(made, **fields)

    def claim_gaps(self, *_: object) -> Claim:
        return Claim("lease", 1, ("g",))

    def gap(self, _id: str) -> Gap:
        return self.the_gap

    def write_gap(self, _lease: str, gap: Gap, _seconds: float) -> str:
        self.the_gap = gap
        return "lease"


def filler_of(ledger: Ledger, genesys: Pool, now_ms: int) -> Filler:
    """A filler of the one gap."""
    leases: Any = ledger
    redis: Any = Memory(now_ms)
    producer: Any = AckedProducer()
    return Filler(
        redis,
        KEYS,
        leases,
        genesys,
        producer,
        Normaliser,
        lag_seconds=300.0,
        horizon_seconds=86_400.0,
    )


def fill(ledger: Ledger, genesys: Pool, now_ms: int) -> Gap:
    """The gap after one attempt."""
    assert filler_of(ledger, genesys, now_ms).fill_next()
    return ledger.the_gap


def test_a_gap_that_cannot_be_read_is_a_problem_until_it_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also between two tries. The try may be another janitor's: then the problem ends with time."""
    ledger = Ledger()
    filler = filler_of(ledger, Odd("odd", error=unwell()), NOON + 120_000)
    assert filler.problem == ""
    assert filler.fill_next()
    told = f"gap g could not be read to the end yet: {unwell()}"
    assert filler.problem == told
    filler._genesys = Genesys()
    assert filler.fill_next()
    assert filler.problem == ""
    filler._genesys = Odd("odd", error=unwell())
    assert filler.fill_next()
    assert filler.problem == told
    later = time.monotonic() + RETRY_MOST_SECONDS + LEASE_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert filler.problem == ""


def test_what_genesys_does_not_understand_is_asked_for_a_day() -> None:
    """A 400 may be Genesys' own trouble; it is no reason to give up a gap at once."""
    ledger = Ledger()
    now_ms = NOON + 120_000
    first = fill(ledger, Odd("odd"), now_ms)
    assert (first.state, first.failing_since_ms) == ("open", now_ms)
    assert "400 bad.request" in first.errors[0]
    late_ms = now_ms + round(PATIENCE_SECONDS * 1000)
    assert fill(ledger, Odd("odd"), late_ms).state == "open", "it was hardly tried"
    ledger.the_gap = msgspec.structs.replace(ledger.the_gap, attempts=LEAST_ATTEMPTS)
    assert fill(ledger, Odd("odd"), late_ms).state == "unfillable"


def test_while_genesys_fails_a_gap_only_waits() -> None:
    """However long: its one queue is not odd."""
    ledger = Ledger(attempts=LEAST_ATTEMPTS)
    for days in (1, 10):
        gap = fill(ledger, Odd("odd", error=unwell()), NOON + days * DAY_MS)
        assert (gap.state, gap.errors) == ("open", (str(unwell()),))


@pytest.mark.parametrize("repaired", [True, False])
def test_a_refusal_of_us_has_no_end(repaired: bool) -> None:
    """Credentials can be repaired after days."""

    class Locked(Genesys):
        def query_details(self, _query: object) -> Any:
            raise GenesysRefused("401", status=401, code="bad.credentials")

    ledger = Ledger(attempts=LEAST_ATTEMPTS, failing_since_ms=1)
    gap = fill(ledger, Genesys() if repaired else Locked(), NOON + 10 * DAY_MS)
    assert gap.state == ("filling" if repaired else "open")
    assert gap.readings == (1 if repaired else 0)


@pytest.mark.parametrize(("kind", "state"), [("gap", "unfillable"), ("snapshot", "filled")])
def test_the_states_of_users_are_not_asked_for(kind: str, state: str) -> None:
    """No conversation belongs to them. What was missed of them does not come back; a snapshot of
    conversations has nothing to read."""
    ledger = Ledger(topics=("v2.users.u1?presence&routingStatus",), kind=kind)
    gap = fill(ledger, Odd("u1", error=unwell()), NOON + 120_000)
    assert gap.state == state
    assert bool(gap.errors) == (state == "unfillable")
    assert gap.calls == 0
