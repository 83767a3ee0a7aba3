"""The consumer's side: from events, repeated and reordered as they may be, to how things stand.

`fold` takes one event into a view of its conversation. Any number of repeats, of replicas that lag
behind each other, and of back-fill give the same view, as long as each transition is among the
events (CONTRACT.md, section 6). The rules

- The end of a leg is sticky. Before it, a leg only goes forward: `dial`/`alert`, `answer`, then
  holds by `hold_started_at` and parks by `occurred_at`. An event that lies behind is history.
- A `snapshot` reading is how a leg was when it was read: it corrects whether the leg is held or
  parked, whatever came before, but for an end and for what was read after it. The latest hold or
  park, repeated, is a later word if it was read later, and then counts again, a hold also if its
  resume was told before that reading; all other repeats count for nothing.
- A hold is over with its resume, or with a park or unpark that Genesys dated after its start.
- A conversation is over when an `end` was seen and no leg of it is live, or with `finalize`. A leg
  that is seen live after that makes it active again.

Pure: no clock, no I/O. A view is changed in place and given back.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from mirror.conversation.event import RANK, Event

ENDED_STATES: Final = frozenset({"disconnected", "terminated"})
_DESCRIPTIVE: Final = ("communication_id", "purpose", "agent_id", "queue_id", "direction")
_COUNT_AGAIN: Final = frozenset({"hold", "resume", "park", "unpark"})
_RANK_OF_ANSWER: Final = RANK["answer"]
_HELD, _RESUMED = 0, 1

Place = tuple[str, int]  # a time, and whether it began or ended something then


class LegView(msgspec.Struct, kw_only=True):
    """One leg as its events tell. Times are those of the events; null where none told.

    `rank` is that of the furthest event (`event.RANK`). The fields behind it are the fold's
    own.
    """

    participant_id: str
    media_type: str
    communication_id: str | None = None
    purpose: str | None = None
    agent_id: str | None = None
    queue_id: str | None = None
    direction: str | None = None
    state: str = "none"
    held: bool = False
    hold_started_at: str | None = None
    answered_at: str | None = None
    ended_at: str | None = None
    ended: bool = False
    transferred: bool = False
    disconnect_type: str | None = None
    acw_started_at: str | None = None
    wrapup_code: str | None = None
    rank: int = 0
    last_hold: Place = ("", 0)
    last_park: Place = ("", 0)
    told_at: str = ""  # when the last word on whether it is held was read


class ConversationView(msgspec.Struct, kw_only=True):
    """One conversation as its events tell. `legs` are in the order in which they were first seen.

    `seen` has the ids of all its events but `snapshot` readings, which never repeat.
    """

    id: str
    state: Literal["active", "ended"] = "active"
    started_at: str | None = None
    ended_at: str | None = None
    finalized: str | None = None
    legs: list[LegView] = msgspec.field(default_factory=list)
    seen: set[str] = msgspec.field(default_factory=set)


def fold(view: ConversationView | None, event: Event) -> ConversationView:
    """The view after `event`; without a view, that of a conversation that begins with it.

    All events of one conversation, in the order of their partition.
    """
    if view is None:
        view = ConversationView(id=event.conversation_id)
    repeated = is_repeat(view, event)
    if event.origin != "snapshot":
        view.seen.add(event.event_id)
    if repeated and event.event_type not in _COUNT_AGAIN:
        return view
    if event.participant_id is None or event.media_type is None:
        _conversation(view, event)
    else:
        leg = _find(view, event, event.participant_id, event.media_type)
        if not repeated or event.received_at >= leg.told_at:
            _leg(leg, event)
    live = any(not leg.ended for leg in view.legs)
    view.state = "ended" if view.ended_at is not None and not live else "active"
    return view


def is_repeat(view: ConversationView | None, event: Event) -> bool:
    """Whether `event` was folded into `view` before."""
    return view is not None and event.event_id in view.seen


def _conversation(view: ConversationView, event: Event) -> None:
    if event.event_type == "start":
        view.started_at = event.occurred_at
        return
    view.ended_at = max(view.ended_at or "", event.occurred_at)
    if event.event_type == "finalize":
        view.finalized = event.reason
        for leg in view.legs:
            if not leg.ended:
                _end(leg, event)


def _find(view: ConversationView, event: Event, participant_id: str, medium: str) -> LegView:
    """The leg of an event. The flat shape has no communication id, and shows the first leg."""
    communication_id = event.communication_id
    same = [
        leg
        for leg in view.legs
        if leg.participant_id == participant_id and leg.media_type == medium
    ]
    for leg in same:
        if communication_id is None or leg.communication_id in {communication_id, None}:
            return leg
    leg = LegView(participant_id=participant_id, media_type=medium)
    view.legs.append(leg)
    return leg


def _leg(leg: LegView, event: Event) -> None:
    for name in _DESCRIPTIVE:
        value = getattr(event, name)
        if value is not None:
            setattr(leg, name, value)
    kind = event.event_type
    if kind == "acw":
        leg.acw_started_at = event.occurred_at
    elif kind == "wrapup":
        leg.wrapup_code = event.wrapup_code
    if kind in {"disconnect", "transfer"} or event.state in ENDED_STATES:
        leg.transferred = leg.transferred or kind == "transfer"
        if not leg.ended or kind == "disconnect":
            _end(leg, event)
    if kind == "answer" and event.origin != "snapshot":
        leg.answered_at = event.occurred_at
    if not leg.ended:
        _move(leg, event)
    leg.rank = max(leg.rank, RANK[kind])


def _move(leg: LegView, event: Event) -> None:
    kind = event.event_type
    if event.origin == "snapshot":
        if event.received_at >= leg.told_at:
            _hold(leg, event)
            # It may stand against a resume that a late frame made up. Who sees that hold, says so.
            # Where the hold only lags, its replica's next frame takes it back; a hold left out here
            # nobody would tell again.
            leg.last_hold = (leg.last_hold[0], _HELD)
            if kind == "answer":
                leg.answered_at = leg.answered_at or event.occurred_at
    elif kind in {"hold", "resume"}:
        _place_hold(leg, event)
    elif kind in {"park", "unpark"}:
        place = (event.occurred_at, int(kind == "unpark"))
        if place >= leg.last_park:
            leg.last_park = place
            leg.state = event.state
            since = leg.hold_started_at
            if not event.estimated and since is not None and since < event.occurred_at:
                leg.held, leg.hold_started_at = False, None
    elif RANK[kind] >= leg.rank and RANK[kind] <= _RANK_OF_ANSWER:
        leg.state = event.state


def _place_hold(leg: LegView, event: Event) -> None:
    since = event.hold_started_at
    # A hold that Genesys did not date can only be taken in the order of the log.
    place = (since or leg.last_hold[0], _HELD if event.event_type == "hold" else _RESUMED)
    # The hold that is shown may be an earlier one, by a reading that was late; its resume ends it.
    always = since is None or since == leg.hold_started_at
    if always or place >= leg.last_hold:
        leg.last_hold = max(leg.last_hold, place)
        if always or (since or "") >= leg.last_park[0]:
            _hold(leg, event)


def _hold(leg: LegView, event: Event) -> None:
    leg.state = event.state
    leg.held = event.held
    leg.hold_started_at = event.hold_started_at if event.held else None
    leg.told_at = max(leg.told_at, event.received_at)


def _end(leg: LegView, event: Event) -> None:
    leg.ended = True
    leg.ended_at = event.occurred_at
    leg.held = False
    leg.hold_started_at = None
    if event.state in ENDED_STATES:
        leg.state = event.state
    leg.disconnect_type = event.disconnect_type or leg.disconnect_type
