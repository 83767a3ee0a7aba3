"""Today's figures: each as Genesys defines it, whatever the order of events and their repeats."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from dashboard.reader import today as module
from dashboard.reader.today import MOST_LEGS, QUIET_MS, Figures, Today, day_of
from mirror.conversation.event import Event
from tests.unit.dashboard.build import NOW_MS, leg

DAY_MS = day_of(NOW_MS)


def answered(wait: float, *, at: float = 0.0, name: str = "c") -> list[Event]:
    """A call that waits, is answered, lasts 60 s and has 20 s of after-call work."""
    fields: dict[str, Any] = {"conversation_id": name}
    picked = at + wait
    return [
        leg("answer", "customer", at - 5, **fields),
        leg("answer", "acd", at, **fields),
        leg("alert", "agent", picked - 1, **fields),
        leg("answer", "agent", picked, **fields),
        leg("disconnect", "acd", picked, **fields),
        leg("disconnect", "agent", picked + 60, **fields),
        leg("disconnect", "customer", picked + 60, **fields),
        leg("acw", "agent", picked + 60, **fields),
        leg("acw_end", "agent", picked + 80, **fields),
    ]


def after(events: list[Event], within_ms: int = 20_000) -> Figures:
    """The figures of queue `q1` after these events."""
    today = Today(DAY_MS, within_ms)
    for event in events:
        today.note(event, NOW_MS)
    return today.queues.get("q1", Figures())


def test_an_answered_call() -> None:
    """Offered and answered once; its wait is that in the queue; talk and after-call work are its
    handle time."""
    assert after(answered(12)) == Figures(1, 1, 1, 0, 0, 12_000, 1, 80_000)


@pytest.mark.parametrize(("wait", "in_time"), [(19.9, 1), (20.0, 1), (20.1, 0)])
def test_the_service_level_counts_answers_within_its_time(wait: float, in_time: int) -> None:
    """The threshold itself is in time."""
    found = after(answered(wait))
    assert found.in_time == in_time
    assert found.service_level == in_time


def test_a_customer_who_leaves_while_waiting_has_abandoned() -> None:
    """Also where an agent's leg rang; no answer, no handle time; it counts for the level."""
    found = after(
        [
            leg("answer", "customer", -5),
            leg("answer", "acd", 0),
            leg("alert", "agent", 3),
            leg("disconnect", "agent", 8),
            leg("disconnect", "customer", 30),
            leg("disconnect", "acd", 30.2),
        ]
    )
    assert found == Figures(offered=1, abandoned=1)
    assert found.service_level == 0


def test_whoever_goes_on_elsewhere_flowed_out() -> None:
    """To another queue, say, in which the wait begins again."""
    events = [
        leg("answer", "customer", -5),
        leg("answer", "acd", 0),
        leg("disconnect", "acd", 40),
        leg("answer", "acd", 40, participant_id="p-second", queue_id="q2"),
        leg("answer", "agent", 50, queue_id="q2"),
    ]
    today = Today(DAY_MS, 20_000)
    for event in events:
        today.note(event, NOW_MS)
    assert today.queues["q1"] == Figures(offered=1, flowed_out=1)
    assert today.queues["q2"] == Figures(offered=1, answered=1, in_time=1, wait_ms=10_000)


def test_who_gives_up_in_the_second_queue_abandons_that_one_alone() -> None:
    """However soon after the first queue sent the caller on."""
    today = Today(DAY_MS, 20_000)
    for event in [
        leg("answer", "customer", -5),
        leg("answer", "acd", 0),
        leg("disconnect", "acd", 40),
        leg("answer", "acd", 40, participant_id="p-second", queue_id="q2"),
        leg("disconnect", "acd", 42, participant_id="p-second", queue_id="q2"),
        leg("disconnect", "customer", 42),
    ]:
        today.note(event, NOW_MS)
    assert today.queues["q1"] == Figures(offered=1, flowed_out=1)
    assert today.queues["q2"] == Figures(offered=1, abandoned=1)


def test_a_second_wait_in_the_same_queue_has_its_own_answer() -> None:
    """A call that comes back to its queue is offered again."""
    found = after(
        [
            *answered(5),
            leg("answer", "acd", 70, participant_id="p-again"),
            leg("answer", "agent", 100, participant_id="p-other"),
        ]
    )
    assert (found.offered, found.answered, found.in_time) == (2, 2, 1)
    assert found.wait_ms == 35_000


def test_an_agent_who_takes_over_answers_nothing_anew() -> None:
    """A transfer from agent to agent is one answer and two handle times."""
    found = after(
        [
            *answered(5),
            leg("answer", "agent", 30, participant_id="p-other"),
            leg("disconnect", "agent", 50, participant_id="p-other"),
        ]
    )
    assert (found.answered, found.handled, found.handle_ms) == (1, 2, 100_000)


def test_supervisors_neither_answer_nor_handle() -> None:
    """Who monitors, coaches, barges or is consulted has a role."""
    watching = {"participant_id": "p-boss", "role": "monitor"}
    found = after(
        [
            leg("answer", "acd", 0),
            leg("answer", "agent", 2, **watching),
            leg("disconnect", "agent", 9, **watching),
        ]
    )
    assert found == Figures(offered=1)


