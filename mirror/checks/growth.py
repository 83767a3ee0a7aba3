"""Checks whether a topic has more partitions than its keys are spread over.

Producers keep the number of partitions that the mirror began with (`mirror.fleet.pinned`), so added
partitions stay empty and order is kept. The check reports a problem until an operator adopts them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from mirror.base.errors import KafkaUnavailable, RedisUnavailable
from mirror.checks.finding import Finding, bad
from mirror.fleet.pinned import read_pinned
from mirror.kafka.admin import check
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.settings import Settings

TIMEOUT_SECONDS: Final = 5.0
CURE: Final = (
    "nothing is out of order; to use them stop all processes, let consumers read to the end, run "
    "`mirror init --adopt-partitions`, and start"
)

Counts = Callable[[], Mapping[str, int]]


class Growth:
    """Compares the partitions of topics with the number that their keys are spread over."""

    def __init__(self, settings: Settings, count: Counts, known: Counts) -> None:
        """`count` returns topic → partitions, or raises `KafkaUnavailable`. `known` returns topic →
        partitions in use, or raises `RedisUnavailable`: then the last known numbers count."""
        #: The last findings, one line each.
        self.reasons: tuple[str, ...] = ()
        self._topics = (settings.topic, *((settings.agents_topic,) if settings.agents else ()))
        self._count = count
        self._known = known
        self._pinned: dict[str, int] = {}

    def findings(self) -> Iterator[Finding]:
        """A finding for each topic that grew. None while Kafka does not answer: other checks report
        that."""
        try:
            counts = self._count()
        except KafkaUnavailable:
            return
        with contextlib.suppress(RedisUnavailable):  # others report it; the last numbers hold
            self._pinned |= self._known()
        found = [
            grown(topic, self._pinned[topic], counts[topic])
            for topic in self._topics
            if topic in counts and counts[topic] > self._pinned.get(topic, counts[topic])
        ]
        self.reasons = tuple(
            f"{finding.subject}: {finding.detail}; {finding.cure}" for finding in found
        )
        yield from found


def growth_of(settings: Settings) -> Growth:
    """The check against the numbers in Kafka and Redis."""
    client, keys = connect(settings), Keys(settings.namespace)

    def counts() -> dict[str, int]:
        return check(settings, TIMEOUT_SECONDS).partitions(settings)

    return Growth(settings, counts, lambda: read_pinned(client, keys))


def grown(topic: str, first: int, now: int) -> Finding:
    """The finding on a topic with `now` partitions whose keys use only the `first` ones."""
    detail = (
        f"{now} partitions, but conversations go only to the first {first}: the added ones stay "
        "empty"
    )
    return bad("kafka.partitions", f"topic {topic}", detail, CURE)
