"""What `mirror dlq retry` finds in the dead letter of a record that Kafka refused."""

from __future__ import annotations

import pytest

from mirror.kafka.deadletters import DeadLetter, refused_event
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
