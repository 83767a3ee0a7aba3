"""A gap's analytics queries: complete, within Genesys' limits (guarantee 6)."""

from __future__ import annotations

import itertools

import msgspec

from janitor.plan import MAX_INTERVAL_MS, MAX_PREDICATES, predicates, questions
from mirror.gaps import Gap

HOUR = 3_600_000


def gap(*topics: str, hours: int = 1, **more: object) -> Gap:
    """A gap of so many hours."""
    made = Gap(id="g", shard="0", topics=topics, from_ms=10**12, to_ms=10**12 + hours * HOUR)
    return msgspec.structs.replace(made, **more)


def test_every_topic_is_asked_for_once_in_as_few_queries_as_are_allowed() -> None:
    """250 queues are three queries; combined and flat topics name the same id."""
    topics = [f"v2.routing.queues.q{n}.conversations" for n in range(250)]
    asked = list(questions(gap(*topics, "v2.routing.queues.q0.conversations.calls")))
    assert [len(question.predicates) for question in asked] == [100, 100, 50]
    assert {value for q in asked for _, value in q.predicates} == {f"q{n}" for n in range(250)}
    assert max(len(question.predicates) for question in asked) <= MAX_PREDICATES


def test_users_and_queues_are_told_apart_and_the_rest_is_left_out() -> None:
    """`userId` and `queueId`; topics of neither kind find nothing."""
    topics = ["v2.users.u1.conversations?calls", "v2.routing.queues.q1.conversations", "v2.x.y"]
    assert predicates(["v2.users.u1.conversations", *topics[1:]]) == [
        ("userId", "u1"),
        ("queueId", "q1"),
    ]


def test_a_long_gap_is_cut_into_intervals_that_touch() -> None:
    """Genesys takes 31 days at most; nothing lies between two intervals."""
    asked = list(questions(gap("v2.users.u1.conversations", hours=24 * 70)))
    assert all(question.to_ms - question.from_ms <= MAX_INTERVAL_MS for question in asked)
    assert all(a.to_ms == b.from_ms for a, b in itertools.pairwise(asked))
    assert asked[0].from_ms < 10**12
    assert asked[-1].to_ms > 10**12 + 24 * 70 * HOUR


def test_a_snapshot_asks_for_what_is_active_only() -> None:
    """`conversationEnd notExists`; a plain gap asks for all."""
    (snapshot,) = questions(gap("v2.users.u1.conversations", kind="snapshot"))
    (plain,) = questions(gap("v2.users.u1.conversations"))
    (condition,) = snapshot.page(1)["conversationFilters"][0]["predicates"]
    assert condition["dimension"] == "conversationEnd"
    assert condition["operator"] == "notExists"
    assert "conversationFilters" not in plain.page(1)
    assert plain.page(3)["paging"] == {"pageSize": 100, "pageNumber": 3}


def test_too_many_hits_are_halved_until_the_interval_is_short() -> None:
    """Both halves together are the whole; halving ends."""
    (question,) = questions(gap("v2.users.u1.conversations"))
    halves = question.halves()
    assert halves is not None
    first, second = halves
    assert (first.from_ms, first.to_ms, second.to_ms) == (
        question.from_ms,
        second.from_ms,
        question.to_ms,
    )
    rounds = 0
    while (halves := question.halves()) is not None:
        question, rounds = halves[0], rounds + 1
    assert 5 < rounds < 30
