"""The memory of the gap ledger: what is lost is filed again, what is done is not."""

from __future__ import annotations

import math

import msgspec

from coordinator.plan.gap_memory import Filed, LedgerView
from mirror.fleet.gaps import Gap


def gap(name: str) -> Gap:
    """An open gap."""
    return Gap(id=name, shard="1", topics=("t",), from_ms=1, to_ms=2)


def test_what_the_ledger_lost_is_filed_again_from_its_beginning() -> None:
    """Progress is lost with the ledger, so it is not claimed."""
    filed = Filed()
    under_way = msgspec.structs.replace(gap("x"), state="filling", readings=1, read=5, attempts=3)
    assert filed.look(LedgerView({}, (under_way,))) == []
    assert filed.look(LedgerView({"x": 12.0})) == []
    assert filed.look(LedgerView({"x": None})) == [gap("x")]


def test_what_is_done_is_forgotten() -> None:
    """A gap that was filled is not opened again by a later loss."""
    filed = Filed()
    filed.add([gap("x"), gap("y")])
    filed.look(LedgerView({"x": math.inf, "y": 1.0}))
    assert filed.ids == ("y",)
    assert filed.look(LedgerView({"x": None, "y": None})) == [gap("y")]


def test_gaps_asked_for_by_hand_are_counted() -> None:
    """As long as they are open."""
    filed = Filed()
    filed.add([gap("x"), msgspec.structs.replace(gap("y"), filed_by="hand")])
    assert filed.by_hand == 1
    filed.look(LedgerView({"x": 1.0, "y": math.inf}))
    assert filed.by_hand == 0


def test_the_memory_is_bounded() -> None:
    """What does not fit is taken in when there is room."""
    filed = Filed(most=2)
    filed.add([gap("x"), gap("y"), gap("z")])
    assert (filed.ids, filed.room) == (("x", "y"), 0)
    filed.look(LedgerView({"x": math.inf, "y": 1.0}, (gap("z"),)))
    assert filed.ids == ("y", "z")
