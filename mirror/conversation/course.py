"""The course of one conversation: its legs with every step of each, for people. Pure.

`course` folds the events as `mirror.conversation.fold` does. Beside the state of each leg it keeps
the steps to that state: each transition once, in the order of a leg's life, and within a part of it
in the order of their times. Our time of a ring may be later than Genesys' time of the answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal

import msgspec

from mirror.conversation.event import RANK, Event, Role
from mirror.conversation.fold import LegView, find_leg, fold

_ANSWERED: Final = RANK["answer"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One transition. `estimated`: its time is ours. The `origin` of a reading is `snapshot`."""

    at: str
    event_type: str
    estimated: bool
    origin: str


class Hold(msgspec.Struct, frozen=True):
    """One hold; `until` is None while it lasts, or if its end is unknown."""

    since: str
    until: str | None


class LegCourse(msgspec.Struct, kw_only=True):
    """One leg: its state, since when, and the steps to it. Times as in events."""

    participant_id: str
    communication_id: str | None
    media_type: str
    purpose: str | None
    role: Role | None
    agent_id: str | None
    queue_id: str | None
    direction: str | None
    state: str
    held: bool
    ended: bool
    since: str | None = None
    answered_at: str | None = None
    ended_at: str | None = None
    disconnect_type: str | None = None
    acw: Literal["none", "working", "done"] = "none"
    wrapup_code: str | None = None
    holds: list[Hold] = []
    steps: list[Step] = []
    agent_name: str | None = None
    queue_name: str | None = None


class Course(msgspec.Struct, kw_only=True):
    """One conversation; `events` counts each once."""

    id: str
    state: Literal["active", "ended"]
    started_at: str | None
    ended_at: str | None
    finalized: str | None
    linked_conversation_id: str | None
    legs: list[LegCourse]
    events: int


def course(events: Iterable[Event]) -> Course | None:
    """The course of the conversation of `events`, in their order; None without events."""
    view = None
    steps: dict[str, dict[str, Step]] = {}
    holds: dict[str, dict[str, str | None]] = {}
    for event in events:
        view = fold(view, event)
        if event.participant_id is None or event.media_type is None:
            continue
        leg = find_leg(view, event.participant_id, event.communication_id, event.media_type)
        name = leg.key.name
        steps.setdefault(name, {}).setdefault(
            event.event_id,
            Step(
                at=event.occurred_at,
                event_type=event.event_type,
                estimated=event.estimated,
                origin=event.origin,
            ),
        )
        _hold(holds.setdefault(name, {}), event)
    if view is None:
        return None
    return Course(
        id=view.id,
        state=view.state,
        started_at=view.started_at,
        ended_at=view.ended_at if view.state == "ended" else None,
        finalized=view.finalized,
        linked_conversation_id=view.linked_conversation_id,
        legs=[
            _leg(leg, list(steps.get(name, {}).values()), holds.get(name, {}))
            for name, leg in view.legs.items()
        ],
        events=len(view.seen),
    )


def _hold(holds: dict[str, str | None], event: Event) -> None:
    since = event.hold_started_at
    if event.event_type == "hold" and since:
        holds.setdefault(since, None)
    elif event.event_type == "resume" and since:
        holds[since] = holds.get(since) or event.occurred_at


def _leg(leg: LegView, steps: list[Step], holds: dict[str, str | None]) -> LegCourse:
    steps.sort(key=lambda step: (_part(step), step.at, RANK[step.event_type]))
    rings = [step.at for step in steps if RANK[step.event_type] < _ANSWERED]
    moves = [step.at for step in steps if _part(step) == _ANSWERED]
    since = leg.ended_at or leg.hold_started_at or max(moves or rings, default=None)
    return LegCourse(
        participant_id=leg.participant_id,
        communication_id=leg.communication_id,
        media_type=leg.media_type,
        purpose=leg.purpose,
        role=leg.role,
        agent_id=leg.agent_id,
        queue_id=leg.queue_id,
        direction=leg.direction,
        state=leg.state,
        held=leg.held,
        ended=leg.ended,
        since=since,
        answered_at=leg.answered_at,
        ended_at=leg.ended_at,
        disconnect_type=leg.disconnect_type,
        acw=leg.acw,
        wrapup_code=leg.wrapup_code,
        holds=[Hold(since, until or leg.ended_at) for since, until in sorted(holds.items())],
        steps=steps,
    )


def _part(step: Step) -> int:
    """The rank of the part of a leg's life to which a step belongs.

    Holds and parks repeat, so only times order the steps after the answer.
    """
    rank = RANK[step.event_type]
    return _ANSWERED if _ANSWERED <= rank <= RANK["hold"] else rank


def held_seconds(leg: LegCourse, now: str) -> float:
    """Seconds that the leg was on hold in all; a hold that still lasts counts until `now`."""
    return sum(
        max(0.0, (_moment(hold.until or now) - _moment(hold.since)).total_seconds())
        for hold in leg.holds
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
