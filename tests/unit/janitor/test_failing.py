"""A conversation that Genesys always fails at holds up itself alone (guarantee 9)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import pytest

from janitor.claims import Claim
from janitor.details import MOST_HALVES, ask_details
from janitor.oddity import MOST_IN_A_ROW
from janitor.zombies.sweep import AGAIN_MOST_SECONDS, BATCH, GIVE_UP_AFTER, LEASE_SECONDS
from mirror.base.errors import GenesysError, GenesysRefused, GenesysUnavailable
from mirror.genesys.shapes import AnalyticsConversation
from mirror.settings import Settings, load
from tests.unit.janitor import test_doubts
from tests.unit.janitor.fakes import Genesys, Odd, odd_request, unwell
from tests.unit.janitor.test_doubts import HOUR, now_ms


class Leases(test_doubts.Leases):
    """With due times, on a clock of the test's own; the first due are claimed first."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.claimed_at = -1.0
        self.due: dict[str, float] = {}
        self.since: dict[str, float] = {}

    def claim_conversations(self, *_: object) -> Claim:
        due = sorted((at, name) for name, at in self.due.items() if at <= self.now)
        ids = tuple(name for _, name in due[:BATCH]) if self.now > self.claimed_at else ()
        self.claimed_at = self.now
        return Claim("lease", now_ms(), ids)

    def put_back(self, _lease: str, after: Mapping[str, float]) -> None:
        for name, seconds in after.items():
            self.now += 0.001
            self.due[name] = self.now + seconds

    def failing_since(self, name: str) -> float:
        return self.now - self.since.setdefault(name, self.now)

    def answered(self, name: str) -> None:
        self.since.pop(name, None)


class Stand(test_doubts.Stand):
    """Conversations that are over, some of which Genesys fails at."""

    def __init__(self, *odd: str, error: GenesysError | None = None) -> None:
        super().__init__()
        self.leases: Leases = Leases()
        self.genesys = Odd(*odd, error=error)

    def add(self, name: str, error: GenesysError | None = None) -> None:
        self.leases.add(name)
        self.leases.due[name] = 0.0
        self.genesys.add(name, now_ms() - 5 * HOUR, now_ms() - HOUR)
        if error is not None:
            self.genesys.errors[name] = error


@pytest.fixture
def settings() -> Settings:
    """The defaults."""
    return load({"GENESYS_CLIENT_ID": "a", "GENESYS_CLIENT_SECRET": "b"})


def test_those_that_always_fail_do_not_stop_the_others(settings: Settings) -> None:
    """They are asked for first, and so many that Genesys counts as away; but later each time."""
    stand = Stand()
    for number in range(GIVE_UP_AFTER):
        stand.add(f"a{number}", unwell())
    for number in range(5):
        stand.add(f"z{number}")
    for _ in range(4):
        stand.sweep(settings)
        stand.leases.now += 121.0
    assert set(stand.finalized()) == {f"z{number}" for number in range(5)}


def test_pauses_grow_to_an_hour_and_end_with_an_answer(settings: Settings) -> None:
    """It doubles; the first answer that counts sets it back."""
    stand = Stand()
    stand.add("c", unwell())
    pauses = []
    for _ in range(8):
        stand.sweep(settings)
        pauses.append(round(stand.leases.due["c"] - stand.leases.now))
        stand.leases.now = stand.leases.due["c"]
    assert pauses == sorted(pauses)
    assert pauses[:3] == [120, 240, 720]
    assert pauses[-1] == AGAIN_MOST_SECONDS
    stand.genesys.errors.clear()
    stand.sweep(settings)
    assert set(stand.finalized()) == {"c"}
    assert stand.leases.since == {}


def test_no_token_is_nobodys_failure(settings: Settings) -> None:
    """What stops every call does not put off the conversation that it met."""
    stand = Stand()
    stand.add("c", GenesysRefused("401", status=401, code="bad.credentials"))
    assert stand.sweep(settings).failed == 1
    assert stand.leases.since == {}


