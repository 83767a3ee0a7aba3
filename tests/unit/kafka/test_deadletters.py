"""Which dead letters `mirror dlq list` shows, and what `mirror dlq retry` finds in them."""

from __future__ import annotations

import pytest

from mirror.kafka.deadletters import DeadLetter, newest, refused_event
from mirror.kafka.record import Recorder
from mirror.settings.model import Encoding
from tests.unit.kafka.test_record import EVENT


def letter(value: bytes) -> DeadLetter:
    """Of stage `produce`."""
    return DeadLetter(id="0-0", at_ms=0, topic="", details={"stage": "produce"}, value=value)


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_a_refused_event_is_read_back_as_it_was(encoding: Encoding) -> None:
    """Whatever its encoding; cut, it is no event any more."""
    value = Recorder("topic", "mypurecloud.ie", encoding).encode(EVENT)
    assert refused_event(letter(value)) == EVENT
    assert refused_event(letter(value[:-1])) is None


def test_the_newest_letters_are_kept_whatever_their_partition() -> None:
    """Ten letters a second in three partitions, read one partition after the other."""
    every = [
        DeadLetter(id=f"{part}-{at}", at_ms=10 * at + part, topic="", details={}, value=b"")
        for part in range(3)
        for at in range(10)
    ]
    assert [letter.id for letter in newest(iter(every), 4)] == ["2-8", "0-9", "1-9", "2-9"]
    assert len(newest(iter(every), 100)) == len(every)


def test_letters_of_one_time_stay_in_their_order() -> None:
    """Offsets are numbers: 10 is later than 9."""
    every = [
        DeadLetter(id=f"0-{offset}", at_ms=0, topic="", details={}, value=b"")
        for offset in range(8, 11)
    ]
    assert [letter.id for letter in newest(every, 2)] == ["0-9", "0-10"]
