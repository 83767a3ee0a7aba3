"""Lanes: the records of one partition of one topic, apart from all others. Pure.

Order matters only within a lane, so a lane that stands still blocks no other. `Lane` names a lane.
Its `place` holds the partition and the number of partitions that it was computed with, because a
topic that grows moves its keys.

`LaneWatch` reads librdkafka's statistics of a producer that does not report each acknowledgement.
From them it knows up to which time every lane is acknowledged (I9), and which lanes stand still. A
sample has, for each lane, the number of records that entered it and the number of the last
acknowledged record: the idempotent producer counts records in the order in which they enter. (The
lengths of its queues are useless: records on their way to a broker are in none of them.) A failed
record is never acknowledged; the producer is retired for it.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from mirror.kafka.broker_states import NONE, BrokerState, states
from mirror.kafka.partition import Partitions, partition

STALL_SECONDS: Final = 5.0  # without any acknowledgement, while records wait
SAMPLE_EVERY_MS: Final = 250
MOST_SAMPLES: Final = 240
_BITS: Final = 20
_PARTITIONS: Final = 1 << _BITS


class Lane(msgspec.Struct, frozen=True, order=True):
    """A partition of a topic. `place` 0: the topic's number of partitions is unknown."""

    topic: str
    place: int = 0

    @property
    def partition(self) -> int:
        """The partition, -1 if unknown."""
        return self.place % _PARTITIONS if self.place else -1


def lane_of(topic: str, key: str | None, sequence: int, partitions: int) -> Lane:
    """The lane of a record. Records without a key take the lanes in turn."""
    if not partitions:
        return Lane(topic)
    number = sequence % partitions if key is None else partition(key, partitions)
    return Lane(topic, partitions << _BITS | number)


def are_of_one_size(lane: Lane, other: Lane) -> bool:
    """Whether both lanes were computed with the same number of partitions."""
    return lane.place >> _BITS == other.place >> _BITS


def places(partitions: int) -> tuple[int, int]:
    """The range of places of a topic with `partitions` partitions: first, last + 1."""
    return partitions << _BITS, (partitions << _BITS) + partitions


class Partition(msgspec.Struct):
    """A partition in librdkafka's statistics; -1 holds records that await metadata."""

    partition: int
    leader: int = -1
    unknown: bool = False
    msgq_cnt: int = 0
    msgs: int = 0
    acked_msgid: int = 0


class Topic(msgspec.Struct):
    """A topic in librdkafka's statistics."""

    partitions: dict[str, Partition]


class Idempotence(msgspec.Struct):
    """The state of the producer id in librdkafka's statistics."""

    idemp_state: str = ""


class Statistics(msgspec.Struct):
    """The fields of librdkafka's statistics (its STATISTICS.md) that are read. `ts` is in µs."""

    ts: int
    topics: dict[str, Topic]
    brokers: msgspec.Raw
    eos: Idempotence | None = None


class StalledPartition(msgspec.Struct, frozen=True):
    """A partition that stands still, and its leader's broker and state, in words."""

    topic: str
    partition: int
    leader: str = ""


class _Seen(msgspec.Struct):
    """A lane over time: records entered, records acknowledged, since when it stands still, and the
    node id of its leader."""

    entered: int = 0
    done: int = 0
    stands_since: float | None = None
    leader: int = -1


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
        """`partitions`: topic → partitions for its keys; updated here."""
        self._now = clock
        self.partitions = partitions
        self.is_ready = False  # whether it has its producer id, and can produce
        self._durable_at = now
        self._brokers = NONE  # of the last statistics
        self._awaiting = 0  # records that ever entered before their topic was known
        self._lanes: dict[tuple[str, int], _Seen] = {}
        self._samples: deque[tuple[float, dict[tuple[str, int], int]]] = deque()

    def statistics(self, text: str) -> None:
        """Take librdkafka's statistics, JSON."""
        try:
            found = _decode(text)
        except msgspec.DecodeError:  # without a sample `durable_at` does not advance
            return
        age = _clock() - found.ts / 1e6  # by librdkafka's clock, which differs from ours on macOS
        self.sample(found, self._now() - max(0.0, age))

    def sample(self, found: Statistics, at: float) -> None:
        """Take the statistics of the time `at`, monotonic seconds."""
        self.is_ready = found.eos is not None and found.eos.idemp_state == "Assigned"
        self._brokers = found.brokers
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
                seen.leader = counts.leader
            if known:
                self.partitions.learn(name, known)
        placed = not unplaced and awaiting == self._awaiting
        self._awaiting = awaiting
        for lane in gone:  # its topic is gone, so it is empty
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
        # Records that awaited metadata a moment ago may be on their way to a lane, and in none.
        if placed and len(samples) < MOST_SAMPLES:
            samples.append((at, {lane: seen.entered for lane, seen in self._lanes.items()}))

    def durable_at(self) -> float:
        """The time up to which all records that entered were acknowledged or given back."""
        return self._durable_at

    def is_empty(self, now: float) -> None:
        """Note that the producer is empty."""
        self._durable_at = now
        self._samples.clear()

    def stalled(self, now: float) -> list[StalledPartition]:
        """The lanes that stand still."""
        found = [
            (topic, number, seen.leader)
            for (topic, number), seen in self._lanes.items()
            if seen.stands_since is not None and now - seen.stands_since > STALL_SECONDS
        ]
        brokers = states(self._brokers) if found else {}  # decoded once for all of them
        return [
            StalledPartition(topic, number, _told(brokers.get(leader)))
            for topic, number, leader in found
        ]

    def leader(self, topic: str, number: int) -> str:
        """The broker of a partition's leader, and the state of the connection to it, in words."""
        seen = self._lanes.get((topic, number))
        return _told(states(self._brokers).get(seen.leader)) if seen else ""


def _told(broker: BrokerState | None) -> str:
    return f"{broker.nodename}, {broker.state}" if broker else ""
