"""Notices that partitions were added to a topic while processes run.

Which partition a conversation is in follows from their number. Added ones move conversations that
are alive: their events are then in two partitions, out of order for who reads both, and who reads
the old ones alone sees less. The mirror does not follow that silently: it is told as a fault until
all processes are started anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from mirror.base.errors import KafkaUnavailable
from mirror.checks.finding import Finding, bad
from mirror.kafka.admin import check
from mirror.settings import Settings

TIMEOUT: Final = 5.0
CURE: Final = (
    "stop all processes and consumers, and start them together: conversations that were live have "
    "events in two partitions"
)


class Growth:
    """What a topic had when this process looked first, and what it has now."""

    def __init__(
        self,
        settings: Settings,
        count: Callable[[], Mapping[str, int]] | None = None,
    ) -> None:
        """`count` gives topic → partitions, or raises `KafkaUnavailable`."""
        self._topics = (settings.topic, *((settings.agents_topic,) if settings.agents else ()))
        self._count = count or (lambda: _counts(settings))
        self._first: dict[str, int] = {}

    def findings(self) -> Iterator[Finding]:
        """One for each topic that grew; none while Kafka does not answer, which others tell."""
        try:
            counts = self._count()
        except KafkaUnavailable:
            return
        for topic in self._topics:
            if topic in counts:
                first = self._first.setdefault(topic, counts[topic])
                if counts[topic] > first:
                    yield grown(topic, first, counts[topic])


def grown(topic: str, first: int, now: int) -> Finding:
    """A topic that has more partitions than when this process began."""
    detail = f"partitions were added while the mirror runs, {first} before and {now} now"
    return bad("kafka.partitions", f"topic {topic}", detail, CURE)


def _counts(settings: Settings) -> dict[str, int]:
    return {name: found[0] for name, found in check(settings, TIMEOUT).topics.items()}
