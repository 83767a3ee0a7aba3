"""The messages that browsers get: what changed, and everything for newcomers."""

from __future__ import annotations

from typing import Any

import msgspec

from dashboard.reader.feed import TICKER_A_TICK, Feed
from dashboard.reader.floor import Floor
from dashboard.reader.presence import Presences
from dashboard.reader.rates import Rates
from dashboard.reader.selection import PAGE, Choice
from dashboard.reader.today import Today, day_of
from mirror.conversation.agent_event import AgentEvent
from tests.unit.dashboard.build import NOW_MS, at, event, leg


def make() -> Feed:
    """A feed of an empty floor; one queue has a name."""
    feed = Feed(Floor(), Rates(), None, Today(day_of(NOW_MS), 20_000))
    feed.call({"q1": "Billing"}, {"a1": "Ada"})
    return feed


def ids(feed: Feed, choice: Choice) -> list[str]:
    """The conversations of the first page of a choice."""
    return [row[0] for row in feed.chosen(choice, 1)["rows"]]


def plain(document: Any) -> Any:
    """As a browser decodes it."""
    return msgspec.json.decode(msgspec.json.encode(document))


def test_changes_add_up_to_the_whole() -> None:
    """Whoever had the full message and takes every change knows what a newcomer is told."""
    feed = make()
    full, _ = feed.tick(NOW_MS, None)
    known = {row[0]: row for row in plain(feed.complete(full))["queues"]}
    for number in range(30):
        name, queue = f"c{number}", f"q{number % 4}"
        feed.floor.fold(leg("answer", "acd", conversation_id=name, queue_id=queue), NOW_MS)
        if number % 3 == 0:
            feed.floor.fold(leg("answer", "agent", conversation_id=name, queue_id=queue), NOW_MS)
        full, change = feed.tick(NOW_MS + 200 * number, None)
        known |= {row[0]: row for row in plain(change)["queues"]}
    assert known == {row[0]: row for row in plain(feed.complete(full))["queues"]}
    assert known["q1"][1] == "Billing"
    assert sum(full["total"]) == feed.floor.live == 30


def test_a_change_has_only_the_queues_that_moved() -> None:
    """A tick in which nothing happens costs next to nothing."""
    feed = make()
    feed.floor.fold(leg("answer", "acd"), NOW_MS)
    _, first = feed.tick(NOW_MS, None)
    _, second = feed.tick(NOW_MS + 200, None)
    assert [row[0] for row in first["queues"]] == ["q1"]
    assert second["queues"] == []
    assert "rows" not in second


def test_messages_are_bounded_however_much_happens() -> None:
    """5,000 conversations in a tick: the ticker shows a few and counts all, the list is short."""
    feed = make()
    for number in range(5_000):
        event = leg("answer", "acd", number / 1000, conversation_id=f"c{number}")
        feed.floor.fold(event, NOW_MS)
        feed.ticker.note(event, NOW_MS)
    full, change = feed.tick(NOW_MS, None)
    assert len(change["ticker"]) == TICKER_A_TICK
    assert change["count"] == 5_000
    assert len(change["rows"]) == PAGE
    assert len(msgspec.json.encode(feed.complete(full))) < 32_000


def test_those_who_wait_longest_come_first() -> None:
    """Waiting before talking, and the longest first."""
    feed = make()
    feed.floor.fold(leg("answer", "agent", -500, conversation_id="talks"), NOW_MS)
    feed.floor.fold(leg("answer", "acd", -5, conversation_id="short"), NOW_MS)
    feed.floor.fold(leg("answer", "acd", -50, conversation_id="long"), NOW_MS)
    assert ids(feed, Choice()) == ["long", "short", "talks"]
    assert ids(feed, Choice(queue="q1", state="talking")) == ["talks"]
    assert ids(feed, Choice(queue="q2")) == []


def test_nothing_personal_is_passed_on() -> None:
    """Even where the stream carries personal fields, no message and no list has them."""
    feed = make()
    secret = "+4915112345678"
    event = leg("answer", "customer", ani=secret, dnis=secret, address=secret)
    event.participant_name, event.attributes = secret, {"a": secret}
    feed.floor.fold(event, NOW_MS)
    feed.ticker.note(event, NOW_MS)
    full, change = feed.tick(NOW_MS, None)
    told = msgspec.json.encode([feed.complete(full), change, feed.chosen(Choice(), 1)])
    assert secret.encode() not in told


def test_a_name_that_comes_later_is_sent() -> None:
    """The row of a queue whose name has changed, and the agents of the rows that are shown."""
    feed = make()
    feed.floor.fold(leg("answer", "acd", queue_id="q1"), NOW_MS)
    feed.floor.fold(leg("answer", "agent", agent_id="a1"), NOW_MS)
    full, _ = feed.tick(NOW_MS, None)
    assert full["people"] == {"a1": "Ada"}
    feed.call({"q1": "Help"}, {})
    full, change = feed.tick(NOW_MS + 1_000, None)
    assert [row[:2] for row in change["queues"]] == [("q1", "Help")]
    assert full["people"] == {}


def test_a_second_is_a_point_of_the_charts() -> None:
    """New events and repeats are counted apart; latency is of what was witnessed live."""
    rates = Rates()
    rates.turn(NOW_MS)
    for latency in (10, 20, 90):
        rates.note(True, latency)
    rates.note(True, None)
    rates.note(False, 500)
    (point,) = rates.turn(NOW_MS + 1_000)
    assert point[1:] == (4, 1, 20, 90)
    assert rates.turn(NOW_MS + 1_200) == []
    assert [second.events for second in rates.turn(NOW_MS + 3_000)] == [0, 0]


def test_the_latest_presence_counts() -> None:
    """By routing status, and by presence those who are off the queue; late records are history."""
    presences = Presences()

    def note(user: str, seconds: float, **words: Any) -> None:
        kind: Any = "presence" if "presence" in words else "routing_status"
        presences.note(
            AgentEvent(
                event_id=f"{user}{seconds}",
                event_type=kind,
                user_id=user,
                occurred_at=at(seconds),
                received_at=at(seconds),
                **words,
            )
        )

    note("a", 0, routing_status="IDLE")
    note("b", 5, routing_status="INTERACTING")
    note("b", 1, routing_status="IDLE")
    note("c", 0, routing_status="OFF_QUEUE")
    note("c", 0, presence="MEAL")
    assert presences.counts() == {"IDLE": 1, "INTERACTING": 1, "MEAL": 1}


def test_a_conversation_event_has_no_leg() -> None:
    """`start` alone stands nowhere and does not break the list."""
    feed = make()
    feed.floor.fold(event("start"), NOW_MS)
    assert ids(feed, Choice()) == []


def test_who_comes_first_is_told_all_at_once() -> None:
    """Also where nobody listened before: the list and the agents are those of now, and there."""
    feed = make()
    feed.rest(NOW_MS)
    feed.floor.fold(leg("answer", "agent"), NOW_MS)
    full, _ = feed.tick(NOW_MS + 10, None)
    assert (len(full["rows"]), full["agents"]) == (1, {"talking": 1})
    feed.rest(NOW_MS + 20)
    feed.floor.fold(leg("answer", "agent", conversation_id="d"), NOW_MS)
    full, _ = feed.tick(NOW_MS + 30, None)
    assert (len(full["rows"]), full["agents"]) == (2, {"talking": 2})
