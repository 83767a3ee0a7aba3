"""What Genesys' answers about a suspect mean, and which events say so. Pure.

The events of an end are read from the conversation itself by the normaliser, so that they carry
the ids and times that the frames would have given them. Only where Genesys no longer has it are
they made from what the tracker knew.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mirror.conversation.event import Event, Reason
from mirror.conversation.normaliser import Normaliser
from mirror.conversation.normaliser.ending import disconnect, ending, finalize
from mirror.conversation.normaliser.memory import LegKey
from mirror.conversation.normaliser.report import leg_event_id, names
from mirror.conversation.times import instant
from mirror.gaps import rfc3339
from mirror.genesys.shapes import AnalyticsConversation
from mirror.tracked import Tracked

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
        legs = _ended(reading.events)
        shown = names(legs)
        ended_at = None if end.estimated else end.occurred_at
        # A leg that Genesys does not show any more (a flat shape's, a merged participant's).
        stray = [
            disconnect(conversation_id, leg, received_at=received_at, ended_at=ended_at)
            for leg in tracked.legs
            if leg.name not in shown
        ]
        *before, last = missing(reading.events, tracked)
        final = finalize(
            conversation_id, legs, received_at=received_at, reason="ended", ended_at=ended_at
        )
        return [*before, *stray, last, final]
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
    return ending(
        conversation_id,
        tracked.legs,
        tracked.over,
        received_at=rfc3339(now_ms),
        reason=reason,
        ended_at=ended_at,
    )


def _ended(events: list[Event]) -> list[LegKey]:
    """All legs that ended in `events`."""
    return [
        (event.participant_id or "", event.media_type or "", position)
        for event in events
        if (position := _position(event)) is not None
    ]


def _position(event: Event) -> int | None:
    """Which of its participant's legs of one medium a disconnect ends; null for other events."""
    if event.event_type != "disconnect":
        return None
    for position in range(MAX_POSITIONS):
        key = (event.participant_id or "", event.media_type or "", position)
        if leg_event_id(event.conversation_id, key, "disconnect") == event.event_id:
            return position
    return None


def _leg_of(event: Event) -> tuple[str | None, ...]:
    return (event.participant_id, event.media_type, event.communication_id)
