"""The dashboard's threads are not taken to hang over many slow calls; an old state is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from dashboard.pages.hub import Hub
from dashboard.reader.reader import Reader
from dashboard.reader.watch import STALE_SECONDS, Watch
from mirror.fleet.tracked import Tracked, encode
from mirror.settings import Settings, load
from tests.unit.mirror.waiting import Waiting

PARTITIONS = 100
PAGES = 100


class Slow:
    """A Redis of many active conversations and a broker of many partitions, both in no hurry."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._pages = PAGES

    def zrangebyscore(self, *_: object, **__: object) -> list[tuple[str, float]]:
        self._waiting.call()
        self._pages -= 1
        return [(str(self._pages), 1.0)] if self._pages else []

    def mget(self, _keys: list[str]) -> list[bytes]:
        return [encode(Tracked(0))]

    def list_topics(self, topic: str, **_: object) -> Any:
        """Topics beside that of interactions are not there."""
        return SimpleNamespace(topics={topic: SimpleNamespace(error="unknown")})

    def get_watermark_offsets(self, _place: TopicPartition, **_: object) -> tuple[int, int]:
        self._waiting.call()
        return 0, 0


@pytest.fixture
def settings() -> Settings:
    """Whatever they are."""
    return load({})


def test_reading_the_past_is_no_hang(settings: Settings) -> None:
    """However slowly the offsets of many partitions come, and the conversations of the tracker."""
    waiting = Waiting()
    slow: Any = Slow(waiting)
    report_progress = waiting.thread_watch.of("kafka")
    reader = Reader(settings, slow, Hub(), report_progress)
    assert len(reader._places(slow, list(range(PARTITIONS)))) == PARTITIONS
    report_progress()
    reader._adopt(0)
    assert waiting.calls == PARTITIONS + PAGES
    assert waiting.hung == set()
    assert waiting.watched() == {"kafka"}


def test_a_dashboard_that_shows_an_old_state_says_so(settings: Settings) -> None:
    """Behind what else is wrong: no look at Redis has ended for a minute."""
    waiting = Waiting()
    slow: Any = Slow(waiting)
    reader = Reader(settings, slow, Hub())
    watch = Watch(settings, slow, Hub(), reader, clock=lambda: waiting.now)
    waiting.now += STALE_SECONDS
    assert watch.reasons() == ()
    waiting.now += 1
    reader.problem = "Kafka cannot be read"
    old = "the state of the mirror was last read 61s ago"
    assert watch.reasons() == ("Kafka cannot be read", old)
