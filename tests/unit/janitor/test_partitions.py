"""A partition that takes no events holds up its own conversations alone (guarantee 9)."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from janitor.gaps.filler import LEAST_ATTEMPTS
from janitor.gaps.plan import DAY_MS
from janitor.producer import AckedProducer, PartitionUnavailable
from janitor.zombies.held import Held
from janitor.zombies.verdict import closing
from mirror.base.errors import KafkaUnavailable
from mirror.fleet.tracked import Tracked
from mirror.kafka.partition import partition
from mirror.settings import Settings, load
from tests.unit.janitor import fakes, test_failing, test_filler, test_reading
from tests.unit.janitor.test_reading import MINUTE, NOON

COUNT = 4


@pytest.fixture
def settings() -> Settings:
    """The defaults."""
    return load({"GENESYS_CLIENT_ID": "a", "GENESYS_CLIENT_SECRET": "b"})


class Brokers:
    """A Kafka that does not acknowledge, and answers questions about topics or not."""

    def __init__(self, error: KafkaError | None, answers: bool) -> None:
        self.error = error
        self.answers = answers
        self.reports: list[Any] = []

    def produce(self, *_: object, on_delivery: Any, **__: object) -> None:
        self.reports.append(on_delivery)

    def __len__(self) -> int:
        return len(self.reports)

    def list_topics(self, *_: object, **__: object) -> None:
        if not self.answers:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def purge(self) -> None:
        self.reports.clear()

    def poll(self, _seconds: float) -> None:
        while self.error and self.reports:
            self.reports.pop()(self.error, None)


@pytest.mark.parametrize(
    ("code", "answers", "pinned", "is_partition"),
    [
        (None, True, True, True),
        (None, False, True, False),
        (None, True, False, False),
        (KafkaError.NOT_ENOUGH_REPLICAS, True, True, True),
        (KafkaError._MSG_TIMED_OUT, False, True, False),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, True, True, False),
        (KafkaError._TRANSPORT, True, True, False),
    ],
)
def test_whose_fault_it_is(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    code: int | None,
    answers: bool,
    pinned: bool,
    is_partition: bool,
) -> None:
    """A partition without leader and a Kafka that is away look the same: a broker is asked.

    A partition is no problem of the producer, which nothing would end if the gap has gone.
    """
    brokers = Brokers(None if code is None else KafkaError(code), answers)
    monkeypatch.setattr("janitor.producer.Producer", lambda *_, **__: brokers)
    producer = AckedProducer(settings, partitions={settings.topic: COUNT} if pinned else {})
    with pytest.raises(KafkaUnavailable) as caught:
        producer.send(closing("c", Tracked(0), "not_found", 1_000), seconds=0.01)
    assert isinstance(caught.value, PartitionUnavailable) == is_partition
    if isinstance(caught.value, PartitionUnavailable):
        assert caught.value.partition == partition("c", COUNT) == producer.partition_of("c")
    assert producer.problem == ("" if is_partition else str(caught.value))


def test_a_sweep_goes_on_behind_a_partition_that_is_away(settings: Settings) -> None:
    """Its conversations wait for growing pauses, tried once in a sweep; the others are finalized,
    those that Genesys has lost too."""
    stand = test_failing.Stand()
    for number in (1, 2):
        for name in "abc":
            stand.add(f"{number}{name}")
        stand.add(f"{number}lost")
        del stand.genesys.rest[f"{number}lost"], stand.genesys.analytics[f"{number}lost"]
    stand.producer.away = {1}
    sweep = stand.sweep(settings)
    assert set(stand.finalized()) == {"2a", "2b", "2c", "2lost"}
    assert (sweep.finalized, sweep.held) == (4, 4)
    assert [name for name in stand.producer.tried if name[0] == "1"] == ["1a"]
    assert [name for name in stand.genesys.asked if name[0] == "1"] == ["1a"]
    assert "partition 1" in sweep.problem
    assert all(stand.leases.due[f"1{name}"] > 100 for name in "abc")


def test_a_partition_that_is_back_is_no_problem() -> None:
    """It took events, or nothing of it is due any more."""
    now = 0.0
    held = Held(60.0, lambda: now)
    for number in (1, 2):
        held.refused(number, f"partition {number} is away")
        held.waits(number, 300.0)
        held.waits(number, 200.0)
    now = 100.0
    assert held.seconds(1) == 100.0
    assert held.problem() == "partition 1 is away; partition 2 is away"
    held.taken(1)
    assert held.problem() == "partition 2 is away"
    assert held.is_held(2)
    held.begin_sweep()
    assert not held.is_held(2)
    now = 419.0
    assert held.problem()
    now = 420.0
    assert held.problem() == ""


def test_a_reading_goes_on_behind_a_partition_that_is_away() -> None:
    """What it could not produce stays unread, with the reason; it is tried once."""
    stand = test_reading.Stand()
    for number in (1, 2):
        for name in "abc":
            stand.genesys.add(f"{number}{name}", NOON, NOON + MINUTE)
    stand.producer.away = {1}
    reading = stand.read()
    assert stand.told() == {"2a", "2b", "2c"}
    assert reading.unread.errors() == ("3 conversations: no events for partition 1",)
    assert (stand.gap.read, stand.gap.unread) == (3, 3)
    assert len(stand.producer.tried) == 4
    stand.producer.away.clear()
    assert stand.read().unread.errors() == ()
    assert len(stand.told()) == 6


def test_a_gap_is_not_given_up_for_a_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it is away."""

    class Away(fakes.AckedProducer):
        def __init__(self) -> None:
            super().__init__()
            self.away = {1}

    monkeypatch.setattr("tests.unit.janitor.test_filler.AckedProducer", Away)
    genesys = fakes.Genesys()
    genesys.add("1a", test_filler.NOON, test_filler.NOON + MINUTE)
    ledger = test_filler.Ledger(attempts=LEAST_ATTEMPTS, failing_since_ms=1)
    gap = test_filler.fill(ledger, genesys, test_filler.NOON + 10 * DAY_MS)
    assert gap.state == "open"
    assert "partition 1" in gap.errors[0]
    assert gap.readings == 0
