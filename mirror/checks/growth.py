"""Notices that a topic has more partitions than its keys are spread over.

Producers keep to the number that the mirror began with (`mirror.fleet.pinned`), so added partitions
stay empty and nothing is out of order. It is told as a fault until an operator adopts them.
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
    """How many partitions topics have, against how many their keys go to."""

    def __init__(self, settings: Settings, count: Counts, known: Counts) -> None:
        """`count` gives topic → partitions, or raises `KafkaUnavailable`; `known` over how many
        keys go, or raises `RedisUnavailable`: what was seen last counts then."""
        #: What was found last, in a line each.
        self.reasons: tuple[str, ...] = ()
        self._topics = (settings.topic, *((settings.agents_topic,) if settings.agents else ()))
        self._count = count
        self._known = known
        self._pinned: dict[str, int] = {}

    def findings(self) -> Iterator[Finding]:
        """One for each topic that grew; none while Kafka does not answer, which others tell."""
        try:
            counts = self._count()
        except KafkaUnavailable:
            return
        with contextlib.suppress(RedisUnavailable):  # others tell; what was read is still so
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
    """As Kafka and Redis have them."""
    client, keys = connect(settings), Keys(settings.namespace)

    def counts() -> dict[str, int]:
        return check(settings, TIMEOUT_SECONDS).partitions(settings)

    return Growth(settings, counts, lambda: read_pinned(client, keys))


def grown(topic: str, first: int, now: int) -> Finding:
    """A topic that has more partitions than its keys go to."""
    detail = (
        f"{now} partitions, and conversations go to {first} of them as when the mirror began: "
        "those that were added stay empty"
    )
    return bad("kafka.partitions", f"topic {topic}", detail, CURE)
