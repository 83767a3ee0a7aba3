"""The judge of views sees what is wrong with each of their parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.views import difference, folded, untruth
from mirror.conversation.event import Event
from mirror.conversation.published import PublishedView
from simulator.ledger import Truth

CASES = Path(__file__).parents[2] / "golden" / "cases"
LINES = (CASES / "S10_acw_ends_without_code.jsonl").read_bytes().splitlines()
EVENTS = [msgspec.json.decode(line, type=Event) for line in LINES]
NOTHING: frozenset[str] = frozenset()


def truth(seq: int, event: Event) -> Truth:
    """The record of a ledger that an event tells."""
    fields = {name: getattr(event, name, None) for name in Truth.__struct_fields__}
    known = {name: value for name, value in fields.items() if value is not None}
    return msgspec.convert({**known, "seq": seq}, Truth)


TRUTHS = [truth(seq, event) for seq, event in enumerate(EVENTS)]


def view() -> PublishedView:
    """How the flow stands after all of it."""
    (view,) = folded(EVENTS).values()
    return view


def changed(shown: PublishedView, at: int, **fields: Any) -> PublishedView:
    """A view, one leg of which says something else."""
    legs = list(shown.legs)
    legs[at] = msgspec.structs.replace(legs[at], **fields)
    return msgspec.structs.replace(shown, legs=legs)


def agents(shown: PublishedView) -> list[int]:
    """The places of the agents' legs."""
    return [at for at, leg in enumerate(shown.legs) if leg.agent_id]


def test_a_view_that_is_right_differs_in_nothing() -> None:
    """Neither by the fold nor by what happened; times of the projector's own do not count."""
    shown = msgspec.structs.replace(view(), updated_at="2026-11-23T10:00:00.000Z")
    assert difference(shown, view()) == untruth(shown, TRUTHS, NOTHING) == ""


@pytest.mark.parametrize(
    ("field", "value"),
    [("agent_id", "somebody"), ("queue_id", "elsewhere"), ("ended_at", None), ("held", True)],
)
def test_a_leg_that_is_wrong(field: str, value: object) -> None:
    """Both name the leg and what of it."""
    shown = view()
    at = agents(shown)[0]
    wrong = changed(shown, at, **{field: value})
    for told in (difference(wrong, shown), untruth(wrong, TRUTHS, NOTHING)):
        assert f"leg {shown.legs[at].participant_id}: {field} is " in told


def test_a_conversation_that_is_wrong() -> None:
    """It is over, its last leg is missing, an event counted twice, no view at all."""
    shown = view()
    assert shown.state == "ended"
    active = msgspec.structs.replace(shown, state="active")
    assert "it is over" in untruth(active, TRUTHS, NOTHING)
    short = msgspec.structs.replace(shown, legs=shown.legs[:-1])
    assert "legs, not" in difference(short, shown)
    assert "it is not in the view" in untruth(short, TRUTHS, NOTHING)
    twice = msgspec.structs.replace(shown, events=shown.events + 1)
    assert difference(twice, shown).startswith("events is ")
    assert difference(None, shown) == untruth(None, TRUTHS, NOTHING) == "no view"


def test_what_a_fault_may_lose_is_excused() -> None:
    """A projector that never got an answer cannot say when a leg was answered."""
    shown = view()
    answered = next(at for at, leg in enumerate(shown.legs) if leg.answered_at)
    wrong = changed(shown, answered, answered_at=None)
    assert "answered_at" in untruth(wrong, TRUTHS, NOTHING)
    assert untruth(wrong, TRUTHS, frozenset({"answer"})) == ""
