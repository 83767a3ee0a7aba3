"""Turns Genesys' answers about a suspect into events. Pure.

The normaliser reads the events of an end from the conversation itself, so they have the ids and
times that frames would have given them. Only if Genesys no longer has the conversation, they are
made from the tracker's record.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from janitor.segments import read_segments
from mirror.conversation.ending import disconnect, ending, finalize
from mirror.conversation.event import AFTER_CALL, STAFF, Event, Reason
from mirror.conversation.legs import leg_name
from mirror.conversation.normaliser import Normaliser
from mirror.conversation.times import instant, show_ms
from mirror.fleet.tracked import Tracked
from mirror.genesys.shapes import AnalyticsConversation

Suspicion = Literal["active", "silent", "over", "unknown"]

# Problems of a body that was read as a whole.
_HIDES_NO_LEG = frozenset({"UnknownMedium", "InvalidTime"})


class _Ending(msgspec.Struct, rename="camel"):
    """The field of a REST conversation that shows its end."""

    end_time: str | None = None


_ending = msgspec.json.Decoder(_Ending)
# The parties of a conversation: what queues and flows show says nothing of its life.
_PARTIES = frozenset({*STAFF, "customer", "external"})


def suspicion(details: AnalyticsConversation | None, normaliser: Normaliser) -> Suspicion:
    """Analytics' answer, which lags, on a conversation that `normaliser` does not know.

    `conversationEnd` waits for after-call work, in which an agent may be stuck for days. So a
    conversation without a live leg is over (docs/protocol.md, "Ends"). It is `silent` if no segment
    of its parties is open although no end is shown: analytics may have lost the end, or be between
    two segments.
    """
    if details is None:
        return "unknown"
    if details.conversation_end:
        return "over"
    reading = normaliser.analytics(msgspec.json.encode(details), show_ms(0), 0.0)
    if any(event.event_type == "end" for event in reading.events):
        return "over"
    return "silent" if _is_silent(details) else "active"


def _is_silent(details: AnalyticsConversation) -> bool:
    """Whether the parties of a conversation have segments, and each of them has an end."""
    try:
        segments = [
            segment
            for purpose, segment in read_segments(details)
            if purpose in _PARTIES and (segment.segment_type or "").lower() != "wrapup"
        ]
    except msgspec.DecodeError:
        return False
    return bool(segments) and all(segment.segment_end for segment in segments)


def read(
    raw: bytes, conversation_id: str, tracked: Tracked, normaliser: Normaliser, now_ms: int
) -> list[Event]:
    """The missing events of a conversation if `raw` shows it as over; else none.

    `raw` is the body of `GET /api/v2/conversations/{id}`; `normaliser` must not know the
    conversation. Over means: `endTime` is set, or every leg has ended (docs/protocol.md, "Ends").
    If a part of the body cannot be read, only `endTime` counts, because that part may be a leg that
    lives. The last event is `finalize`.
    """
    reading = normaliser.conversation(raw, show_ms(now_ms), 0.0, origin="janitor")
    is_whole = reading.problem is None or reading.problem.error in _HIDES_NO_LEG
    try:
        ended_at = instant(_ending.decode(raw).end_time)
    except msgspec.DecodeError:
        ended_at = None
    if reading.kind != "conversation" or not (is_whole or ended_at):
        return []
    told = _finished(reading.events, conversation_id, tracked, "ended", now_ms)
    if told or not is_whole or ended_at is None:
        return told
    return closing(conversation_id, tracked, "ended", now_ms, ended_at)


def read_analytics(
    details: AnalyticsConversation,
    tracked: Tracked,
    normaliser: Normaliser,
    now_ms: int,
    *,
    by_legs: bool = True,
) -> list[Event]:
    """The same for a conversation that analytics shows as over and REST has forgotten.

    Not `by_legs` if analytics names legs differently from REST: then only the end counts.
    """
    name = details.conversation_id
    if by_legs:
        reading = normaliser.analytics(msgspec.json.encode(details), show_ms(now_ms), 0.0)
        for event in reading.events:
            if event.origin != "snapshot":
                event.origin = "janitor"
        told = _finished(reading.events, name, tracked, "not_found", now_ms)
        if told:
            return told
    ended_at = instant(details.conversation_end) if details.conversation_end else None
    return closing(name, tracked, "not_found", now_ms, ended_at)


def missing(events: list[Event], tracked: Tracked) -> list[Event]:
    """The `events` that the tracker has not seen, as far as its record shows.

    Other repeats have their own ids and do no harm.
    """
    over = set(tracked.over)
    answered = {leg.name for leg in tracked.legs if leg.answered}
    open_legs = {leg.name for leg in tracked.legs}
    lacking = []
    for event in events:
        if event.origin == "snapshot" or event.event_type == "start":
            continue
        name = leg_name(event)
        if name in over and event.event_type not in AFTER_CALL:
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

    Made from the tracker's record. Without `ended_at` their time is ours.
    """
    return ending(
        conversation_id,
        tracked.legs,
        tracked.over,
        received_at=show_ms(now_ms),
        reason=reason,
        ended_at=ended_at,
    )


def _finished(
    events: list[Event], conversation_id: str, tracked: Tracked, reason: Reason, now_ms: int
) -> list[Event]:
    """The missing events of a reading with an `end`, then `finalize`; none without an `end`."""
    end = next((event for event in events if event.event_type == "end"), None)
    if end is None:
        return []
    received_at = show_ms(now_ms)
    shown = dict.fromkeys(leg_name(event) for event in events if event.event_type == "disconnect")
    ended_at = None if end.estimated else end.occurred_at
    # A leg that Genesys does not show any more (a merged participant's).
    stray = [
        disconnect(conversation_id, leg, received_at=received_at, ended_at=ended_at)
        for leg in tracked.legs
        if leg.name not in shown
    ]
    before = [event for event in missing(events, tracked) if event is not end]
    final = finalize(
        conversation_id, shown, received_at=received_at, reason=reason, ended_at=ended_at
    )
    return [*before, *stray, end, final]
