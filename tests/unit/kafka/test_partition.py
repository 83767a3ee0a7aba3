"""The partition of a key, as Kafka's Java clients compute it."""

from __future__ import annotations

import pytest

from mirror.kafka.partition import murmur2, partition


@pytest.mark.parametrize(
    ("data", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_kafkas(data: bytes, signed: int) -> None:
    """The values of `UtilsTest.testMurmur2` of Apache Kafka."""
    assert murmur2(data) == signed & 0xFFFFFFFF


def test_a_partition_is_one_of_the_topics() -> None:
    """Keys spread over all of them."""
    found = {partition(f"conversation-{number}", 12) for number in range(500)}
    assert found == set(range(12))
