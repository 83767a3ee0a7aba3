"""What a conversation is after its next event. Pure.

Events repeat (two replicas, restarts, back-fill) and repeats can come late, so the rules are those
of the order in CONTRACT.md, section 6: the end of a leg is sticky, a leg that was never seen opens
its conversation (again), and an `end` counts only where no leg is open that it does not know.

A janitor that dies between its `end` and its `finalize` must find the conversation again, so after
a janitor's `end` it stays active until its `finalize`.

Events carry no position of a leg among its participant's legs of one medium; their ids do. A leg
that is new is therefore named by comparing its event's id with what each position would give.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from mirror.conversation.event import identity
from mirror.conversation.fold import ENDED_STATES
from mirror.tracked import Tracked, TrackedLeg

MAX_POSITIONS: Final = 16
# A conversation of thousands of legs is a conference gone wrong: what is oldest is let go, at the
# price of an `end` that the janitor, not the tracker, can name.
MAX_OVER: Final = 1_000

_OF_CONVERSATION: Final = frozenset({"start", "end", "finalize"})
# These belong to a participant; they neither open nor end a leg.
_AFTER_CALL: Final = frozenset({"acw", "wrapup"})
_OVER: Final = frozenset({"disconnect", "transfer"})
_CONNECTED: Final = frozenset({"answer", "hold", "resume", "park", "unpark"})
_UNANSWERED: Final = frozenset({"alert", "dial"})


class Seen(msgspec.Struct, gc=False):
    """The fields of an event that the tracker reads. Unknown ones are skipped by the decoder."""

    event_id: str
    event_type: str
    conversation_id: str
    occurred_at: str
    state: str
    participant_id: str | None = None
    media_type: str | None = None
    communication_id: str | None = None
    purpose: str | None = None
    agent_id: str | None = None
    queue_id: str | None = None
    direction: str | None = None
    held: bool = False
    hold_started_at: str | None = None
    origin: str = "live"


def fold(tracked: Tracked | None, event: Seen) -> Tracked:
    """`tracked` after `event`; changed in place where it was given."""
    if tracked is None:
        tracked = Tracked(epoch_ms(event.occurred_at))
    event_type = event.event_type
    if event_type in _OF_CONVERSATION:
        if event_type == "start":
            tracked.since_ms = min(tracked.since_ms, epoch_ms(event.occurred_at))
        else:
            _end(tracked, event)
    elif event_type not in _AFTER_CALL and event.participant_id and event.media_type:
        _leg(tracked, event, event.participant_id, event.media_type)
    return tracked


def end_id(conversation_id: str, tracked: Tracked) -> str:
    """The id of the `end` that all legs known by now make."""
    names = sorted([*tracked.over, *(leg.name for leg in tracked.legs)])
    return identity(conversation_id, "end", *names)


def epoch_ms(text: str) -> int:
    """Epoch milliseconds of an event's time; 0 where it is none (an event of a newer schema)."""
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        return 0


def _end(tracked: Tracked, event: Seen) -> None:
    if tracked.legs:
        # An end is either a late repeat of an earlier one, or knows these legs to be over. A
        # janitor has asked Genesys: its word holds for all legs, whatever they are called there.
        if event.event_type == "end" and event.event_id != end_id(event.conversation_id, tracked):
            return
        for leg in list(tracked.legs):
            _over(tracked, leg)
    if event.event_type == "finalize" or event.origin != "janitor":
        tracked.ended = True


def _leg(tracked: Tracked, event: Seen, participant_id: str, medium: str) -> None:
    leg = _find(tracked, event, participant_id, medium)
    event_type = event.event_type
    if leg is None:
        position = _position(event, participant_id, medium)
        name = f"{participant_id} {medium} {position}"
        if name in tracked.over:
            return
        leg = next((known for known in tracked.legs if known.name == name), None)
        if leg is None:
            leg = TrackedLeg(participant_id, medium, position)
            tracked.legs.append(leg)
            tracked.ended = False
    if event_type in _OVER or event.state in ENDED_STATES:
        _over(tracked, leg)
        return
    leg.communication_id = event.communication_id or leg.communication_id
    leg.purpose = event.purpose or leg.purpose
    leg.agent_id = event.agent_id or leg.agent_id
    leg.queue_id = event.queue_id or leg.queue_id
    leg.direction = event.direction or leg.direction
    if event_type in _UNANSWERED and leg.answered:
        return  # a late repeat
    leg.answered = leg.answered or event_type in _CONNECTED
    leg.state = event.state
    # A first reading tells of a hold that nobody witnessed; an answer does not end one.
    if event_type != "answer" or event.origin == "snapshot":
        leg.held = event.held


def _find(tracked: Tracked, event: Seen, participant_id: str, medium: str) -> TrackedLeg | None:
    """The open leg that an event surely belongs to, without computing an id."""
    communication_id = event.communication_id
    for leg in tracked.legs:
        if leg.participant_id != participant_id or leg.medium != medium:
            continue
        if communication_id is not None:
            if leg.communication_id == communication_id:
                return leg
        elif leg.position == 0:
            return leg  # the flat shape shows the first leg and no communication id
    return None


def _position(event: Seen, participant_id: str, medium: str) -> int:
    which = _which(event)
    for position in range(MAX_POSITIONS):
        leg = (participant_id, medium, str(position)) if position else (participant_id, medium)
        if identity(event.conversation_id, *leg, event.event_type, which) == event.event_id:
            return position
    return 0  # a snapshot reading, whose id is its own


def _which(event: Seen) -> str:
    """What tells apart the transitions of which a leg can have several."""
    if event.event_type in {"hold", "resume"}:
        return event.hold_started_at or "#1"
    if event.event_type in {"park", "unpark"}:
        return event.occurred_at
    return ""


def _over(tracked: Tracked, leg: TrackedLeg) -> None:
    tracked.legs.remove(leg)
    tracked.over.append(leg.name)
    if len(tracked.over) > MAX_OVER:
        del tracked.over[0]
