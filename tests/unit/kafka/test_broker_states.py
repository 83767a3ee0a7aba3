"""Brokers in librdkafka's statistics, as librdkafka 2.16.0 wrote them after a broker was back."""

from __future__ import annotations

import msgspec
import pytest

from coordinator.tracker import health
from mirror.kafka.broker_states import NONE, BrokerState, states

NEW = b'"k:3/3": {"nodeid": 3, "nodename": "k:3", "source": "learned", "state": "UP"}'
OLD = NEW.replace(b"UP", b"INIT")
OTHER = NEW.replace(b"3", b"1")
BOTH = (b"{%b, %b, %b}" % (NEW, OTHER, OLD), b"{%b, %b, %b}" % (OLD, OTHER, NEW))


@pytest.mark.parametrize("text", BOTH)
def test_of_two_brokers_with_one_name_the_connected_one_counts(text: bytes) -> None:
    """The other is the one that metadata had dropped."""
    found = states(msgspec.Raw(text))
    assert found == {3: BrokerState(3, "k:3", "UP"), 1: BrokerState(1, "k:1", "UP")}
    assert states(NONE) == {}


@pytest.mark.parametrize("text", BOTH)
def test_a_tracker_reads_from_a_broker_that_was_away(text: bytes) -> None:
    """It said that the partitions of this broker cannot be read, although it read them."""
    topic = b'{"partitions": {"0": {"partition": 0, "leader": 3}}}'
    statistics = health.decode(b'{"brokers": %b, "topics": {"t": %b}}' % (text, topic))
    tracker = health.TrackerHealth("group", 0.0)
    tracker.assigned(0.0)
    for second in range(20):
        tracker.sampled(statistics, {0}, "t", second)
        tracker.measured(0, 1, second)
    assert tracker.reasons(19) == ()
    assert tracker.stale_ms(19) == 0
