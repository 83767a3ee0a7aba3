"""After-call work and codes: both ways of each question that Genesys leaves open."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.conversation.build import ARRAY, Reader, at, folded, participant, types

TALKS = {"state": "connected", "connectedTime": at(1_000), "id": "comm-1"}
OVER = {**TALKS, "state": "disconnected", "disconnectedTime": at(5_000), "disconnectType": "peer"}


def code(name: str, saved_at: int | None) -> dict[str, Any]:
    """A code as Genesys has it, dated or not."""
    return {"code": name} | ({} if saved_at is None else {"endTime": at(saved_at)})


@pytest.mark.parametrize("dated", [True, False], ids=["dated", "undated"])
def test_each_saved_code_is_told_and_the_latest_counts(dated: bool) -> None:
    """Also where one comes back after another."""
    reader = Reader()
    events = reader.frame(participant(OVER))
    for number, name in enumerate(("A", "B", "A")):
        saved = code(name, 6_000 + 1_000 * number if dated else None)
        events += reader.frame(participant({**OVER, "wrapup": saved}))
    told = [event for event in events if event.event_type == "wrapup"]
    assert [(event.wrapup_code, event.origin) for event in told] == [
        ("A", "live"),
        ("B", "live"),
        ("A", "snapshot"),
    ]
    times = [at(6_000), at(7_000), at(8_000)]
    assert [event.occurred_at for event in told if not event.estimated] == (times if dated else [])
    assert folded(events).legs["p-1 comm-1"].wrapup_code == "A"


def test_a_frame_that_lags_brings_no_code_back() -> None:
    """Where codes are dated, the one that was saved last counts, whatever is read last."""
    reader = Reader()
    events = reader.frame(participant({**OVER, "wrapup": code("A", 6_000)}))
    events += reader.frame(participant({**OVER, "wrapup": code("B", 7_000)}))
    events += reader.frame(participant({**OVER, "wrapup": code("A", 6_000)}))
    assert folded(events).legs["p-1 comm-1"].wrapup_code == "B"


def test_codes_chosen_while_talking_are_told_behind_the_end() -> None:
    """All of them, in their order: a leg's order has its end first."""
    reader = Reader()
    events = reader.frame(participant({**TALKS, "wrapup": code("A", None)}))
    events += reader.frame(participant({**TALKS, "wrapup": code("B", None)}))
    assert "wrapup" not in types(events)
    events += reader.frame(participant({**OVER, "wrapup": code("B", 6_000)}))
    told = [event for event in events if event.event_type in {"disconnect", "wrapup"}]
    assert [event.wrapup_code for event in told] == [None, "A", "B"]


@pytest.mark.parametrize("before", [None, {"state": "pending"}], ids=["absent", "pending"])
@pytest.mark.parametrize("ended", ["complete", "pending"])
def test_work_begins_with_its_start_time(before: dict[str, str] | None, ended: str) -> None:
    """Whether or not it is `pending` while the agent talks, and whatever it is called later."""
    reader = Reader()
    talks = TALKS if before is None else {**TALKS, "afterCallWork": before}
    assert "acw" not in types(reader.frame(participant(talks)))
    work = {"state": "pending", "startTime": at(5_000)}
    assert types(reader.frame(participant({**OVER, "afterCallWork": work}))) == [
        "disconnect",
        "acw",
        "end",
    ]
    done = {**work, "state": ended, "endTime": at(9_000)}
    (event,) = reader.frame(participant({**OVER, "afterCallWork": done}))
    assert (event.event_type, event.occurred_at, event.estimated) == ("acw_end", at(9_000), False)


@pytest.mark.parametrize("state", ["skipped", "notApplicable"])
@pytest.mark.parametrize("times", [{}, {"startTime": at(5_000), "endTime": at(5_000)}])
def test_skipped_work_is_none(state: str, times: dict[str, str]) -> None:
    """With times beside it, which are equal, and without."""
    shown = participant({**OVER, "afterCallWork": {"state": state, **times}})
    assert not {"acw", "acw_end"} & set(types(Reader().frame(shown)))


