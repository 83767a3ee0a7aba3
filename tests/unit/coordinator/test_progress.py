"""A coordinator's threads go on turning while what they need is away or slow, for a day."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from confluent_kafka import TopicPartition

from coordinator.discovery import Discovery
from coordinator.tracker.service import Tracker
from mirror.base.errors import GenesysUnavailable
from mirror.genesys.shapes import AvailableTopic, Entity, EntityPage
from mirror.settings import Settings, load
from tests.unit.base.waiting import DAY, Waiting

PAGES = 200


class Genesys:
    """Takes its time for each page, or for not answering."""

    id = "a"

    def __init__(self, waiting: Waiting, *, away: bool) -> None:
        self._waiting, self._away = waiting, away

    def available_topics(self) -> list[AvailableTopic]:
        self._ask()
        return []

    def queues(self, page: int, _size: int) -> EntityPage:
        self._ask()
        return EntityPage(entities=[Entity(id=str(page))], page_count=PAGES)

    users = queues

    def _ask(self) -> None:
        self._waiting.call()
        if self._away:
            raise GenesysUnavailable("does not answer")


@pytest.fixture
def settings() -> Settings:
    """Long pauses between listings, and a Redis that nobody serves."""
    return load(
        {
            "GENESYS_CLIENT_ID": "a",
            "GENESYS_CLIENT_SECRET": "b",
            "MIRROR_DISCOVERY_INTERVAL": "6h",
            "REDIS_URL": "redis://127.0.0.1:1",
        }
    )


@pytest.mark.parametrize("away", [True, False])
def test_discovery_does_not_hang(settings: Settings, away: bool) -> None:
    """Neither where Genesys fails for a day, nor in listings so slow that they are given up."""
    waiting = Waiting()
    genesys: Any = Genesys(waiting, away=away)
    discovery = Discovery(
        settings, [genesys], waiting.thread_watch.of("discovery"), lambda: waiting.now
    )
    discovery.wanted.set()
    discovery.run(waiting)
    assert waiting.now > DAY
    assert waiting.calls > 20
    assert waiting.hung == set()
    assert waiting.watched() == {"discovery"}


class Empty:
    """A consumer of two partitions to which nothing comes."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting

    def subscribe(self, topics: list[str], on_assign: Any, **_: Any) -> None:
        on_assign(self, [TopicPartition(topics[0], number) for number in range(2)])

    def consume(self, _most: int, timeout: float) -> list[Any]:
        self._waiting.spend(timeout)
        return []

    def assign(self, _partitions: Any) -> None:
        """As a real one does, at once."""

    pause = resume = assign

    def get_watermark_offsets(self, _partition: Any, cached: bool) -> tuple[int, int]:
        assert cached
        return 0, 0

    def close(self) -> None:
        """Nothing was opened."""


class Away(redis.Redis):
    """A Redis that does not answer, slowly."""

    waiting: Waiting

    def execute_command(self, *_words: Any, **_options: Any) -> Any:
        self.waiting.call()
        raise redis.TimeoutError


def test_the_tracker_does_not_hang(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """While Redis does not answer for a day, and no record comes."""
    waiting = Waiting()
    client = Away()
    client.waiting = waiting
    tracker = Tracker(settings, client, waiting.thread_watch.of("tracker"))
    consumer = Empty(waiting)
    monkeypatch.setattr(tracker, "_consumer", lambda: consumer)
    tracker.run(waiting)
    assert waiting.now > DAY
    assert waiting.calls > 50
    assert waiting.hung == set()
    assert waiting.watched() == {"tracker"}
