"""One conversation as legs over time: what the page draws. Pure.

Each leg is a row of stretches (`ringing`, `talking`, `held`, …). They come from the leg's events in
the order of `occurred_at`. After-call work is the last stretch. A stretch without an end goes on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from dashboard.reader.floor_position import DOING, leg_state
from mirror.conversation.event import RANK, STAFF
from mirror.conversation.fold import ConversationView, LegView

MOST_MARKS: Final = 240  # of one conversation; older ones are left out

_RINGS: Final = frozenset({"dial", "alert"})
_CONNECTED: Final = frozenset({"answer", "resume", "unpark"})
_AFTER: Final = {"hold": "held", "park": "parked"}


class Mark(NamedTuple):
    """An event of a leg: its time, and the leg's place in the view.

    `leg` is -1 for events of the conversation.
    """

    at_ms: int
    kind: str
    leg: int


def timeline(view: ConversationView, marks: Iterable[Mark]) -> dict[str, Any]:
    """The document of a conversation: its legs with their stretches, and its own events."""
    ordered = sorted(marks, key=lambda mark: (mark.at_ms, RANK[mark.kind]))
    return {
        "id": view.id,
        "state": view.state,
        "finalized": view.finalized,
        "legs": [
            _leg(leg, [mark for mark in ordered if mark.leg == number])
            for number, leg in enumerate(view.legs.values())
        ],
        "marks": [(mark.at_ms, mark.kind) for mark in ordered if mark.leg < 0],
    }


def _leg(leg: LegView, marks: list[Mark]) -> dict[str, Any]:
    stretches = _stretches(leg, marks)
    goes_on = stretches[-1][0] if stretches and stretches[-1][2] is None else leg_state(leg)
    return {
        "purpose": leg.purpose,
        "role": leg.role,
        "medium": leg.media_type,
        "agent": leg.agent_id,
        "queue": leg.queue_id,
        "direction": leg.direction,
        "ended": leg.ended,
        "disconnect": leg.disconnect_type,
        "wrapup": leg.wrapup_code,
        "transferred": leg.transferred,
        "now": None if leg.ended else goes_on,
        "stretches": stretches,
        "marks": [(mark.at_ms, mark.kind) for mark in marks],
    }


def _stretches(leg: LegView, marks: list[Mark]) -> list[tuple[str, int, int | None]]:
    found: list[tuple[str, int, int | None]] = []
    state, since = "", 0
    for mark in marks:
        following = _state_after(leg, mark.kind, state)
        if following == state:
            continue
        if state and mark.at_ms > since:
            found.append((state, since, mark.at_ms))
        state, since = following, mark.at_ms
    if state:
        found.append((state, since, None))
    return found


def _state_after(leg: LegView, kind: str, before: str) -> str:
    if kind in _RINGS:
        return before or "ringing"
    if kind in _CONNECTED:
        return _connected(leg)
    if kind == "acw":
        return "acw"
    if kind == "disconnect":
        return before if before == "acw" else ""
    if kind == "acw_end":
        return ""
    return _AFTER.get(kind, before)


def _connected(leg: LegView) -> str:
    if leg.role is not None:
        return DOING[leg.role]
    if leg.purpose in STAFF:
        return "talking"
    return {"acd": "waiting", "ivr": "ivr"}.get(leg.purpose or "", "connected")
