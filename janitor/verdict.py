"""What Genesys' answers about a suspect mean, and which events say so. Pure.

The events of an end are read from the conversation itself by the normaliser, so that they carry
the ids and times that the frames would have given them. Only where Genesys no longer has it are
they made from what the tracker knew.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mirror.event import Event, EventType, Reason, identity
from mirror.gaps import rfc3339
from mirror.genesys.shapes import AnalyticsConversation
from mirror.normaliser import Normaliser
from mirror.normaliser.times import instant
from mirror.tracked import Tracked, TrackedLeg

MAX_POSITIONS = 16

Suspicion = Literal["active", "over", "unknown"]


class _Ending(msgspec.Struct, rename="camel"):
    """The field of a REST conversation that says whether it is over."""

    end_time: str | None = None


_ending = msgspec.json.Decoder(_Ending)


def suspicion(details: AnalyticsConversation | None) -> Suspicion:
    """What analytics, which lags, says of a conversation."""
    if details is None:
        return "unknown"
    return "over" if details.conversation_end else "active"


def read(
    raw: bytes, conversation_id: str, tracked: Tracked, normaliser: Normaliser, now_ms: int
) -> list[Event]:
    """The events that the mirror lacks of a conversation that `raw` shows as over; else none.

    `raw` is the body of `GET /api/v2/conversations/{id}` and `normaliser` one that does not know
    the conversation. Over means: `endTime` is set, or every leg has ended (docs/protocol.md,
    "Ends"). The last event is `finalize`.
    """
    received_at = rfc3339(now_ms)
    reading = normaliser.conversation(raw, received_at, 0.0, origin="janitor")
    end = next((event for event in reading.events if event.event_type == "end"), None)
    if end is not None:
        names = _names(reading.events)
        # A leg that Genesys does not show any more (a flat shape's, a merged participant's).
        ended_at = None if end.estimated else end.occurred_at
        stray = [
            _disconnect(conversation_id, leg, ended_at, received_at)
            for leg in tracked.legs
            if leg.name not in names
        ]
        *before, last = missing(reading.events, tracked)
        return [
            *before,
            *stray,
            last,
            _finalize(conversation_id, names, "ended", received_at, end),
        ]
    try:
        ended_at = instant(_ending.decode(raw).end_time)
    except msgspec.DecodeError:
        return []
    if reading.kind != "conversation" or ended_at is None:
        return []
    return closing(conversation_id, tracked, "ended", now_ms, ended_at)


def missing(events: list[Event], tracked: Tracked) -> list[Event]:
    """Those of `events` that the tracker has not seen, as far as it can tell.

    What is repeated all the same is repeated under its own id, and does no harm.
    """
    positions = {
        _leg_of(event): position for event in events if (position := _position(event)) is not None
    }
    answered = {leg.name for leg in tracked.legs if leg.answered}
    open_legs = {leg.name for leg in tracked.legs}
    lacking = []
    for event in events:
        if event.origin == "snapshot" or event.event_type == "start":
            continue
        name = f"{event.participant_id} {event.media_type} {positions.get(_leg_of(event), 0)}"
        after_call = event.event_type in {"acw", "wrapup"}
        if name in tracked.over and not after_call:
            continue
        if name in answered and event.event_type == "answer":
            continue
        if name in open_legs and event.event_type in {"alert", "dial"}:
            continue
        lacking.append(event)
    return lacking


def closing(
    conversation_id: str,
    tracked: Tracked,
    reason: Reason,
    now_ms: int,
    ended_at: str | None = None,
) -> list[Event]:
    """The missing `disconnect`s and `end` of a conversation, and its `finalize`.

    From what the tracker knows. Without `ended_at` their time is ours.
    """
    received_at = rfc3339(now_ms)
    events = [_disconnect(conversation_id, leg, ended_at, received_at) for leg in tracked.legs]
    names = sorted([*tracked.over, *(leg.name for leg in tracked.legs)])
    end = _whole(conversation_id, "end", names, ended_at, received_at)
    return [*events, end, _finalize(conversation_id, names, reason, received_at, end)]


def _disconnect(
    conversation_id: str, leg: TrackedLeg, ended_at: str | None, received_at: str
) -> Event:
    return Event(
        event_id=identity(conversation_id, *_parts(leg.participant_id, leg.medium, leg.position)),
        event_type="disconnect",
        conversation_id=conversation_id,
        participant_id=leg.participant_id,
        media_type=leg.medium,
        communication_id=leg.communication_id,
        purpose=leg.purpose,
        agent_id=leg.agent_id,
        queue_id=leg.queue_id,
        direction=leg.direction,
        state="disconnected",
        occurred_at=ended_at or received_at,
        estimated=ended_at is None,
        received_at=received_at,
        origin="janitor",
    )


def _finalize(
    conversation_id: str, names: list[str], reason: Reason, received_at: str, end: Event
) -> Event:
    """`finalize` at the time of the end; a conversation that went on finalises anew."""
    ended_at = None if end.estimated else end.occurred_at
    event = _whole(conversation_id, "finalize", names, ended_at, received_at)
    event.reason = reason
    return event


def _whole(
    conversation_id: str,
    event_type: EventType,
    names: list[str],
    occurred_at: str | None,
    received_at: str,
) -> Event:
    return Event(
        event_id=identity(conversation_id, event_type, *names),
        event_type=event_type,
        conversation_id=conversation_id,
        state="ended",
        occurred_at=occurred_at or received_at,
        estimated=occurred_at is None,
        received_at=received_at,
        origin="janitor",
    )


def _names(events: list[Event]) -> list[str]:
    """The names of all legs that ended in `events`."""
    return sorted(
        f"{event.participant_id} {event.media_type} {position}"
        for event in events
        if event.event_type == "disconnect" and (position := _position(event)) is not None
    )


def _position(event: Event) -> int | None:
    """Which of its participant's legs of one medium a disconnect ends; null for other events."""
    if event.event_type != "disconnect":
        return None
    for position in range(MAX_POSITIONS):
        parts = _parts(event.participant_id or "", event.media_type or "", position)
        if identity(event.conversation_id, *parts) == event.event_id:
            return position
    return None


def _parts(participant_id: str, medium: str, position: int) -> tuple[str, ...]:
    """What names a leg's disconnect (`mirror.normaliser.report`)."""
    leg = (participant_id, medium, str(position)) if position else (participant_id, medium)
    return (*leg, "disconnect", "")


def _leg_of(event: Event) -> tuple[str | None, ...]:
    return (event.participant_id, event.media_type, event.communication_id)