def test_work_that_is_skipped_when_it_had_begun_ends() -> None:
    """Nobody stays in after-call work that is told no more."""
    reader = Reader()
    work = {"state": "pending", "startTime": at(5_000)}
    reader.frame(participant({**OVER, "afterCallWork": work}))
    skipped = {"state": "skipped", "startTime": at(5_000), "endTime": at(5_000)}
    events = reader.frame(participant({**OVER, "afterCallWork": skipped}))
    assert types(events) == ["acw_end"]


WORK = {"state": "complete", "startTime": at(5_000), "endTime": at(9_000)}
NO_WORK = {"state": "notApplicable"}
OF_PARTICIPANT = {"startAcwTime": at(5_000), "endAcwTime": at(9_000)}


@pytest.mark.parametrize("coded", ["communication", "participant", "both", "empty below"])
@pytest.mark.parametrize("worked", ["itself", "participant", "both", "the other has none"])
@pytest.mark.parametrize("medium", ["callback", "cobrowse"])
def test_times_and_code_may_stand_in_different_places(coded: str, worked: str, medium: str) -> None:
    """On the communication that was handled, on its participant, or on both, each for itself: of a
    callback that dialled a call, and of a call with a shared screen.
    """
    saved = code("A", 9_000)
    handled: dict[str, Any] = {**OVER, "id": "handled"}
    other: dict[str, Any] = {**OVER, "id": "other", "connectedTime": at(2_000)}
    shown: dict[str, Any] = {}
    if worked in {"itself", "both"}:
        handled["afterCallWork"] = WORK
    if worked != "itself":
        shown |= OF_PARTICIPANT
    if worked not in {"itself", "participant"}:
        other["afterCallWork"] = NO_WORK
    if coded != "participant":
        handled["wrapup"] = {} if coded == "empty below" else saved
    if coded != "communication":
        shown["wrapup"] = saved
    legs = {"call": handled, "cobrowse": other}
    if medium == "callback":
        legs = {"call": other, "callback": handled}
    for media in (list(legs), list(reversed(legs))):
        person = participant(**shown) | {ARRAY[medium]: [legs[medium]] for medium in media}
        events = Reader().frame(person)
        told = [
            (event.event_type, event.communication_id, event.occurred_at, event.wrapup_code)
            for event in events
            if event.event_type in {"acw", "acw_end", "wrapup"}
        ]
        assert told == [
            ("acw", "handled", at(5_000), None),
            ("acw_end", "handled", at(9_000), None),
            ("wrapup", "handled", at(9_000), "A"),
        ]


def test_the_participants_code_is_that_of_its_latest_leg() -> None:
    """A code of its own does not keep an earlier leg's successor from the participant's; the code
    that an earlier leg has is not the successor's.
    """
    first = {**OVER, "afterCallWork": WORK, "wrapup": code("A", 9_000)}
    times = {"connectedTime": at(11_000), "disconnectedTime": at(15_000)}
    work = {"state": "complete", "startTime": at(15_000), "endTime": at(19_000)}
    second = {**OVER, **times, "id": "comm-2", "afterCallWork": work}
    for name, saved_at, expected in (("B", 19_000, ["A", "B"]), ("A", 9_000, ["A"])):
        person = participant(first, second, medium="message", wrapup=code(name, saved_at))
        told = [e for e in Reader().frame(person) if e.event_type == "wrapup"]
        assert [event.wrapup_code for event in told] == expected
        assert [event.communication_id for event in told] == ["comm-1", "comm-2"][: len(told)]


def test_an_empty_code_of_a_leg_does_not_hide_its_participants() -> None:
    """Genesys also sends empty objects."""
    for empty in ({}, {"code": ""}):
        person = participant({**OVER, "wrapup": empty}, wrapup=code("A", 9_000))
        told = [e for e in Reader().frame(person) if e.event_type == "wrapup"]
        assert [(event.wrapup_code, event.occurred_at) for event in told] == [("A", at(9_000))]