def test_order_and_repeats_do_not_matter() -> None:
    """Two channels, a back-fill, a restart that reads the past behind the present."""
    events = [
        *answered(12, name="a"),
        *answered(30, name="b"),
        leg("answer", "customer", -5, conversation_id="c"),
        leg("answer", "acd", 0, conversation_id="c"),
        leg("disconnect", "customer", 30, conversation_id="c"),
        leg("disconnect", "acd", 30, conversation_id="c"),
    ]
    wanted = after(events)
    assert wanted == Figures(3, 2, 1, 1, 0, 42_000, 2, 160_000)
    chance = random.Random(7)
    for _ in range(50):
        mixed = events + chance.sample(events, 8)
        chance.shuffle(mixed)
        assert after(mixed) == wanted


def test_a_snapshot_says_nothing_of_when() -> None:
    """It is dated when it was read."""
    assert after([leg("answer", "acd", 0, origin="snapshot")]) == Figures()


def test_each_figure_counts_on_its_own_day() -> None:
    """Offered before midnight and answered after it: an answer of today alone."""
    before = (DAY_MS - NOW_MS) / 1000 - 5
    found = after([*answered(10, at=before)])
    assert found == Figures(0, 1, 1, 0, 0, 10_000, 1, 80_000)


def test_a_new_day_begins_at_nothing() -> None:
    """What lives goes on; its later figures are of the new day."""
    today = Today(DAY_MS, 20_000)
    for event in answered(12, name="a"):
        today.note(event, NOW_MS)
    today.note(leg("answer", "acd", 0, conversation_id="b"), NOW_MS)
    tomorrow = DAY_MS + 86_400_000
    today.turn(tomorrow, tomorrow)
    assert today.queues.get("q1", Figures()) == Figures()
    assert "q1" in today.changed
    late = (tomorrow - NOW_MS) / 1000 + 5
    today.note(leg("answer", "agent", late, conversation_id="b"), tomorrow)
    assert today.queues["q1"].answered == 1


def test_what_is_over_lets_go_of_its_facts_and_keeps_its_figures() -> None:
    """What still comes of it changes nothing; what lives is kept."""
    today = Today(DAY_MS, 20_000)
    for event in answered(12, name="a"):
        today.note(event, NOW_MS)
    today.note(leg("answer", "acd", 0, conversation_id="lives"), NOW_MS)
    wanted = today.queues["q1"].values()
    today.turn(DAY_MS, NOW_MS + QUIET_MS + 1)
    for event in answered(12, name="a"):
        today.note(event, NOW_MS)
    assert today.queues["q1"].values() == wanted
    today.note(leg("answer", "agent", 4, conversation_id="lives"), NOW_MS)
    assert today.queues["q1"].answered == 2


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the most that are kept the quietest go first, whatever they are."""
    monkeypatch.setattr(module, "MOST_KEPT", 10)
    today = Today(DAY_MS, 20_000)
    for number in range(30):
        today.note(leg("answer", "acd", 0, conversation_id=f"c{number}"), NOW_MS)
    today.turn(DAY_MS, NOW_MS)
    assert today.queues["q1"].offered == 30
    today.note(leg("answer", "agent", 4, conversation_id="c0"), NOW_MS)
    today.note(leg("answer", "agent", 4, conversation_id="c29"), NOW_MS)
    assert today.queues["q1"].answered == 1


def test_an_event_of_a_long_thread_costs_little() -> None:
    """Thousands of waits and answers in one conversation do not hold up the page."""
    today = Today(DAY_MS, 20_000)
    for number in range(1_500):
        at = number * 10.0
        for event in [
            leg("answer", "acd", at, participant_id=f"w-{number}"),
            leg("answer", "agent", at + 1, participant_id=f"a-{number}"),
        ]:
            today.note(event, NOW_MS)
    again = [leg("acw", "agent", n, participant_id=f"a-{n}") for n in range(200)]
    began = time.process_time()
    for event in again:
        today.note(event, NOW_MS)
    assert (time.process_time() - began) / len(again) < 0.005  # seconds; it was 0.05


def test_legs_beyond_the_most_are_passed_over() -> None:
    """What is counted stays counted, and the page is told, once for each conversation."""
    today = Today(DAY_MS, 20_000)
    for number in range(MOST_LEGS + 10):
        today.note(leg("answer", "acd", 0, participant_id=f"p-{number}"), NOW_MS)
    today.note(leg("answer", "acd", 0, conversation_id="another"), NOW_MS)
    assert today.queues["q1"].offered == MOST_LEGS + 1
    assert today.left_out == 1
    today.note(leg("answer", "agent", 4), NOW_MS)  # a leg beyond
    today.note(leg("disconnect", "acd", 9, participant_id="p-0"), NOW_MS)
    assert today.queues["q1"].flowed_out == 1
    tomorrow = DAY_MS + 86_400_000
    today.turn(tomorrow, tomorrow)
    assert today.left_out == 1, "its later figures lack those legs too"
