"""A gap's analytics queries: complete, within Genesys' limits, and few (guarantee 6)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from janitor.gaps.plan import (
    AFTER_CALL_MS,
    DAY_MS,
    MARGIN_MS,
    MAX_INTERVAL_MS,
    MAX_PREDICATES,
    PAGE_SIZE,
    Question,
    lived,
    predicates,
    questions,
)
from mirror.conversation.times import show_ms
from mirror.fleet.gaps import Gap
from mirror.genesys.shapes import AnalyticsConversation

HOUR = 3_600_000
MIDNIGHT = 20_000 * DAY_MS
NOON = MIDNIGHT + 12 * HOUR
HORIZON = 31 * DAY_MS
USER = "v2.users.u1.conversations"


def gap(*topics: str, hours: float = 1, **more: object) -> Gap:
    """A gap of so many hours, from noon on."""
    made = Gap(id="g", shard="0", topics=topics, from_ms=NOON, to_ms=round(NOON + hours * HOUR))
    return msgspec.structs.replace(made, **more)


def asked(filed: Gap, horizon_ms: int = HORIZON, later_ms: int = 60_000) -> list[Question]:
    """Its questions, a minute after its end."""
    return list(questions(filed, horizon_ms, filed.to_ms + later_ms))


def shown(began: int, ended: int | None = None, *segments: int | None) -> AnalyticsConversation:
    """A conversation as analytics lists it, with a segment for each end."""
    parts: list[dict[str, Any]] = [
        {
            "segmentStart": show_ms(began),
            "segmentEnd": None if segment is None else show_ms(segment),
        }
        for segment in segments
    ]
    raw = msgspec.json.encode([{"sessions": [{"segments": parts}]}])
    return AnalyticsConversation(
        "c", show_ms(began), None if ended is None else show_ms(ended), msgspec.Raw(raw)
    )


def days(question: Question) -> range:
    """The days that a question lists the conversations of, by Genesys' rule."""
    return range(question.from_ms // DAY_MS, question.to_ms // DAY_MS + 1)


def finds(question: Question, conversation: AnalyticsConversation, began: int) -> bool:
    """Whether a question lists a conversation that began then, by Genesys' rule."""
    if began // DAY_MS not in days(question):
        return False
    over = conversation.conversation_end is not None
    return {"all": True, "ended": over, "unfinished": not over}[question.kind]


def test_every_topic_is_asked_for_in_as_few_queries_as_are_allowed() -> None:
    """250 queues are three queries of each kind; a topic that comes twice counts once."""
    topics = [f"v2.routing.queues.q{n}.conversations" for n in range(250)]
    found = asked(gap(*topics, topics[0]))
    assert [len(question.predicates) for question in found] == [100, 100, 50] * 2
    for kind in ("ended", "unfinished"):
        values = {value for q in found if q.kind == kind for _, value in q.predicates}
        assert values == {f"q{n}" for n in range(250)}
    assert max(len(question.predicates) for question in found) <= MAX_PREDICATES


def test_users_and_queues_are_told_apart_and_the_rest_is_left_out() -> None:
    """`userId` and `queueId`; other topics find nothing, not even the states of a user."""
    topics = [
        USER,
        "v2.users.u1.conversations",
        "v2.users.u1?presence&routingStatus",
        "v2.routing.queues.q1.conversations",
        "v2.x.y",
    ]
    assert predicates(topics) == [("userId", "u1"), ("queueId", "q1")]


@pytest.mark.parametrize("later", [60_000, 40 * DAY_MS])
@pytest.mark.parametrize("began", [-600_000, -9 * HOUR, -20 * HOUR, -7 * DAY_MS, -30 * DAY_MS])
@pytest.mark.parametrize("ended", [None, 60_000, 3 * HOUR, 26 * HOUR])
def test_what_lived_in_a_gap_is_found_however_long_ago_it_began(
    later: int, began: int, ended: int | None
) -> None:
    """Today, yesterday or weeks ago; unfinished or over since; read at once or weeks later."""
    filed = gap(USER)
    start = NOON + began
    end = None if ended is None else NOON + ended
    conversation = shown(start, end)
    assert lived(conversation, filed.from_ms, filed.to_ms)
    assert any(finds(question, conversation, start) for question in asked(filed, later_ms=later))


def test_a_gap_that_has_just_ended_is_two_queries() -> None:
    """What ended since its beginning, latest first, and what is unfinished."""
    found = asked(gap(USER))
    assert [question.kind for question in found] == ["ended", "unfinished"]
    query = found[0].page(1)
    assert (query["orderBy"], query["order"]) == ("conversationEnd", "desc")
    assert query["paging"] == {"pageSize": 100, "pageNumber": 1}


def test_a_gap_of_weeks_ago_lists_its_days_instead_of_all_that_ended_since() -> None:
    """And what began before them and ended after its beginning."""
    found = asked(gap(USER), later_ms=20 * DAY_MS)
    assert [question.kind for question in found] == ["all", "ended", "unfinished"]
    assert days(found[0]) == range(MIDNIGHT // DAY_MS, MIDNIGHT // DAY_MS + 1)
    assert found[1].to_ms == MIDNIGHT - 1


def test_no_interval_is_too_long_and_no_day_is_asked_for_twice() -> None:
    """Whatever the horizon: Genesys takes 31 days at most."""
    for kind in ("gap", "snapshot"):
        filed = gap(USER, hours=24 * 40, kind=kind)
        found = [q for q in asked(filed, 100 * DAY_MS) if q.kind == "unfinished"]
        assert all(0 <= q.to_ms - q.from_ms <= MAX_INTERVAL_MS for q in found)
        touched = [day for question in found for day in days(question)]
        assert len(touched) == len(set(touched))
        assert found[0].to_ms == filed.to_ms + MARGIN_MS


def test_a_snapshot_asks_for_what_is_unfinished_only() -> None:
    """`conversationEnd notExists`, from the beginning of its interval on."""
    (snapshot,) = asked(gap(USER, kind="snapshot"))
    (condition,) = snapshot.page(1)["conversationFilters"][0]["predicates"]
    assert (condition["dimension"], condition["operator"]) == ("conversationEnd", "notExists")


def test_a_first_snapshot_of_the_default_horizon_is_one_interval() -> None:
    """31 days to the moment: one query for each hundred topics."""
    filed = gap(USER, kind="snapshot", from_ms=NOON - HORIZON, to_ms=NOON)
    assert len(asked(filed)) <= 2


def test_too_many_hits_are_split_by_whole_days_then_by_topics() -> None:
    """Each part asks for other days or other topics; one topic of one day cannot be split."""
    topics = [f"v2.users.u{n}.conversations" for n in range(3)]
    question = asked(gap(*topics))[0]
    todo, atoms = [question], []
    while todo:
        part = todo.pop()
        parts = part.parts()
        todo += parts
        if not parts:
            atoms.append(part)
    assert all(len(days(atom)) == 1 and len(atom.predicates) == 1 for atom in atoms)
    asked_for = [(day, atom.predicates) for atom in atoms for day in days(atom)]
    assert len(asked_for) == len(set(asked_for)) == 3 * len(days(question))


def test_pages_are_read_until_nothing_of_interest_can_follow() -> None:
    """The order is asked for, and believed only where the page shows it."""
    ended, _ = asked(gap(USER))
    early = NOON - AFTER_CALL_MS - HOUR
    page = [shown(early - n, early - n) for n in range(PAGE_SIZE)]
    assert not ended.goes_on(page)
    assert not ended.goes_on(page[:3])
    assert ended.goes_on(page[::-1])  # not in the order that was asked for
    assert ended.goes_on([shown(early, NOON + HOUR - n) for n in range(PAGE_SIZE)])
    of_days = asked(gap(USER), later_ms=20 * DAY_MS)[0]
    assert of_days.goes_on([shown(NOON + n) for n in range(PAGE_SIZE)])
    assert not of_days.goes_on([shown(NOON + 2 * HOUR + n) for n in range(PAGE_SIZE)])


def test_after_call_work_belongs_to_the_life_of_a_conversation() -> None:
    """Also where analytics calls a conversation ended with its last leg."""
    filed = gap(USER)
    before = NOON - 10 * 60_000
    assert not lived(shown(before - HOUR, before, before), filed.from_ms, filed.to_ms)
    assert lived(shown(before - HOUR, before, before, NOON + 60_000), filed.from_ms, filed.to_ms)
    assert lived(shown(before - HOUR, before, before, None), filed.from_ms, filed.to_ms)
    assert not lived(shown(NOON + 2 * HOUR), filed.from_ms, filed.to_ms)
    assert lived(AnalyticsConversation("c"), filed.from_ms, filed.to_ms)  # who knows


def test_the_parts_of_a_question_touch_where_they_are_cut() -> None:
    """Nothing lies between two of them."""
    first, second = asked(gap(USER))[0].parts()
    assert second.from_ms - first.to_ms == 1
    assert second.from_ms % DAY_MS == 0
