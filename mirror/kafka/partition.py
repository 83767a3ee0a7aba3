"""Which partition a key belongs to: what `murmur2_random` of librdkafka and Java clients compute.

librdkafka chooses partitions itself; this is for whoever must know one before it hands a record
over. In plain Python a key takes some 5 µs: not for the hot path.
"""

from __future__ import annotations

from typing import Final

_MASK: Final = 0xFFFFFFFF
_MIX: Final = 0x5BD1E995
_SEED: Final = 0x9747B28C


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


def partition(key: str, count: int) -> int:
    """The partition of a key, of `count`."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % count
