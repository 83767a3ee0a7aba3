"""A gap → the analytics queries that find its conversations. Pure.

A details query selects by the begin: it lists conversations that began on the days (UTC) that its
interval touches (docs/protocol.md, "Analytics"). So a query for the ten minutes of a gap does not
find the gap's conversations. These queries do:

    ended         conversations with an end, begun since the horizon: latest end first, until an
                  end lies before the gap. So few pages are read, however many began since
    unfinished    conversations without an end yet, begun since the horizon
    of its days   for a gap of long ago: conversations that began on its days, instead of all that
                  ended since

`lived` says whether a listed conversation reached into the gap. Genesys limits an interval to 31
days, a page to 100 and a query to 100,000 hits. A query with more hits is split by whole days, and
a query of a single day by its topics (`Question.parts`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from math import inf
from typing import Any, Final, Literal

import msgspec

from janitor.segments import read_segments
from mirror.conversation.times import known_ms, show_ms
from mirror.fleet.gaps import Gap
from mirror.genesys.shapes import AnalyticsConversation
from mirror.genesys.topics import is_of_conversations

PAGE_SIZE: Final = 100
MAX_PREDICATES: Final = 100
DAY_MS: Final = 24 * 3_600_000
MAX_INTERVAL_MS: Final = 31 * DAY_MS
# Analytics counts no more hits than this.
MAX_HITS: Final = 100_000
# Both ends of a gap are our times, from two machines: the query asks for a little more.
MARGIN_MS: Final = 5_000
# After-call work follows the end of all legs, and Genesys does not document whether
# `conversationEnd` waits for it. So conversations that ended up to this long before the gap are
# checked segment by segment.
AFTER_CALL_MS: Final = 30 * 60_000

_DIMENSIONS: Final = {"queues": "queueId", "users": "userId"}

Kind = Literal["all", "ended", "unfinished"]


class Question(msgspec.Struct, frozen=True):
    """One details query, all its pages: predicates are (dimension, id) pairs joined by `or`.

    Only conversations that began by `until_ms` are of interest. `since_ms` is the earliest end of
    interest, for `ended` ones.
    """

    from_ms: int
    to_ms: int
    predicates: tuple[tuple[str, str], ...]
    kind: Kind
    since_ms: int
    until_ms: int

    def page(self, number: int) -> dict[str, Any]:
        """Page `number` (from 1) as Genesys' `ConversationQuery`."""
        query: dict[str, Any] = {
            "interval": f"{show_ms(self.from_ms)}/{show_ms(self.to_ms)}",
            "order": "desc" if self.kind == "ended" else "asc",
            "orderBy": "conversationEnd" if self.kind == "ended" else "conversationStart",
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
        if self.kind != "all":
            operator = "exists" if self.kind == "ended" else "notExists"
            query["conversationFilters"] = [
                {
                    "type": "and",
                    "predicates": [
                        {
                            "type": "dimension",
                            "dimension": "conversationEnd",
                            "operator": operator,
                        }
                    ],
                }
            ]
        return query

    def goes_on(self, page: list[AnalyticsConversation]) -> bool:
        """Whether the next page may have conversations of interest.

        The query asks for an order, but relies on it only as far as the page shows it. A page that
        is not full says nothing here: the count of hits tells whether it is the last.
        """
        times = [_time(conversation, self.kind) for conversation in page]
        if any(time is None for time in times):
            return True
        known = [time for time in times if time is not None]
        if self.kind == "ended":
            in_order = all(a >= b for a, b in itertools.pairwise(known))
            return not in_order or known[-1] >= self.since_ms - AFTER_CALL_MS
        in_order = all(a <= b for a, b in itertools.pairwise(known))
        return not in_order or known[-1] <= self.until_ms

    def parts(self) -> tuple[Question, ...]:
        """The same question in smaller parts; empty if it cannot be split.

        Split at midnight, so no day is asked for twice; a single day by its topics.
        """
        middle = _midnight((self.from_ms + self.to_ms) // 2)
        if middle <= self.from_ms:
            middle += DAY_MS
        if middle <= self.to_ms:
            return (
                msgspec.structs.replace(self, to_ms=middle - 1),
                msgspec.structs.replace(self, from_ms=middle),
            )
        return self.by_topics()

    def by_topics(self) -> tuple[Question, ...]:
        """The same question, each half of its topics by itself; empty for a single topic."""
        half = len(self.predicates) // 2
        if not half:
            return ()
        return (
            msgspec.structs.replace(self, predicates=self.predicates[:half]),
            msgspec.structs.replace(self, predicates=self.predicates[half:]),
        )


def predicates(topics: Iterable[str]) -> list[tuple[str, str]]:
    """(dimension, id) of every topic of a queue's or a user's conversations.

    `v2.routing.queues.{id}.conversations` and `v2.users.{id}.conversations`. Other topics are left
    out: no query finds the states of a user (`v2.users.{id}?presence&routingStatus`).
    """
    found: dict[tuple[str, str], None] = {}
    for topic in filter(is_of_conversations, topics):
        words = topic.split(".")
        for word, following in itertools.pairwise(words):
            if word in _DIMENSIONS and following:
                found[(_DIMENSIONS[word], following)] = None
                break
    return list(found)


def questions(gap: Gap, horizon_ms: int, now_ms: int) -> Iterator[Question]:
    """The queries that together list every conversation that lived in a gap.

    `horizon_ms` is how long before the gap a conversation may have begun.
    """
    wanted = predicates(gap.topics)
    since, until = gap.from_ms - MARGIN_MS, gap.to_ms + MARGIN_MS
    asked: list[tuple[int, int, Kind]] = []
    if gap.kind == "gap":
        earliest = since - horizon_ms
        first_day = _midnight(since)
        if now_ms - since <= until - first_day + DAY_MS:
            asked.append((earliest, until, "ended"))
        else:  # fewer conversations began on its days than ended since
            asked += [(first_day, until, "all"), (earliest, first_day - 1, "ended")]
        asked.append((earliest, until, "unfinished"))
    else:
        asked.append((since, until, "unfinished"))
    for start, stop, kind in asked:
        for window in _windows(start, stop):
            for first in range(0, len(wanted), MAX_PREDICATES):
                group = tuple(wanted[first : first + MAX_PREDICATES])
                yield Question(*window, group, kind, since, until)


def lived(shown: AnalyticsConversation, from_ms: int, to_ms: int) -> bool:
    """Whether a conversation reached into an interval, as far as analytics shows.

    It did if it began before the interval's end and, with its after-call work, did not end before
    the interval.
    """
    began, ended = known_ms(shown.conversation_start), known_ms(shown.conversation_end)
    if began is not None and began > to_ms + MARGIN_MS:
        return False
    since = from_ms - MARGIN_MS
    if ended is None or ended >= since or ended < since - AFTER_CALL_MS:
        return ended is None or ended >= since
    return _last(shown) >= since


def _last(shown: AnalyticsConversation) -> float:
    """When the last segment ended (epoch milliseconds); infinite if one is open, or if unknown."""
    try:
        ends = [segment.segment_end for _, segment in read_segments(shown)]
    except msgspec.DecodeError:
        return inf
    return max((known_ms(end) or inf for end in ends), default=inf)


def _windows(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Intervals that Genesys accepts, the latest first; no two of them touch the same day."""
    while start <= stop:
        begin = max(start, stop - MAX_INTERVAL_MS)
        yield begin, stop
        stop = _midnight(begin) - 1


def _midnight(ms: int) -> int:
    return ms - ms % DAY_MS


def _time(shown: AnalyticsConversation, kind: Kind) -> int | None:
    return known_ms(shown.conversation_end if kind == "ended" else shown.conversation_start)
