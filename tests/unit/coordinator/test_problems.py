"""What the leader says of refused topics."""

from __future__ import annotations

import pytest

from coordinator.plan.problems import rejected
from mirror.fleet.words import Beat, ChannelReport, Shard

USER = "v2.users.u.conversations"
STATES = "v2.users.u?presence&routingStatus"
SHARDS = {"1": Shard("1", (USER, STATES), 7)}


@pytest.mark.parametrize(
    ("reported", "refused"),
    [
        ((), set()),
        ((USER,), {USER}),
        (("v2.users.u.presence",), {STATES}),
        ((USER.upper(), STATES), {USER, STATES}),
        (("v2.users.gone.conversations",), set()),
    ],
)
def test_a_topic_is_refused_with_any_topic_that_it_stands_for(
    reported: tuple[str, ...], refused: set[str]
) -> None:
    """Genesys may refuse a part of a combined topic and confirm the topic. A permission for
    conversations does not help with states."""
    report = ChannelReport(
        shard="1", replica="a", epoch=1, client="c", state="live", rejected=reported
    )
    beat = Beat(listener="l", host="h", pid=1, version="0", state="live", channels=(report,))
    found = rejected({"l": beat}, {"l"}, SHARDS, "conversation:communication:view")
    assert found.keys() == refused
    for topic, reason in found.items():
        assert ("conversation:communication:view" in reason) is (topic == USER)
