"""Tables and JSON documents of `mirror conversations`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from console.events import SHORT_ID
from console.render import NARROW, Column, age, facts, joined, styled, table, wrapped
from mirror.base.units import counted
from mirror.conversation.course import Course, LegCourse, held_seconds
from mirror.conversation.event import STAFF
from mirror.conversation.times import show_ms

if TYPE_CHECKING:
    from console.names import Called
    from mirror.fleet.tracked import TrackedLegView, TrackedView


def document(view: TrackedView) -> dict[str, object]:
    """One conversation in the list of `mirror conversations --json`. Times as in events."""
    return {
        "id": view.id,
        "state": "active" if view.active else "ended",
        "started_at": show_ms(view.since_ms),
        "verification_due_at": _due_at(view),
        "legs": view.legs,
        "legs_over": view.legs_over,
    }


def course_document(found: Course, view: TrackedView | None) -> dict[str, object]:
    """The conversation of `mirror conversations ID --json`. Times as in events.

    `view` is what the tracker knows of it, None if it does not know it.
    """
    return msgspec.structs.asdict(found) | {
        "verification_due_at": None if view is None else _due_at(view)
    }


def _due_at(view: TrackedView) -> str | None:
    return None if view.due_ms is None else show_ms(view.due_ms)


def tracked_course(view: TrackedView) -> Course:
    """The course from the tracker alone: open legs, without the times of their steps."""
    return Course(
        id=view.id,
        state="active" if view.active else "ended",
        started_at=show_ms(view.since_ms),
        ended_at=None,
        finalized=None,
        linked_conversation_id=None,
        legs=[
            LegCourse(
                participant_id=leg.participant_id,
                communication_id=None,
                media_type=leg.media_type,
                purpose=leg.purpose,
                role=leg.role,  # type: ignore[arg-type]  # the tracker keeps the event's word
                agent_id=leg.agent_id,
                queue_id=leg.queue_id,
                direction=None,
                state=leg.state,
                held=leg.held,
                ended=False,
            )
            for leg in view.legs
        ],
        events=0,
    )


def course_text(found: Course, due_in_ms: int | None, now: str) -> str:
    """The output of `mirror conversations ID`: a line per leg, then the steps of each.

    `due_in_ms` is `TrackedView.due_in_ms`. `now` is a time in the form of events; ages and
    today's date follow from it.
    """

    def label(name: str | None, entity_id: str | None) -> str:
        return name or (entity_id or "-")[:SHORT_ID]

    def state(leg: LegCourse) -> str:
        word = leg.disconnect_type if leg.ended and leg.disconnect_type else leg.state
        return "held" if leg.held else f"ended ({word})" if leg.ended else word

    def holds(leg: LegCourse) -> str:
        return f"{len(leg.holds)}, {held_seconds(leg, now):.0f} s" if leg.holds else "-"

    def wrapup(leg: LegCourse) -> str:
        return leg.wrapup_code or ("working" if leg.acw == "working" else "-")

    known = [styled(found.state, bold=True)]
    if found.started_at:
        known.append(styled(f"since {_when(found.started_at, now, 'seconds')}"))
    if found.ended_at:
        known.append(styled(f"ended {_when(found.ended_at, now, 'seconds')}"))
    if found.finalized:
        known.append(styled(f"finalized by a janitor ({found.finalized})"))
    if due_in_ms is not None:
        known.append(joined(" ", ("verification due", _due(due_in_ms))))
    if found.linked_conversation_id:
        known.append(styled(f"linked to {found.linked_conversation_id}"))
    known.append(styled(counted(found.events, "event")))
    legs = table(
        (
            "LEG",
            Column("MEDIUM", NARROW, drop=1),
            Column("WHO", NARROW),
            Column("QUEUE", NARROW),
            Column("AGENT", NARROW),
            Column("STATE", 10),
            "SINCE",
            Column("HOLDS", drop=3),
            Column("WRAP-UP", NARROW, drop=2),
        ),
        (
            (
                str(number),
                leg.media_type,
                f"{leg.purpose or '-'}{f' ({leg.role})' if leg.role else ''}",
                label(leg.queue_name, leg.queue_id),
                label(leg.agent_name, leg.agent_id),
                state(leg),
                _when(leg.since, now, "seconds") if leg.since else "-",
                holds(leg),
                wrapup(leg),
            )
            for number, leg in enumerate(found.legs, 1)
        ),
        empty="No leg is known.",
    )
    steps = [
        wrapped(
            f"{number:>3}  ",
            [
                f"{_when(step.at, now)}{'~' if step.estimated else ''} {step.event_type}"
                + (f" ({step.origin})" if step.origin != "live" else "")
                for step in leg.steps
            ],
        )
        for number, leg in enumerate(found.legs, 1)
        if leg.steps
    ]
    parts = [joined(" ", ("Conversation", found.id)), facts(known), "", legs]
    return "\n".join([*parts, *([""] if steps else []), *steps])


def _when(time: str, now: str, precision: str = "milliseconds") -> str:
    """A time, without the date if that is today's."""
    clock = time[11:] if precision == "milliseconds" else f"{time[11:19]}Z"
    return clock if time[:10] == now[:10] else f"{time[:10]} {clock}"


def conversations_text(
    found: list[TrackedView], called: Called, *, is_filtered: bool = False
) -> str:
    """The output of `mirror conversations`: a line for each conversation, with its open legs."""

    def queue(view: TrackedView) -> str:
        ids = [leg.queue_id for leg in view.legs if leg.queue_id and not leg.role]
        return called.name("queues", ids[-1]) or ids[-1][:SHORT_ID] if ids else "-"

    def agent(view: TrackedView) -> str:
        ids = dict.fromkeys(leg.agent_id for leg in view.legs if leg.agent_id and not leg.role)
        return ", ".join(called.name("users", agent) or agent[:SHORT_ID] for agent in ids) or "-"

    def legs(view: TrackedView) -> str:
        # Serving legs first: a narrow terminal has room only for them.
        ordered = sorted(view.legs, key=lambda leg: (leg.purpose not in STAFF, bool(leg.role)))
        return ", ".join(map(_leg_text, ordered)) or "-"

    return table(
        (
            Column("CONVERSATION", NARROW),
            "DUE",
            "LEGS",
            Column("MEDIUM", NARROW, drop=1),
            Column("QUEUE", NARROW),
            Column("AGENT", NARROW),
            Column("OPEN LEGS", 2 * NARROW),
        ),
        (
            (
                view.id,
                _due(view.due_in_ms),
                str(len(view.legs) + view.legs_over),
                ", ".join(dict.fromkeys(leg.media_type for leg in view.legs)) or "-",
                queue(view),
                agent(view),
                legs(view),
            )
            for view in found
        ),
        empty="No active conversation fits." if is_filtered else "No conversation is active.",
    )


def _leg_text(leg: TrackedLegView) -> str:
    """An open leg: its purpose (or its role, if it does not serve) and its state."""
    return f"{leg.role or leg.purpose} {'held' if leg.held else leg.state}"


def _due(due_in_ms: int | None) -> str:
    if due_in_ms is None:
        return "ended"
    if due_in_ms < 0:
        return styled(f"{age(-due_in_ms)} ago", fg="yellow")
    return f"in {age(due_in_ms)}"
