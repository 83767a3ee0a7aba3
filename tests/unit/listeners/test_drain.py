"""The order in which spools are emptied. Kafka is a list; test_listener_publisher has brokers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import Producer

from listeners.counters import Counters
from listeners.drain import Drain
from listeners.spool import Spool, SpoolError
from listeners.store import ASK_EVERY, Store
from mirror.kafka.record import Record
from mirror.settings import load


class Brokers:
    """Takes what a producer is given, and acknowledges it at the next poll."""

    def __init__(self) -> None:
        self.log: list[int] = []
        self._reports: list[Callable[[None, None], None]] = []

    def produce(
        self, topic: str, value: bytes, key: str, *, on_delivery: Callable[..., Any], headers: Any
    ) -> None:
        """As confluent-kafka's."""
        assert (topic, key, headers) == ("topic", "k", [])
        self.log.append(int(value))
        self._reports.append(on_delivery)

    def poll(self, _seconds: float) -> None:
        """Serve the delivery reports."""
        reports, self._reports = self._reports, []
        for report in reports:
            report(None, None)

    def __len__(self) -> int:
        return len(self._reports)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store of one listener with nothing in it."""
    store = Store(load({"MIRROR_SPOOL_DIR": str(tmp_path)}), "listener-1", Counters(), 0.0)
    yield store
    store.close()


def keep(store: Store, *sequences: int) -> None:
    """Hand in records whose values are their numbers."""
    for sequence in sequences:
        store.keep(sequence, Record("topic", "k", str(sequence).encode(), []), 0.0)


def drained(store: Store, now: float) -> list[int]:
    """What came to Kafka, in its order, when the store is empty."""
    brokers = Brokers()
    drain = Drain(store, lambda: cast("Producer", brokers), _never, now)
    while not drain.step(now):
        assert not drain.failure
    assert drain.delivered == len(brokers.log)
    return brokers.log


def _never(record: Record, error: object) -> None:
    raise AssertionError(f"{record} was rejected: {error}")


@contextmanager
def refusing(store: Store) -> Iterator[None]:
    """The disk is full meanwhile."""

    def put(_self: Spool, _records: object) -> int:
        raise SpoolError("the disk is full")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Spool, "put", put)
        yield


def test_what_was_taken_back_last_goes_first(store: Store) -> None:
    """Reports of failure come in any order: the oldest may be in memory while newer are on disk."""
    keep(store, 5, 7)
    store.commit(0.0)
    keep(store, 3, 6)
    assert drained(store, 0.0) == [3, 5, 6, 7]


def test_what_comes_while_it_drains_goes_behind(store: Store) -> None:
    """Records that are not on disk yet when a drain begins, or come later, are part of it."""
    keep(store, 1, 2)
    brokers = Brokers()
    drain = Drain(store, lambda: cast("Producer", brokers), _never, 0.0)
    assert not drain.step(0.0)
    keep(store, 3, 4)
    while not drain.step(0.0):
        assert not drain.failure
    assert brokers.log == [1, 2, 3, 4]
    assert store.unsaved == 0


def test_what_waited_in_memory_goes_behind_the_disk(store: Store) -> None:
    """A disk that refused: first what it holds, then what memory held, also once it takes again."""
    keep(store, 1, 2)
    store.commit(0.0)
    with refusing(store):
        keep(store, 3, 4)
        store.commit(0.0)
        keep(store, 5)
    assert drained(store, ASK_EVERY) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("most", [1, 2, 99])
def test_what_was_taken_back_goes_first_from_a_full_disk_too(
    store: Store, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """The oldest wait in memory, for the disk refuses, while newer are on it."""
    keep(store, 5, 7)
    store.commit(0.0)
    with refusing(store):
        keep(store, 3, 6, 8)
        store.commit(0.0)
        monkeypatch.setattr("listeners.drain.BATCH_RECORDS", most)
        assert drained(store, 0.0) == [3, 5, 6, 7, 8]
