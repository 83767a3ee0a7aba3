"""A gap → the analytics queries that find its conversations. Pure.

Source: genesys/README section 6.3 (`ConversationQuery`). Limits there are custom rather than
documented, so the smaller figure is taken everywhere.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from mirror.gaps import Gap, rfc3339

PAGE_SIZE: Final = 100
MAX_PREDICATES: Final = 100
MAX_INTERVAL_MS: Final = 31 * 24 * 3_600_000
# Beyond so many hits analytics stops counting: the interval is halved until there are fewer.
MAX_HITS: Final = 100_000
LEAST_INTERVAL_MS: Final = 2_000
# Both ends of a gap are times of ours, read from two machines: a little more is asked for.
MARGIN_MS: Final = 5_000

_DIMENSIONS: Final = {"queues": "queueId", "users": "userId"}


class Question(msgspec.Struct, frozen=True):
    """One details query, all its pages: predicates are (dimension, id) pairs joined by `or`."""

    from_ms: int
    to_ms: int
    predicates: tuple[tuple[str, str], ...]
    active_only: bool = False

    def page(self, number: int) -> dict[str, Any]:
        """Page `number` (from 1) as Genesys' `ConversationQuery`."""
        query: dict[str, Any] = {
            "interval": f"{rfc3339(self.from_ms)}/{rfc3339(self.to_ms)}",
            "order": "asc",
            "orderBy": "conversationStart",
            "paging": {"pageSize": PAGE_SIZE, "pageNumber": number},
            "segmentFilters": [
                {
                    "type": "or",
                    "predicates": [
                        {
                            "type": "dimension",
                            "dimension": dimension,
                            "operator": "matches",
                            "value": value,
                        }
                        for dimension, value in self.predicates
                    ],
                }
            ],
        }
        if self.active_only:
            query["conversationFilters"] = [
                {
                    "type": "and",
                    "predicates": [
                        {
                            "type": "dimension",
                            "dimension": "conversationEnd",
                            "operator": "notExists",
                        }
                    ],
                }
            ]
        return query

    def halves(self) -> tuple[Question, Question] | None:
        """The same question in two intervals, null where it is too short to cut."""
        if self.to_ms - self.from_ms < LEAST_INTERVAL_MS:
            return None
        middle = (self.from_ms + self.to_ms) // 2
        return (
            msgspec.structs.replace(self, to_ms=middle),
            msgspec.structs.replace(self, from_ms=middle),
        )


def predicates(topics: Iterable[str]) -> list[tuple[str, str]]:
    """(dimension, id) of every topic of a queue or a user; other topics are left out.

    `v2.routing.queues.{id}.conversations`, `v2.users.{id}.conversations` and what follows them.
    """
    found: dict[tuple[str, str], None] = {}
    for topic in topics:
        words = topic.split(".")
        for word, following in itertools.pairwise(words):
            if word in _DIMENSIONS and following:
                found[(_DIMENSIONS[word], following)] = None
                break
    return list(found)


def questions(gap: Gap) -> Iterator[Question]:
    """The queries that together find every conversation of a gap."""
    wanted = predicates(gap.topics)
    start, end = gap.from_ms - MARGIN_MS, gap.to_ms + MARGIN_MS
    while start < end:
        stop = min(end, start + MAX_INTERVAL_MS)
        for first in range(0, len(wanted), MAX_PREDICATES):
            yield Question(
                start, stop, tuple(wanted[first : first + MAX_PREDICATES]), gap.kind == "snapshot"
            )
        start = stop
