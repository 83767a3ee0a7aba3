"""A janitor's threads go on turning while what they ask is away or slow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from janitor.leases import Claim
from janitor.service import Service
from janitor.zombies import BATCH, Zombies
from mirror.errors import GenesysError, RedisUnavailable
from mirror.normaliser import Normaliser
from mirror.settings import Settings, load
from tests.unit.mirror.waiting import DAY, Waiting


@pytest.fixture
def settings() -> Settings:
    """Sweeps that are hours apart."""
    return load(
        {
            "GENESYS_CLIENT_ID": "a",
            "GENESYS_CLIENT_SECRET": "b",
            "MIRROR_JANITOR_INTERVAL": "6h",
        }
    )


class Slow:
    """A hundred overdue conversations, and a Genesys that takes its time to know none of them."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._ids = tuple(str(number) for number in range(BATCH))

    def claim_conversations(self, *_: object) -> Claim:
        ids, self._ids = self._ids, ()
        return Claim("lease", 1, ids)

    def tracked(self, ids: tuple[str, ...]) -> dict[str, None]:
        return dict.fromkeys(ids)

    def put_back(self, _lease: str, _after: Mapping[str, float]) -> None:
        """Nobody claims them again."""

    def details(self, _ids: tuple[str, ...]) -> list[Any]:
        self._waiting.call()
        return []

    def conversation(self, _id: str) -> bytes:
        self._waiting.call()
        raise GenesysError("gone", status=404)


def test_a_long_sweep_is_no_hang(settings: Settings) -> None:
    """However slowly Genesys answers for each of many conversations."""
    waiting = Waiting()
    slow: Any = Slow(waiting)
    turned = waiting.turns.of("zombies")
    sweep = Zombies(settings, slow, slow, slow, Normaliser, turned=turned).sweep()
    assert sweep.ended_meanwhile == BATCH
    assert waiting.calls == BATCH + 1
    assert waiting.hung == set()
    assert waiting.watched() == {"zombies"}


@pytest.mark.parametrize("away", [True, False])
def test_the_loop_of_a_thread_is_no_hang(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, away: bool
) -> None:
    """Neither where Redis is away for a day, nor between two sweeps that are hours apart."""
    waiting = Waiting()
    service = Service(settings)
    monkeypatch.setattr(service, "_turns", waiting.turns)
    monkeypatch.setattr(service, "_stop", waiting)

    def work() -> float:
        waiting.call()
        if away:
            raise RedisUnavailable("does not answer")
        return settings.janitor_interval

    service._loop("zombies", work)
    assert waiting.now > DAY
    assert waiting.hung == set()
    assert service.health().health == ("degraded" if away else "ok")
    assert waiting.watched() == {"zombies"}


def test_a_janitor_whose_thread_hangs_is_down(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its health names the thread, before what it waits for."""
    waiting = Waiting()
    service = Service(settings)
    monkeypatch.setattr(service, "_turns", waiting.turns)
    service._turns.of("gaps")()
    service._trouble("zombies", "the tracker is behind")
    waiting.now += 1_000
    health = service.health()
    assert health.health == "down"
    assert health.reasons == (
        "the thread gaps hangs: it has not turned for 1000s",
        "zombies: the tracker is behind",
    )
