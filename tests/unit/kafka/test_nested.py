"""Records of others in the topic, nested without end, count as unreadable and end nothing."""

from __future__ import annotations

import pytest

from coordinator.tracker.batch import read
from mirror.base.errors import MirrorError
from mirror.kafka.record import read_event

DEEP = 200_000
JSON = b'{"x":' * DEEP
MSGPACK = b"\x81\xa1x" * DEEP


@pytest.mark.parametrize("value", [JSON, MSGPACK], ids=["json", "msgpack"])
def test_a_reader_of_events_refuses_it(value: bytes) -> None:
    """So do the commands and pages that read the topic."""
    with pytest.raises(MirrorError, match="no Event"):
        read_event(value)


@pytest.mark.parametrize("value", [JSON, MSGPACK], ids=["json", "msgpack"])
def test_the_tracker_counts_it(value: bytes) -> None:
    """A single record must not stop the fold of its partition for good."""
    assert read([value]) == ({}, 1)