@pytest.mark.parametrize("error", [odd_request(), unwell()], ids=["400", "500"])
@pytest.mark.parametrize("odd", ["c0", "c50", "c99"])
def test_one_odd_id_is_found_by_halves(settings: Settings, odd: str, error: GenesysError) -> None:
    """The other ninety-nine are verified in the same sweep."""
    stand = Stand(odd, error=error)
    for number in range(BATCH):
        stand.add(f"c{number}")
    sweep = stand.sweep(settings)
    assert len(stand.genesys.multi_gets) <= 15
    # REST knows the odd one too, and its word is enough.
    assert sweep.finalized == BATCH
    assert stand.leases.since == {}


def test_an_odd_id_that_rest_does_not_know_is_not_finalized(settings: Settings) -> None:
    """Analytics did not say that it does not know it."""
    stand = Stand("odd")
    for name in ("odd", "c"):
        stand.add(name)
    del stand.genesys.rest["odd"]
    sweep = stand.sweep(settings)
    assert (sweep.finalized, sweep.failed) == (1, 1)
    assert set(stand.leases.since) == {"odd"}


def test_where_all_are_refused_the_search_ends() -> None:
    """What is left counts as refused."""
    names = [str(number) for number in range(BATCH)]
    calls: list[None] = []
    found = ask_details(Odd(*names), names, lambda: calls.append(None))
    assert len(calls) < MOST_HALVES + 10
    assert found.shown == {}
    assert set(found.refused) == set(names)


def test_where_genesys_fails_at_everything_the_search_ends() -> None:
    """It is away, and each of its failures took some seconds."""
    names = [str(number) for number in range(BATCH)]
    calls: list[None] = []
    with pytest.raises(GenesysUnavailable):
        ask_details(Odd(*names, error=unwell()), names, lambda: calls.append(None))
    assert len(calls) == MOST_IN_A_ROW


def test_where_genesys_fails_at_many_the_search_ends() -> None:
    """Some are found, the others count as refused, and the lease of the batch still holds."""
    names = [str(number) for number in range(BATCH)]
    calls: list[None] = []
    odd = Odd(*names[::5], error=unwell())
    found = ask_details(odd, names, lambda: calls.append(None))
    assert len(calls) < 40
    assert set(names[::5]) <= set(found.refused)
    assert found.shown.keys().isdisjoint(found.refused)


class Slow(Odd):
    """Each of its answers takes a minute, with all retries; all within the lease of a batch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__("c50", error=unwell())
        self.now = self.began = time.monotonic()
        monkeypatch.setattr("time.monotonic", lambda: self.now)

    def details(self, names: Sequence[str]) -> list[AnalyticsConversation]:
        self.now += 60.0
        assert self.now - self.began < LEASE_SECONDS
        return super().details(names)


def test_no_search_outlasts_the_lease(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another janitor would verify the same conversations beside it."""
    stand = Stand()
    stand.genesys = Slow(monkeypatch)
    for number in range(BATCH):
        stand.add(f"c{number}")
    sweep = stand.sweep(settings)
    assert (sweep.failed, sweep.finalized) == (BATCH, 0)
    assert all(seconds > stand.leases.now for seconds in stand.leases.due.values())


@pytest.mark.parametrize("status", [401, 403, 408, 429, 503])
def test_what_is_not_about_the_ids_is_not_asked_again(status: int) -> None:
    """Genesys is away, or refuses us."""
    kind = GenesysRefused if status in {401, 403} else GenesysUnavailable

    class Away(Genesys):
        def details(self, names: Sequence[str]) -> list[AnalyticsConversation]:
            super().details(names)
            raise kind("no", status=status)

    away = Away()
    with pytest.raises(GenesysError):
        ask_details(away, ["a", "b"], lambda: None)
    assert len(away.multi_gets) == 1
