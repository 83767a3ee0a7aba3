"""Folds an event into the tracker's record of its conversation. Pure.

Events repeat (two replicas, restarts, back-fill), and repeats can come late. So the rules are those
of docs/event.md for consumers: the end of a leg is final, a leg that was never seen opens its
conversation (again), and an `end` counts only if it knows all open legs.

A janitor that dies between its `end` and its `finalize` must find the conversation again. So after
a janitor's `end` the conversation stays active until its `finalize`.

Participant and communication, which every event of a leg carries, name the leg. The view of
consumers is left to `mirror.conversation.fold`.

The record is bounded, whatever the conversation's age: of a message thread with fifty thousand legs
only the latest are kept, and an event of it costs as much as an event of a call.
"""

from __future__ import annotations

from typing import Final, get_args

import msgspec

from mirror.conversation import legs
from mirror.conversation.event import AFTER_CALL, Role
from mirror.conversation.fold import ENDED_STATES
from mirror.conversation.times import known_ms
from mirror.fleet.tracked import Tracked, TrackedLeg

# The names of this many ended legs are kept. The price of dropping older ones: only the janitor,
# not the tracker, can name the `end`, and a late repeat opens its leg until the leg ends.
MAX_OVER: Final = 256
# The tracker knows at most this many open legs. Beyond that only the conversation's end counts.
MAX_OPEN: Final = 256
MAX_PLACES: Final = 64
# A repeat within this time is no news, and must cost no write.
HEARD_EVERY_MS: Final = 30_000

_OF_CONVERSATION: Final = frozenset({"start", "end", "finalize"})
_OVER: Final = frozenset({"disconnect", "transfer"})
_CONNECTED: Final = frozenset({"answer", "hold", "resume", "park", "unpark"})
_ROLES: Final[dict[str, Role]] = {role: role for role in get_args(Role)}
_UNANSWERED: Final = frozenset({"alert", "dial"})


class TrackedEvent(msgspec.Struct, gc=False):
    """The fields of an event that the tracker reads. Unknown ones are skipped by the decoder."""

    event_id: str
    event_type: str
    conversation_id: str
    occurred_at: str
    state: str
    received_at: str = ""
    participant_id: str | None = None
    media_type: str | None = None
    communication_id: str | None = None
    purpose: str | None = None
    agent_id: str | None = None
    queue_id: str | None = None
    role: str | None = None
    role_participant_id: str | None = None
    direction: str | None = None
    held: bool = False
    origin: str = "live"


def fold(tracked: Tracked | None, event: TrackedEvent) -> Tracked:
    """`tracked` after `event`, changed in place; a new record without `tracked`."""
    event_type = event.event_type
    if tracked is None:
        # A code may be saved long after the end, when the record is gone.
        is_over = event_type in AFTER_CALL
        tracked = Tracked(_at_ms(event.occurred_at), ended=is_over)
    if event_type in _OF_CONVERSATION:
        if event_type == "start":
            tracked.since_ms = min(tracked.since_ms, _at_ms(event.occurred_at))
        else:
            _end(tracked, event)
    elif event_type not in AFTER_CALL and event.participant_id and event.media_type:
        _leg(tracked, event, event.participant_id, event.media_type)
    return tracked


def end_id(conversation_id: str, tracked: Tracked) -> str:
    """The id of the `end` of all legs known so far."""
    return legs.end_id(conversation_id, [*tracked.over, *(leg.name for leg in tracked.legs)])


def _end(tracked: Tracked, event: TrackedEvent) -> None:
    if tracked.legs:
        # An end is either a late repeat, or it knows that these legs are over. A janitor has asked
        # Genesys: its end counts for all legs, whatever their names.
        if event.event_type == "end" and event.event_id != end_id(event.conversation_id, tracked):
            return
        for leg in list(tracked.legs):
            _over(tracked, leg)
    if event.event_type == "finalize" or event.origin != "janitor":
        tracked.ended = True


def _leg(tracked: Tracked, event: TrackedEvent, participant_id: str, medium: str) -> None:
    event_type = event.event_type
    leg = _find(tracked, participant_id, event.communication_id, medium)
    is_over = event_type in _OVER or event.state in ENDED_STATES
    if leg is None:
        if legs.leg_key(participant_id, event.communication_id, medium).name in tracked.over:
            return
        leg = TrackedLeg(participant_id, event.communication_id, medium)
        if len(tracked.legs) < MAX_OPEN:
            tracked.legs.append(leg)
        tracked.ended = False
    leg.purpose = event.purpose or leg.purpose
    leg.agent_id = event.agent_id or leg.agent_id
    leg.queue_id = event.queue_id or leg.queue_id
    leg.direction = event.direction or leg.direction
    if is_over:
        _over(tracked, leg)
        return
    heard_ms = _at_ms(event.received_at)
    if heard_ms >= tracked.heard_ms + HEARD_EVERY_MS:
        tracked.heard_ms = heard_ms - heard_ms % HEARD_EVERY_MS
    if event_type in _UNANSWERED and leg.answered:
        return  # a late repeat
    leg.role = _ROLES.get(event.role or "")
    leg.role_participant_id = event.role_participant_id
    leg.answered = leg.answered or event_type in _CONNECTED
    leg.state = event.state
    # The first reading of a leg may show it on hold. An `answer` does not end that hold.
    if event_type != "answer" or event.origin == "snapshot":
        leg.held = event.held


def _find(
    tracked: Tracked, participant_id: str, communication_id: str | None, medium: str
) -> TrackedLeg | None:
    for leg in tracked.legs:
        if (
            leg.communication_id == communication_id
            and leg.participant_id == participant_id
            and (communication_id is not None or leg.medium == medium)
        ):
            return leg
    return None


def _over(tracked: Tracked, leg: TrackedLeg) -> None:
    if leg in tracked.legs:
        tracked.legs.remove(leg)
    tracked.over.append(leg.name)
    if len(tracked.over) > MAX_OVER:
        del tracked.over[0]
        tracked.forgotten += 1
    for place in (leg.queue_id, leg.agent_id):
        if place is not None and place not in tracked.places:
            tracked.places.append(place)
    del tracked.places[:-MAX_PLACES]


def _at_ms(text: str) -> int:
    """Epoch milliseconds of an event's time; 0 if invalid (an event of a newer schema)."""
    return known_ms(text) or 0
