"""Computes the partition of a key, as `murmur2_random` of librdkafka and Java clients does.

librdkafka would follow a topic that grows, and move live conversations. So producers name the
partition themselves, out of the number of partitions that the mirror began with. In plain Python a
key takes some 5 µs; `partition` caches the latest keys, because a conversation has many events.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

_MASK: Final = 0xFFFFFFFF
_MIX: Final = 0x5BD1E995
_SEED: Final = 0x9747B28C
#: More conversations than are active at once in all but the largest contact centres.
REMEMBERED: Final = 16_384


def murmur2(data: bytes) -> int:
    """Kafka's 32-bit murmur2."""
    length = len(data)
    value = _SEED ^ length
    whole = length & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _MIX & _MASK
        value = value * _MIX & _MASK ^ (word ^ word >> 24) * _MIX & _MASK
    if length > whole:
        value = (value ^ int.from_bytes(data[whole:], "little")) * _MIX & _MASK
    value = (value ^ value >> 13) * _MIX & _MASK
    return value ^ value >> 15


@lru_cache(maxsize=REMEMBERED)
def partition(key: str, count: int) -> int:
    """The partition of a key, from 0 to `count` - 1."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % count


def leaderless(described: Mapping[int, Any]) -> set[int]:
    """The partitions without a leader, of librdkafka's description of a topic."""
    return {number for number, found in described.items() if found.leader < 0}


class Partitions(dict[str, int]):
    """Topic → number of partitions that its keys are spread over.

    It follows a topic that was created again with fewer partitions, and its return; never growth.
    """

    def __init__(self, known: Mapping[str, int]) -> None:
        super().__init__(known)
        self._most = dict(known)

    def learn(self, topic: str, count: int) -> None:
        """Note that a topic has `count` partitions now."""
        self[topic] = min(count, self._most.setdefault(topic, count))
