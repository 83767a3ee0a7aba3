"""Which partitions a projector takes from its group."""

from __future__ import annotations

from typing import Any

from confluent_kafka import TopicPartition

from mirror.settings import load
from projector.share import Share


class Group:
    """A consumer that was given partitions, and is asked for nothing else."""

    def __init__(self) -> None:
        self.assigned: list[TopicPartition] = []

    def consumer_group_metadata(self) -> Any:
        """Its place in the group."""
        return object()

    def assign(self, partitions: list[TopicPartition]) -> None:
        """What it reads."""
        self.assigned = partitions


def test_a_partition_that_was_added_is_refused_when_the_group_gives_it() -> None:
    """The group may know of it before the topics are compared again: nothing of it is read."""
    settings = load({"HOME": "/root"})
    share, group = Share(settings, lambda _: None, partitions=2), Group()
    share.on_assign(group, [TopicPartition(settings.topic, 2)])
    share.advance(group)
    assert "had 2 partitions when this process started" in share.refusal
    assert "mirror projector rebuild" in share.refusal
    assert share.waiting == 1
    assert group.assigned == []
