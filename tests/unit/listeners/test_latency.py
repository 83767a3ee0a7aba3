"""How long records take to Kafka, told by counts and samples."""

from __future__ import annotations

import msgspec
import pytest

from listeners.publish.latency import MARK_SECONDS, MOST_MARKS, Latency
from mirror.base.tally import Tally
from mirror.conversation.event import Event
from mirror.kafka.record import Recorder, dead_letter
from mirror.settings.model import Encoding

RECEIVED = 1_795_428_000.0  # 2026-11-23T10:00:00Z


def event(*, estimated: bool = False, origin: str = "live") -> Event:
    """An event of two seconds before it was received."""
    return Event(
        event_id="0123456789abcdef0123456789abcdef",
        event_type="answer",
        conversation_id="c1",
        state="connected",
        occurred_at="2026-11-23T09:59:58.000Z",
        estimated=estimated,
        origin=origin,  # type: ignore[arg-type]
        received_at="2026-11-23T10:00:00.000Z",
        source_topic="v2.users.u1.conversations",
    )


def told(latency: Latency, since: str) -> Tally:
    """The tally of one beginning."""
    return latency.tallies()[(since,)]


def count(latency: Latency, since: str) -> int:
    """How many values it has."""
    return sum(told(latency, since).counts)


def test_records_are_told_when_as_many_are_acknowledged() -> None:
    """Each mark's by its own time; none before all of it is there; the sum is what they took."""
    latency = Latency(wall=lambda: RECEIVED + 1.0)
    latency.mark(10, 100.0, event())
    latency.mark(30, 100.5, event())
    latency.acknowledged(9, 100.6)
    assert count(latency, "read") == 0
    latency.acknowledged(10, 101.0)
    assert count(latency, "read") == 10
    assert told(latency, "read").seconds == pytest.approx(10.0)
    latency.acknowledged(30, 101.0)
    assert count(latency, "read") == 30
    assert told(latency, "read").seconds == pytest.approx(10.0 + 20 * 0.5)
    assert count(latency, "occurred") == 2
    assert told(latency, "occurred").seconds == pytest.approx(2 * 3.0)


def test_what_was_estimated_or_is_old_news_has_no_time_of_its_own() -> None:
    """Our own time of reading, a first reading and a back-fill say nothing of Genesys."""
    latency = Latency()
    for number, reading in enumerate((event(estimated=True), event(origin="snapshot")), 1):
        latency.mark(number, float(number), reading)
    latency.acknowledged(2, 9.0)
    assert count(latency, "read") == 2
    assert count(latency, "occurred") == 0


def test_marks_are_few_however_many_records_there_are() -> None:
    """Within some milliseconds they share one, and without end none is added."""
    latency = Latency()
    for number in range(1, 100):
        latency.mark(number, 1.0 + number * MARK_SECONDS / 200, event())
    latency.acknowledged(98, 2.0)
    assert count(latency, "read") == 0
    latency.acknowledged(99, 2.0)
    assert count(latency, "read") == 99
    for number in range(MOST_MARKS + 50):
        latency.mark(100 + number, 10.0 + number, event())
    latency.acknowledged(99 + MOST_MARKS, 20_000.0)
    assert count(latency, "read") == 99 + MOST_MARKS - 1, "the last mark holds the rest"
    latency.acknowledged(99 + MOST_MARKS + 50, 20_000.0)
    assert count(latency, "read") == 99 + MOST_MARKS + 50


def test_what_was_given_up_is_not_told_twice() -> None:
    """A producer that is set aside takes its marks with it."""
    latency = Latency()
    latency.mark(10, 1.0, event())
    latency.begin(4)
    latency.acknowledged(10, 5.0)
    assert count(latency, "read") == 0
    latency.mark(12, 6.0, event())
    latency.acknowledged(12, 6.5)
    assert count(latency, "read") == 8


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_what_waited_on_disk_is_told_by_samples(encoding: Encoding) -> None:
    """From when it was read, over any restart, in either encoding."""
    latency = Latency(wall=lambda: RECEIVED + 3600.0)
    record = Recorder("topic", "mypurecloud.com", encoding).record(event())
    latency.waited(record, 50)
    assert count(latency, "read") == 50
    assert told(latency, "read").seconds == pytest.approx(50 * 3600.0)
    assert told(latency, "occurred").seconds == pytest.approx(3602.0)
    late = Recorder("topic", "mypurecloud.com", encoding).record(event(estimated=True))
    latency.waited(late, 1)
    assert count(latency, "occurred") == 1


def test_a_record_of_an_older_spool_is_told_too() -> None:
    """There, the values of headers are text."""
    latency = Latency(wall=lambda: RECEIVED)
    record = Recorder("topic", "mypurecloud.com", "json").record(event())
    headers = [("ce_time", event().occurred_at), ("ce_origin", "live")]
    latency.waited(msgspec.structs.replace(record, headers=headers), 1)
    assert told(latency, "occurred").seconds == pytest.approx(2.0)


def test_a_dead_letter_that_waited_tells_nothing() -> None:
    """It has no time of its own."""
    latency = Latency()
    letter = dead_letter(
        "dlq",
        b"no JSON",
        source_topic=None,
        stage="decode",
        error="e",
        message="m",
        listener="l",
        limit=100_000,
        mask=None,
    )
    latency.waited(letter, 3)
    assert count(latency, "read") == 0
