"""Lanes: what waits for one partition of one topic, apart from all others. Pure.

Order matters within a lane only, so a lane that stands still holds up nothing but itself. `Lane`
names one; its `place` holds the partition and the number of partitions that it was computed with,
for a topic that grows puts its keys elsewhere.

`LaneWatch` reads librdkafka's statistics of a producer whose acknowledgements are not told one by
one, and knows from them up to which moment every lane is acknowledged (I9), and which lanes stand
still. A sample says of a lane how many records entered it and the number of the last one that was
acknowledged, in the order in which they entered: the idempotent producer counts them so. (What it
tells of its queues is no use: records on their way to a broker are in none of them.) A record that
failed is never acknowledged; the producer is retired for it.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from mirror.kafka.partition import Partitions, partition

STALL_SECONDS: Final = 5.0  # without any acknowledgement, while records wait
SAMPLE_EVERY_MS: Final = 250
MOST_SAMPLES: Final = 240
_BITS: Final = 20
_PARTITIONS: Final = 1 << _BITS


class Lane(msgspec.Struct, frozen=True, order=True):
    """A partition of a topic. A `place` of 0: how many partitions the topic has is not known."""

    topic: str
    place: int = 0

    @property
    def partition(self) -> int:
        """The partition, -1 where it is not known."""
        return self.place % _PARTITIONS if self.place else -1


def lane_of(topic: str, key: str | None, sequence: int, partitions: int) -> Lane:
    """The lane of a record. Without a key any will do: they take turns."""
    if not partitions:
        return Lane(topic)
    number = sequence % partitions if key is None else partition(key, partitions)
    return Lane(topic, partitions << _BITS | number)


def are_of_one_size(lane: Lane, other: Lane) -> bool:
    """Whether both were computed with the same number of partitions."""
    return lane.place >> _BITS == other.place >> _BITS


def places(partitions: int) -> tuple[int, int]:
    """The first place of a topic with so many partitions, and the first behind the last."""
    return partitions << _BITS, (partitions << _BITS) + partitions


class Partition(msgspec.Struct):
    """What librdkafka's statistics say of a partition; -1 has what awaits metadata."""

    partition: int
    leader: int = -1
    unknown: bool = False
    msgq_cnt: int = 0
    msgs: int = 0
    acked_msgid: int = 0


class Topic(msgspec.Struct):
    """What they say of a topic."""

    partitions: dict[str, Partition]


class Broker(msgspec.Struct):
    """What they say of a broker."""

    nodeid: int
    nodename: str
    state: str


class Idempotence(msgspec.Struct):
    """What they say of the producer's number at the brokers."""

    idemp_state: str = ""


class Statistics(msgspec.Struct):
    """librdkafka's statistics (its STATISTICS.md), as far as they are read. `ts` is in µs."""

    ts: int
    topics: dict[str, Topic]
    brokers: dict[str, Broker]
    eos: Idempotence | None = None


class StalledPartition(msgspec.Struct, frozen=True):
    """A partition as librdkafka names it, and where its leader is, in words."""

    topic: str
    partition: int
    leader: str = ""


class _Seen(msgspec.Struct):
    """A lane over time: records that entered, that are acknowledged, and since when it stands."""

    entered: int = 0
    done: int = 0
    stands_since: float | None = None
    leader: str = ""


_decode = msgspec.json.Decoder(Statistics).decode
_clock: Callable[[], float] = time.time if sys.platform == "darwin" else time.monotonic


class LaneWatch:
    """The lanes of one producer."""

    def __init__(
        self,
        now: float,
        partitions: Partitions,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`partitions`: over how many the keys of each topic go; kept up to date here."""
        self._now = clock
        self.partitions = partitions
        self.is_ready = False  # has its number at the brokers: it can produce
        self._durable_at = now
        self._awaiting = 0  # that entered before their topic was known, ever
        self._lanes: dict[tuple[str, int], _Seen] = {}
        self._samples: deque[tuple[float, dict[tuple[str, int], int]]] = deque()

    def statistics(self, text: str) -> None:
        """Take librdkafka's statistics, as they come."""
        try:
            found = _decode(text)
        except msgspec.DecodeError:  # without a sample nothing more is told to be durable
            return
        age = _clock() - found.ts / 1e6  # of librdkafka's clock, which is not ours on macOS
        self.sample(found, self._now() - max(0.0, age))

    def sample(self, found: Statistics, at: float) -> None:
        """Take what was true at `at`, in monotonic seconds."""
        self.is_ready = found.eos is not None and found.eos.idemp_state == "Assigned"
        brokers = {broker.nodeid: broker for broker in found.brokers.values()}
        awaiting, unplaced = 0, False
        gone = set(self._lanes)
        for name, topic in found.topics.items():
            known = 0
            for counts in topic.partitions.values():
                if counts.partition < 0:
                    awaiting += counts.msgs
                    unplaced = unplaced or counts.msgq_cnt > 0
                    continue
                known += not counts.unknown
                gone.discard((name, counts.partition))
                seen = self._lanes.get((name, counts.partition))
                if seen is None:
                    if not counts.msgs:
                        continue
                    seen = self._lanes[(name, counts.partition)] = _Seen()
                if counts.acked_msgid >= counts.msgs:
                    seen.stands_since = None
                elif counts.acked_msgid > seen.done or seen.stands_since is None:
                    seen.stands_since = at
                seen.done, seen.entered = counts.acked_msgid, counts.msgs
                broker = brokers.get(counts.leader)
                seen.leader = f"{broker.nodename}, {broker.state}" if broker else ""
            if known:
                self.partitions.learn(name, known)
        placed = not unplaced and awaiting == self._awaiting
        self._awaiting = awaiting
        for lane in gone:  # of a topic that is no more: nothing is left in it
            seen = self._lanes[lane]
            seen.done = seen.entered
            seen.stands_since = None
        self._advance(at, placed)

    def _advance(self, at: float, placed: bool) -> None:
        samples = self._samples
        while samples:
            then, entered = samples[0]
            if any(self._lanes[lane].done < count for lane, count in entered.items()):
                break
            self._durable_at = then
            samples.popleft()
        # What awaited metadata a moment ago may be on its way to its lane, and is in none.
        if placed and len(samples) < MOST_SAMPLES:
            samples.append((at, {lane: seen.entered for lane, seen in self._lanes.items()}))

    def durable_at(self) -> float:
        """The moment up to which all that entered is acknowledged or was given back."""
        return self._durable_at

    def is_empty(self, now: float) -> None:
        """Nothing is left in the producer."""
        self._durable_at = now
        self._samples.clear()

    def stalled(self, now: float) -> list[StalledPartition]:
        """The lanes that stand still."""
        return [
            StalledPartition(topic, number, seen.leader)
            for (topic, number), seen in self._lanes.items()
            if seen.stands_since is not None and now - seen.stands_since > STALL_SECONDS
        ]

    def leader(self, topic: str, number: int) -> str:
        """Where a partition's leader is, and in which state the way there."""
        seen = self._lanes.get((topic, number))
        return seen.leader if seen else ""


def spread(counts: Mapping[Lane, int], topic: str) -> list[int]:
    """The partitions of a topic among these lanes, in order."""
    return sorted(lane.partition for lane in counts if lane.topic == topic)
