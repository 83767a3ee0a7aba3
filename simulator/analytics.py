"""Selects conversations for an analytics details query (docs/protocol.md, "Analytics"). Pure.

Filters are judged against analytics bodies, so a query sees exactly what its answer would show. An
ended conversation does not change. So a filter on settled dimensions is judged once for it.
Otherwise each page of a query over an hour of conversations would take ten seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any, Literal

import msgspec

from simulator.clock import parse_rfc3339
from simulator.ids import UUID
from simulator.model import Conversation
from simulator.shapes.analytics import conversation_body

MAX_PAGE_SIZE = 100
DEFAULT_PAGE_SIZE = 25
DAY_MS = 24 * 3600 * 1000
#: Longest interval of a query with a filter, and without.
MAX_INTERVAL_MS = 31 * DAY_MS
MAX_PLAIN_INTERVAL_MS = 7 * DAY_MS
MAX_PREDICATES = 200
MAX_HITS = 100_000
#: Dimensions that no longer change after a conversation has ended.
SETTLED = frozenset({"conversationEnd", "queueId", "userId"})

#: The dimensions of the SDK that are simulated, of conversation filters and of segment filters.
CONVERSATION_DIMENSIONS = frozenset(
    {
        "conversationEnd",
        "conversationId",
        "conversationStart",
        "divisionId",
        "originatingDirection",
    }
)
SEGMENT_DIMENSIONS = frozenset(
    {
        "direction",
        "disconnectType",
        "mediaType",
        "purpose",
        "queueId",
        "segmentEnd",
        "segmentType",
        "userId",
        "wrapUpCode",
    }
)
#: Dimensions whose values are ids.
OF_IDS = frozenset({"conversationId", "queueId", "userId"})


class BadQuery(Exception):
    """The query is invalid (400). The text says why."""


class Predicate(msgspec.Struct):
    """A condition. The default `operator` is `matches`."""

    dimension: str
    type: Literal["dimension", "property", "metric"] = "dimension"
    operator: Literal["matches", "exists", "notExists"] = "matches"
    value: str | None = None


class Clause(msgspec.Struct):
    """Predicates joined by `and` or `or`."""

    type: Literal["and", "or"]
    predicates: list[Predicate]


class Filter(msgspec.Struct):
    """Clauses and predicates joined by `and` or `or`."""

    type: Literal["and", "or"]
    predicates: list[Predicate] = []
    clauses: list[Clause] = []


class Paging(msgspec.Struct, rename="camel"):
    """The requested page. Pages count from 1."""

    page_size: int = DEFAULT_PAGE_SIZE
    page_number: int = 1


class Query(msgspec.Struct, rename="camel"):
    """The part of ConversationQuery that is simulated."""

    interval: str
    order: Literal["asc", "desc", "unordered"] = "asc"
    order_by: Literal["conversationStart", "conversationEnd", "segmentStart", "segmentEnd"] = (
        "conversationStart"
    )
    paging: Paging = msgspec.field(default_factory=Paging)
    conversation_filters: list[Filter] = []
    segment_filters: list[Filter] = []


def parse(body: bytes, *, odd_ids_fail: bool = False) -> Query:
    """Read a query; raises `BadQuery`, if `odd_ids_fail` also for ids that are no UUIDs."""
    try:
        query = msgspec.json.decode(body, type=Query)
    except msgspec.DecodeError as error:
        raise BadQuery(str(error)) from error
    if not 1 <= query.paging.page_size <= MAX_PAGE_SIZE or query.paging.page_number < 1:
        raise BadQuery(f"pageSize must be 1 to {MAX_PAGE_SIZE}, pageNumber at least 1")
    for known, filters in (
        (CONVERSATION_DIMENSIONS, query.conversation_filters),
        (SEGMENT_DIMENSIONS, query.segment_filters),
    ):
        for predicate in _predicates(filters):
            if predicate.dimension not in known:
                raise BadQuery(f"no dimension {predicate.dimension!r} of such a filter")
    everything = _predicates((*query.conversation_filters, *query.segment_filters))
    count = len(everything)
    if count > MAX_PREDICATES:
        raise BadQuery(f"{count} predicates, {MAX_PREDICATES} are allowed")
    if odd_ids_fail:
        for predicate in everything:
            if predicate.dimension in OF_IDS and not UUID.fullmatch(predicate.value or ""):
                raise BadQuery(f"{predicate.dimension} {predicate.value!r} is no UUID")
    return query


def interval_of(text: str, longest_ms: int = MAX_INTERVAL_MS) -> tuple[int, int]:
    """Both ends of `start/end` in epoch milliseconds; raises `BadQuery`."""
    begin, slash, end = text.partition("/")
    try:
        bounds = parse_rfc3339(begin), parse_rfc3339(end)
    except ValueError as error:
        raise BadQuery(f"interval {text!r}") from error
    if not slash or bounds[0] >= bounds[1] or bounds[1] - bounds[0] > longest_ms:
        raise BadQuery(f"interval {text!r} is empty or longer than {longest_ms // DAY_MS} days")
    return bounds


def answer(
    query: Query,
    conversations: Iterable[Conversation],
    as_of_ms: int,
    max_hits: int = MAX_HITS,
    *,
    counts_all: bool = False,
) -> dict[str, Any]:
    """The response; `conversations` is absent on an empty page. Pages end at `max_hits`: a request
    for more raises `BadQuery`. If `counts_all`, `totalHits` counts further.

    The interval matches conversations that began on a day (UTC) that it touches, at whatever hour
    and whatever went on later.
    """
    size, number = query.paging.page_size, query.paging.page_number
    if size * number > max_hits:
        raise BadQuery(f"Pagination may not exceed {max_hits} results.")
    filtered = bool(query.conversation_filters or query.segment_filters)
    begin, end = interval_of(query.interval, MAX_INTERVAL_MS if filtered else MAX_PLAIN_INTERVAL_MS)
    days = range(begin // DAY_MS, (end - 1) // DAY_MS + 1)
    asked = _settled_filters(query)
    found = [
        conversation
        for conversation in conversations
        if conversation.started_ms <= as_of_ms
        and conversation.started_ms // DAY_MS in days
        and _is_found(query, asked, conversation, as_of_ms)
    ]
    found.sort(
        key=lambda conversation: _place(query, conversation, as_of_ms),
        reverse=query.order == "desc",
    )
    result: dict[str, Any] = {"totalHits": len(found) if counts_all else min(len(found), max_hits)}
    shown = found[(number - 1) * size : number * size]
    if shown:
        result["conversations"] = [
            conversation_body(conversation, as_of_ms) for conversation in shown
        ]
    return result


def _predicates(filters: Iterable[Filter]) -> list[Predicate]:
    return [
        predicate
        for group in filters
        for predicate in (*group.predicates, *(p for c in group.clauses for p in c.predicates))
    ]


def _settled_filters(query: Query) -> bytes | None:
    """A key for the filters. None if a dimension may change after the end of a conversation."""
    filters = (*query.conversation_filters, *query.segment_filters)
    if any(predicate.dimension not in SETTLED for predicate in _predicates(filters)):
        return None
    return msgspec.json.encode((query.conversation_filters, query.segment_filters))


def _is_found(query: Query, asked: bytes | None, conversation: Conversation, as_of_ms: int) -> bool:
    if asked is None or not conversation.finished or not _is_over(conversation, as_of_ms):
        return matches(query, conversation_body(conversation, as_of_ms))
    verdict = conversation.judged.get(asked)
    if verdict is None:
        verdict = matches(query, conversation_body(conversation, as_of_ms))
        conversation.judged[asked] = verdict
    return verdict


def _is_over(conversation: Conversation, as_of_ms: int) -> bool:
    over = conversation.over_ms
    return over is not None and over <= as_of_ms


def _place(query: Query, conversation: Conversation, as_of_ms: int) -> float:
    """The sort key of a conversation in the answer. Conversations that go on come last."""
    if query.order_by != "conversationEnd":
        return conversation.started_ms
    over = conversation.over_ms
    return inf if over is None or over > as_of_ms else over


def matches(query: Query, body: dict[str, Any]) -> bool:
    """Whether a conversation passes every filter. A segment filter needs one matching segment."""
    if not all(_passes(f, body) for f in query.conversation_filters):
        return False
    if not query.segment_filters:
        return True
    return any(
        all(_passes(f, segment) for f in query.segment_filters) for segment in _flat_segments(body)
    )


def _flat_segments(body: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for participant in body["participants"]:
        for session in participant["sessions"]:
            for segment in session["segments"]:
                yield {**participant, **session, **segment}


def _passes(wanted: Filter, facts: dict[str, Any]) -> bool:
    results = [_holds(predicate, facts) for predicate in wanted.predicates]
    for clause in wanted.clauses:
        inner = [_holds(predicate, facts) for predicate in clause.predicates]
        results.append(any(inner) if clause.type == "or" else all(inner))
    return any(results) if wanted.type == "or" else all(results)


def _holds(predicate: Predicate, facts: dict[str, Any]) -> bool:
    dimension = "divisionIds" if predicate.dimension == "divisionId" else predicate.dimension
    value = facts.get(dimension)
    if predicate.operator == "exists":
        return value is not None
    if predicate.operator == "notExists":
        return value is None
    if isinstance(value, list):
        return predicate.value in value
    return value is not None and str(value) == predicate.value
