"""Which partitions a projector takes from its group."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import TopicPartition

from mirror.settings import load
from projector import share as module
from projector.offsets import Bounds
from projector.projection import Partition
from projector.share import SHORT_SECONDS, Share


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

    def unassign(self) -> None:
        """It reads nothing."""
        self.assigned = []


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


class Ends:
    """What Kafka says of offsets: the group is at 50, and each partition ends at `high`. It says
    nothing of partitions in `dead`."""

    def __init__(self, high: int) -> None:
        self.high = high
        self.dead: set[int] = set()

    def ask(self, _consumer: Any, numbers: set[int]) -> tuple[dict[int, Bounds], dict[int, str]]:
        """The offsets, and why some are not known."""
        return (
            dict.fromkeys(numbers - self.dead, Bounds(50, 0, self.high, 0)),
            dict.fromkeys(numbers & self.dead, "it has no leader"),
        )


class Restored:
    """Partitions whose conversations are read at once."""

    records = 0

    def __init__(self, _settings: Any, partitions: dict[int, Partition], _ends: Any) -> None:
        self._left = partitions

    @property
    def partitions(self) -> frozenset[int]:
        """Those that are not whole yet."""
        return frozenset(self._left)

    def step(self) -> list[Partition]:
        """All of them."""
        whole, self._left = list(self._left.values()), {}
        return whole

    def close(self) -> None:
        """Read no more."""


class Slow(Restored):
    """Partitions whose conversations are read back in three steps."""

    opened = 0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        Slow.opened += 1
        self._steps = 0

    def step(self) -> list[Partition]:
        """All of them at the third step."""
        self._steps += 1
        return super().step() if self._steps == 3 else []


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_partition_that_seems_to_have_lost_its_end_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, comes_back: bool
) -> None:
    """A new leader may know of fewer records for a while. What stays shorter was created again."""
    clock = [1_000.0]
    monkeypatch.setattr("projector.share.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(module, "Restore", Restored)
    settings = load({"HOME": "/root"})
    share, group, ends = Share(settings, lambda _: None, partitions=2), Group(), Ends(high=40)
    monkeypatch.setattr(share, "_offsets", ends)
    share.on_assign(group, [TopicPartition(settings.topic, 0)])
    while clock[0] < 1_000 + SHORT_SECONDS - 10:
        share.advance(group)
        assert (share.ready, share.refusal) == (set(), "")
        clock[0] += 1.0
    assert "ends before what was projected of it" in share.problem
    if comes_back:
        ends.high = 60
    for _ in range(20):
        clock[0] += 1.0
        share.advance(group)
    if comes_back:
        assert (share.ready, share.refusal, share.problem) == ({0}, "", "")
    else:
        assert share.ready == set()
        assert "it was created again or lost its end" in share.refusal


def test_a_partition_of_which_kafka_says_nothing_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its broker died. The others are restored, in one restore, and are projected; it follows once
    it has a leader again."""
    clock = [1_000.0]
    monkeypatch.setattr("projector.share.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(module, "Restore", Slow)
    monkeypatch.setattr(Slow, "opened", 0)
    settings = load({"HOME": "/root"})
    share, group, ends = Share(settings, lambda _: None, partitions=3), Group(), Ends(high=50)
    ends.dead = {1}
    monkeypatch.setattr(share, "_offsets", ends)
    share.on_assign(group, [TopicPartition(settings.topic, number) for number in range(3)])
    for _ in range(5):
        share.advance(group)
        clock[0] += 1.0
    assert Slow.opened == 1
    assert share.ready == {0, 2}
    assert [(place.partition, place.offset) for place in group.assigned] == [(0, 50), (2, 50)]
    assert "partition 1: it has no leader" in share.problem
    share.renew(group, {0})
    share.advance(group)
    assert share.ready == {0, 2}
    assert share.problem
    ends.dead = set()
    clock[0] += 1.0
    share.advance(group)
    assert (share.is_restoring, share.ready, share.problem) == (True, {0, 2}, "")
    for _ in range(5):
        clock[0] += 1.0
        share.advance(group)
    assert (share.ready, share.problem) == ({0, 1, 2}, "")


def test_a_partition_that_comes_back_was_not_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another process may have had it, and left it behind. Without a record read, no conversation
    of it may leave, and the lag grows."""
    clock = [1_000.0]
    monkeypatch.setattr("projector.share.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(module, "Restore", Restored)
    settings = load({"HOME": "/root"})
    share, group = Share(settings, lambda _: None, partitions=2), Group()
    monkeypatch.setattr(share, "_offsets", Ends(high=60))
    given = [TopicPartition(settings.topic, 0)]
    share.on_assign(group, given)
    share.advance(group)
    share.ends.add(0)
    share.on_revoke(group, given)
    share.on_assign(group, given)
    share.advance(group)
    clock[0] += 30.0
    assert (share.ready, share.ends, share.lag) == ({0}, set(), 30.0)
