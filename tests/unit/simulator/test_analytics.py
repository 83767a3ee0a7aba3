"""What a details query lists: what began on a day that its interval touches, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulator.analytics import DAY_MS, BadQuery, answer, parse
from simulator.clock import rfc3339
from simulator.model import Conversation

NOON = 20_000 * DAY_MS + DAY_MS // 2
UNFINISHED = [
    {
        "type": "and",
        "predicates": [
            {"type": "dimension", "dimension": "conversationEnd", "operator": "notExists"}
        ],
    }
]


def conversation(name: str, began_ms: int, ended_ms: int | None = None) -> Conversation:
    """One without legs."""
    return Conversation(
        id=name,
        media="call",
        direction="inbound",
        started_ms=began_ms,
        ended_ms=ended_ms,
        division_id="d",
    )


ALL = [
    conversation("early today", NOON - 11 * 3_600_000, NOON - 10 * 3_600_000),
    conversation("later today", NOON + 3_600_000),
    conversation("yesterday, goes on", NOON - DAY_MS),
    conversation("weeks ago, goes on", NOON - 20 * DAY_MS),
]


def ask(begin: int, end: int, most: int = 100_000, **more: Any) -> dict[str, Any]:
    """What an interval lists, a day later."""
    query = {"interval": f"{rfc3339(begin)}/{rfc3339(end)}", **more}
    return answer(parse(json.dumps(query).encode()), ALL, NOON + DAY_MS, most)


def names(found: dict[str, Any]) -> list[str]:
    """The ids of an answer."""
    return [shown["conversationId"] for shown in found.get("conversations", [])]


def test_the_day_of_the_begin_decides() -> None:
    """At whatever hour, and whatever was going on within the interval."""
    minutes = ask(NOON, NOON + 600_000)
    assert names(minutes) == ["early today", "later today"]
    assert names(ask(NOON - DAY_MS, NOON)) == ["yesterday, goes on", *names(minutes)]
    midnight = NOON - DAY_MS // 2
    assert names(ask(midnight - DAY_MS, midnight)) == ["yesterday, goes on"]


def test_what_is_unfinished_is_found_as_far_back_as_is_asked() -> None:
    """31 days at once with a filter."""
    found = ask(NOON - 30 * DAY_MS, NOON, conversationFilters=UNFINISHED)
    assert names(found) == ["weeks ago, goes on", "yesterday, goes on", "later today"]


@pytest.mark.parametrize(
    ("days", "filters", "refused"), [(7, [], False), (8, [], True), (31, UNFINISHED, False)]
)
def test_an_interval_that_is_too_long_is_refused(
    days: int, filters: list[Any], refused: bool
) -> None:
    """A week without a filter, 31 days with one."""
    if refused:
        with pytest.raises(BadQuery, match="longer than 7 days"):
            ask(NOON - days * DAY_MS, NOON, conversationFilters=filters)
    else:
        ask(NOON - days * DAY_MS, NOON, conversationFilters=filters)
    with pytest.raises(BadQuery, match="longer than 31 days"):
        ask(NOON - 31 * DAY_MS - 1, NOON, conversationFilters=UNFINISHED)


def test_listing_stops_at_the_most_hits() -> None:
    """A request for more is refused. Whether more are counted is not documented."""
    found = ask(NOON - DAY_MS, NOON, 2, paging={"pageSize": 1, "pageNumber": 2})
    assert found["totalHits"] == 2
    assert len(names(found)) == 1
    with pytest.raises(BadQuery, match="Pagination may not exceed 2 results"):
        ask(NOON - DAY_MS, NOON, 2, paging={"pageSize": 1, "pageNumber": 3})
    asked = parse(json.dumps({"interval": f"{rfc3339(NOON - DAY_MS)}/{rfc3339(NOON)}"}).encode())
    assert answer(asked, ALL, NOON + DAY_MS, 25, counts_all=True)["totalHits"] == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"order": "descending"},
        {"orderBy": "conversationsEnd"},
        {"conversationFilters": [{"type": "nor", "predicates": []}]},
        {"segmentFilters": [{"type": "or", "clauses": [{"type": "xor", "predicates": []}]}]},
        {"segmentFilters": [{"type": "or", "predicates": [{"dimension": "conversationEnd"}]}]},
        {"conversationFilters": [{"type": "and", "predicates": [{"dimension": "queueId"}]}]},
        {
            "conversationFilters": [
                {
                    "type": "and",
                    "predicates": [{"dimension": "conversationEnd", "operator": "notexists"}],
                }
            ]
        },
    ],
)
def test_what_the_sdk_does_not_know_is_refused(wrong: dict[str, Any]) -> None:
    """A word of a query that means nothing must not mean everything, or nothing."""
    with pytest.raises(BadQuery):
        ask(NOON, NOON + 1, **wrong)


def test_what_is_over_is_judged_by_when_it_is_asked_about() -> None:
    """A verdict that is kept says nothing of the time before the conversation was over."""
    over = conversation("over", NOON, NOON + 1_000)
    over.finished = True
    filters = {"conversationFilters": UNFINISHED}
    query = {"interval": f"{rfc3339(NOON)}/{rfc3339(NOON + 1)}", **filters}
    asked = parse(json.dumps(query).encode())

    def found_at(as_of_ms: int) -> list[str]:
        return names(answer(asked, [over], as_of_ms))

    assert found_at(NOON + 60_000) == []
    assert found_at(NOON + 60_000) == []
    assert found_at(NOON + 500) == ["over"]
    assert found_at(NOON + 60_000) == []
