"""The day's past is read even if a partition stops meanwhile. Kafka is a list here."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from dashboard.hub import Hub
from dashboard.reader import past as module
from dashboard.reader.past import Past
from dashboard.reader.reader import Reader
from mirror.settings import load

RECORDS = 10


class Broker:
    """Two partitions of ten records. Those in `stuck` give three, and then no more."""

    def __init__(self) -> None:
        self.stuck: set[int] = set()
        self._at: dict[int, int] = {}

    def list_topics(self, topic: str, **_: object) -> Any:
        """Each has a leader when reading begins."""
        partitions = {n: SimpleNamespace(leader=1) for n in range(2)}
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions=partitions)})

    def offsets_for_times(self, places: list[TopicPartition], **_: object) -> list[TopicPartition]:
        """All records are of today."""
        return [TopicPartition(place.topic, place.partition, 0) for place in places]

    def get_watermark_offsets(self, _place: TopicPartition, **_: object) -> tuple[int, int]:
        """What there is."""
        return 0, RECORDS

    def assign(self, places: list[TopicPartition]) -> None:
        """From where to read."""
        self._at = {place.partition: place.offset for place in places}

    def consume(self, _most: int, **_: object) -> list[Any]:
        """One record of each partition, of no meaning."""
        found = []
        for number, offset in self._at.items():
            if offset < (3 if number in self.stuck else RECORDS):
                self._at[number] += 1
                found.append(Message(number, offset))
        return found

    def position(self, places: list[TopicPartition]) -> list[TopicPartition]:
        """Behind the last record that was given."""
        return [TopicPartition(p.topic, p.partition, self._at[p.partition]) for p in places]

    def close(self) -> None:
        """Read no more."""


class Message:
    """A record without an event."""

    def __init__(self, partition: int, offset: int) -> None:
        self.partition = lambda: partition
        self.offset = lambda: offset
        self.error = self.value = lambda: None
        self.timestamp = lambda: (1, 1)


def test_a_partition_that_stops_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures of the day count the others; it is read again by itself."""
    broker = Broker()
    monkeypatch.setattr(module, "open_reader", lambda *_: (broker, [0, 1]))
    monkeypatch.setattr(module, "STANDSTILL_SECONDS", 0.1, raising=False)
    anything: Any = None
    reader = Reader(load({}), anything, Hub())
    reader.beginnings = {0: RECORDS, 1: RECORDS}
    past, stop = Past(load({}), reader), threading.Event()
    limit = threading.Timer(5.0, stop.set)
    limit.start()
    broker.stuck = {1}
    assert not past._read(stop)
    limit.cancel()
    assert past._done == {0}
    assert reader.feed.counts_from_ms == reader.today.day_ms
    broker.stuck = set()
    assert past._read(stop)
    assert past._done == {0, 1}
    assert reader.unreadable == RECORDS + 3 + RECORDS
