"""Filters, pages and the search: which conversations fit, and that all figures are of these."""

from __future__ import annotations

import pytest

from dashboard.reader.floor import Floor
from dashboard.reader.selection import PAGE, Choice, Chooser, Selection, latest, select
from tests.unit.dashboard.build import NOW_MS, leg

PEOPLE = {"u-calls": "Ada Lovelace"}


@pytest.fixture
def floor() -> Floor:
    """A call that is talked to, a chat that waits, a call in after-call work, one that is over."""
    made = Floor()
    for event in (
        leg("answer", "acd", -90, conversation_id="calls"),
        leg("disconnect", "acd", -60, conversation_id="calls"),
        leg("answer", "agent", -60, conversation_id="calls"),
        leg("answer", "acd", -30, conversation_id="chats", queue_id="q2", media_type="chat"),
        leg("answer", "agent", -80, conversation_id="writes-up"),
        leg("disconnect", "agent", -20, conversation_id="writes-up"),
        leg("acw", "agent", -20, conversation_id="writes-up"),
        leg("answer", "agent", -80, conversation_id="gone"),
        leg("disconnect", "agent", -20, conversation_id="gone"),
    ):
        made.fold(event, NOW_MS)
    return made


def chosen(floor: Floor, choice: Choice, page: int = 1) -> Selection:
    """What a page gets."""
    return select(floor, Chooser(choice, PEOPLE), page, over=choice.beginning is not None)


def ids(found: Selection) -> list[str]:
    """The conversations that are listed."""
    return [row[0] for row in found.rows]


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        (Choice(), ["chats", "calls"]),
        (Choice(queue="q1"), ["calls"]),
        (Choice(queue="q2"), ["chats"]),
        (Choice(queue=""), []),
        (Choice(medium="chat"), ["chats"]),
        (Choice(state="waiting"), ["chats"]),
        (Choice(state="acw"), ["writes-up"]),
        (Choice(agent="u-cal"), ["calls"]),
        (Choice(agent="lovelace"), ["calls"]),
        (Choice(agent="nobody"), []),
        (Choice(beginning="c"), ["chats", "calls"]),
        (Choice(beginning="go"), ["gone"]),
        (Choice(beginning="c", medium="call"), ["calls"]),
    ],
)
def test_what_fits(floor: Floor, choice: Choice, wanted: list[str]) -> None:
    """Each filter by itself and together; a search finds also what is over."""
    assert ids(chosen(floor, choice)) == wanted


def test_all_figures_are_of_what_fits(floor: Floor) -> None:
    """Queues, agents and media."""
    found = chosen(floor, Choice(queue="q1"))
    assert found.live == 1
    assert set(found.queues) == {"q1"}
    assert found.queues["q1"].states["talking"] == 1
    assert found.queues["q1"].acw == 1
    assert found.agents == {"talking": 1, "acw": 1}
    found = chosen(floor, Choice(state="waiting"))
    assert found.agents == {}
    assert found.queues["q2"].oldest_ms == NOW_MS - 30_000


def test_pages_have_everything_once() -> None:
    """In the order of the list; behind the last page there is nothing."""
    floor = Floor()
    for number in range(2 * PAGE + 7):
        floor.fold(leg("answer", "acd", -number, conversation_id=f"c{number}"), NOW_MS)
    pages = [ids(chosen(floor, Choice(), page)) for page in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [PAGE, PAGE, 7, 0]
    assert [id_ for page in pages for id_ in page] == [f"c{n}" for n in reversed(range(107))]


def test_events_are_of_what_fits(floor: Floor) -> None:
    """Whatever fields they have themselves: those of the conversations that fit, the latest."""
    events = [(n, "answer", None, None, None, None, name, "live") for n, name in enumerate("abab")]
    floor.fold(leg("answer", "acd", conversation_id="a"), NOW_MS)
    floor.fold(leg("answer", "acd", conversation_id="b", queue_id="q9"), NOW_MS)
    chooser = Chooser(Choice(queue="q9"), {})
    assert latest(events, floor.known, chooser, 10) == [events[1], events[3]]
    assert latest(events, floor.known, chooser, 1) == [events[3]]


def test_who_rings_and_who_listens_in_is_named(floor: Floor) -> None:
    """An agent who rings beside the queue, and a supervisor with his role."""
    floor.fold(leg("alert", "agent", -5, conversation_id="chats", agent_id="u-rings"), NOW_MS)
    watching = {"participant_id": "p-boss", "agent_id": "u-boss", "role": "monitor"}
    floor.fold(leg("answer", "agent", -5, conversation_id="calls", **watching), NOW_MS)
    rows = {row[0]: dict(row[-1]) for row in chosen(floor, Choice()).rows}
    assert rows["chats"] == {"u-rings": "ringing"}
    assert rows["calls"] == {"u-calls": "talking", "u-boss": "monitor"}
    assert ids(chosen(floor, Choice(agent="u-boss"))) == ["calls"]
