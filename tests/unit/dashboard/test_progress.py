"""The dashboard's threads are not taken to hang over many slow calls; an old state is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from dashboard.hub import Hub
from dashboard.reader.availability import Availability
from dashboard.reader.reader import Reader
from dashboard.reader.watch import STALE_SECONDS, Watch
from mirror.base.errors import KafkaUnavailable
from mirror.fleet.tracked import Tracked, encode
from mirror.settings import Settings, load
from tests.unit.base.waiting import Waiting

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


class Dying:
    """A broker that knows of four partitions of each topic, and of which two do not answer."""

    def __init__(self) -> None:
        self.leaderless = {"genesys-interactions": {1}, "genesys-interactions.dlq": {0}}
        self.silent = {("genesys-interactions", 2)}
        self.asked: list[tuple[str, int]] = []

    def list_topics(self, topic: str, **_: object) -> Any:
        """Who leads which partition."""
        without = self.leaderless.get(topic, set())
        partitions = {n: SimpleNamespace(leader=-1 if n in without else 1) for n in range(4)}
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions=partitions)})

    def get_watermark_offsets(self, place: TopicPartition, **_: object) -> tuple[int, int]:
        """Ten records."""
        at = (place.topic, place.partition)
        self.asked.append(at)
        if at in self.silent:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return 0, 10


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


def test_a_dashboard_that_has_not_looked_yet_is_not_well(settings: Settings) -> None:
    """It knows neither whether Kafka and Redis answer nor what is on the floor."""
    slow: Any = Slow(Waiting())
    reader = Reader(settings, slow, Hub())
    watch = Watch(settings, slow, Hub(), reader)
    unread = "the past is still being read: the page does not show all yet"
    unasked = ("Kafka has not been asked yet", "Redis has not been asked yet")
    assert watch.reasons() == (*unasked, unread)


def test_a_dashboard_that_shows_an_old_state_says_so(settings: Settings) -> None:
    """Behind what else is wrong: no look at Redis has ended for a minute."""
    waiting = Waiting()
    slow: Any = Slow(waiting)
    reader = Reader(settings, slow, Hub())
    watch = Watch(settings, slow, Hub(), reader, clock=lambda: waiting.now)
    waiting.now += STALE_SECONDS
    watch.kafka = watch.redis = Availability("ok")
    reader.opening = None
    assert watch.reasons() == ()
    waiting.now += 1
    reader.problem = "Kafka cannot be read"
    old = "the state of the mirror was last read 61s ago"
    assert watch.reasons() == ("Kafka cannot be read", old)


def test_a_partition_that_does_not_answer_holds_up_no_other(settings: Settings) -> None:
    """Of interactions or of dead letters. Which they are is a reason, until they answer again."""
    dying: Any = Dying()
    waiting = Waiting()
    redis: Any = Slow(waiting)
    reader = Reader(settings, redis, Hub())
    watch = Watch(settings, redis, Hub(), reader)
    watch.kafka = watch.redis = Availability("ok")
    reader.opening = None
    topic, letters = settings.topic, settings.dead_letter_topic
    places = reader._places(dying, [0, 1, 2, 3])
    read = [(place.topic, place.partition) for place in places]
    assert read == [(topic, 0), (topic, 3), (letters, 1), (letters, 2), (letters, 3)]
    assert (topic, 1) not in dying.asked, "without a leader it would only cost time"
    assert watch.reasons() == (
        f"partition 1 of {topic} has no leader: its records are not shown",
        f"partition 2 of {topic} does not answer: its records are not shown",
        f"partition 0 of {letters} has no leader: its records are not shown",
    )
    assert not reader._answers_again(dying)
    dying.silent = set()
    assert reader._answers_again(dying)
    dying.leaderless = {}
    assert len(reader._places(dying, [0, 1, 2, 3])) == 8
    assert watch.reasons() == ()


def test_a_partition_that_loses_its_leader_later_is_told_too(settings: Settings) -> None:
    """It is read on by the same session once it has a leader again."""
    dying: Any = Dying()
    dying.leaderless, dying.silent = {}, set()
    slow: Any = Slow(Waiting())
    reader = Reader(settings, slow, Hub())
    reader.opening = None
    reader._places(dying, [0, 1, 2, 3])
    assert not reader._answers_again(dying)
    assert reader.reasons() == []
    dying.leaderless = {settings.topic: {2}}
    assert not reader._answers_again(dying)
    (reason,) = reader.reasons()
    assert reason.startswith(f"partition 2 of {settings.topic} has no leader")
    dying.leaderless = {}
    assert not reader._answers_again(dying)
    assert reader.reasons() == []


def test_a_topic_of_which_no_partition_answers_cannot_be_read(settings: Settings) -> None:
    """Then there is nothing to show, and the reader tries again."""
    dying: Any = Dying()
    dying.leaderless[settings.topic] = {0, 1, 2, 3}
    slow: Any = Slow(Waiting())
    with pytest.raises(KafkaUnavailable, match="no partition of"):
        Reader(settings, slow, Hub())._places(dying, [0, 1, 2, 3])
