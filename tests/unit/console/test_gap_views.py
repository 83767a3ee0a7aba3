"""What `mirror gaps` shows of a gap that could not be read to its end."""

from __future__ import annotations

import json

import msgspec

from console.views import gaps_text
from mirror.fleet.gaps import Gap, OngoingGap, view, view_ongoing

GAP = Gap(
    id="g1",
    shard="7",
    topics=("v2.users.u.conversations",),
    from_ms=0,
    to_ms=60_000,
    attempts=2,
    errors=("3 conversations: GET answers 403: give the role the missing permission",),
)


def test_the_reasons_stand_below_the_table() -> None:
    """A line each, behind the gap's id; none where nothing is wrong."""
    *_, last = gaps_text([view(GAP)]).splitlines()
    assert last.endswith(f"g1: {GAP.errors[0]}")
    fine = gaps_text([view(msgspec.structs.replace(GAP, errors=()))])
    assert "g1:" not in fine


def test_each_says_of_what_kind_it_is() -> None:
    """Neither a back-fill by hand nor a first reading looks like lost cover."""
    by_hand = msgspec.structs.replace(GAP, filed_by="hand")
    snapshot = msgspec.structs.replace(GAP, kind="snapshot", errors=())
    lasting = view_ongoing(OngoingGap("7", 0, 900), 60_000)
    head, *rows = gaps_text([view(by_hand), view(snapshot), lasting]).splitlines()[:4]
    place = head.split().index("KIND")
    assert [row.split()[place] for row in rows] == ["hand", "snapshot", "gap"]
    assert "now" in rows[-1].split()


def test_json_has_them_as_a_list() -> None:
    """Under `errors`, beside the count of topics and the state."""
    shown = json.loads(msgspec.json.encode(view(GAP)))
    assert shown["errors"] == list(GAP.errors)
    assert (shown["topics"], shown["state"]) == (1, "open")
