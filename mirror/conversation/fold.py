"""Folds events into the view of their conversation: repeated and reordered events included.

    from mirror import fold

    view = None
    for event in events_of_one_conversation:
        view = fold(view, event)

If each transition is among the events, the view does not depend on repeats, on replicas that lag
behind each other, or on back-fill (docs/event.md, "Folding events into a view"):

- The end of a leg is final. Before its end a leg only goes forward: `dial`/`alert`, `answer`, then
  holds and parks by their start. An event of an earlier step does not change the leg's state.
- A `snapshot` reading is the state of a leg at the time of reading. The reading corrects hold,
  park, role and wrap-up code. It does not undo an end, or what was read later. A repeat of the
  latest hold, park or code counts again if it was read later. All other repeats are ignored.
- A resume ends its hold, and so does a park that began after the hold. The id of an unpark says
  which park it ends.
- The latest wrap-up code counts.
- A conversation is over with `finalize`, or after an `end` when no leg is live. A leg that is live
  after that makes the conversation active again. If the first event is of after-call work, the
  conversation's `end` came before that event, and the conversation counts as over.

Pure: no clock, no I/O. `fold` changes the view in place and returns it.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from mirror.conversation.event import AFTER_CALL, RANK, STAFF, Event, Role
from mirror.conversation.legs import LegKey, leg_key, transition_id

ENDED_STATES: Final = frozenset({"disconnected", "terminated"})
_DESCRIPTIVE: Final = ("communication_id", "purpose", "agent_id", "queue_id", "direction")
# A repeat of these may be newer than the state in the view.
COUNT_AGAIN: Final = frozenset({"hold", "resume", "park", "unpark", "wrapup"})
_RANK_OF_ANSWER: Final = RANK["answer"]
_BEGAN, _OVER = 0, 1
_PARKED: Final = "parked"

SpellPlace = tuple[str, int]  # when a hold or park began, and _BEGAN or _OVER


class LegView(msgspec.Struct, kw_only=True):
    """One leg, as its events describe it. Times are those of the events; None if unknown.

    `number` is its place among the legs of its conversation, in the order in which they were first
    seen. `rank` is the rank of the furthest event (`event.RANK`). The fields after `rank` are the
    fold's own.
    """

    participant_id: str
    media_type: str
    number: int = 0
    communication_id: str | None = None
    purpose: str | None = None
    agent_id: str | None = None
    queue_id: str | None = None
    role: Role | None = None
    role_participant_id: str | None = None
    direction: str | None = None
    state: str = "none"
    held: bool = False
    hold_started_at: str | None = None
    parked_at: str | None = None
    answered_at: str | None = None
    ended_at: str | None = None
    ended: bool = False
    transferred: bool = False
    disconnect_type: str | None = None
    acw_started_at: str | None = None
    acw_ended_at: str | None = None
    wrapup_code: str | None = None
    rank: int = 0
    last_hold: SpellPlace = ("", 0)
    last_park: SpellPlace = ("", 0)
    state_read_at: str = ""  # when its hold or park was last read
    role_read_at: str = ""  # when its role was last read
    coded_at: str = ""  # when the last wrap-up code was saved, if Genesys said so
    code_read_at: str = ""  # when its code was last read

    @property
    def key(self) -> LegKey:
        """The key that names the leg."""
        return leg_key(self.participant_id, self.communication_id, self.media_type)

    @property
    def serves(self) -> bool:
        """Whether this is the live leg of an agent or user who serves the customer.

        A person who monitors, coaches, barges or is consulted does not serve.
        """
        return not self.ended and self.role is None and self.purpose in STAFF

    @property
    def acw(self) -> Literal["none", "working", "done"]:
        """The state of its after-call work."""
        if self.acw_ended_at is not None:
            return "done"
        return "none" if self.acw_started_at is None else "working"


class ConversationView(msgspec.Struct, kw_only=True):
    """One conversation, as its events describe it.

        view = fold(view, event)
        agents = [leg.agent_id for leg in view.legs.values() if leg.serves]

    `legs` is leg name (`LegKey.name`) → leg, in the order in which the legs were first seen; `open`
    counts the legs that have not ended. `seen` has the ids of all events except `snapshot` events:
    a transition with the same id may still come, and must count. `joined_late`: the first event was
    of after-call work, so the `end` of the conversation came before that event.
    """

    id: str
    state: Literal["active", "ended"] = "active"
    started_at: str | None = None
    ended_at: str | None = None
    finalized: str | None = None
    linked_conversation_id: str | None = None
    legs: dict[str, LegView] = msgspec.field(default_factory=dict)
    open: int = 0
    joined_late: bool = False
    seen: set[str] = msgspec.field(default_factory=set)


def fold(view: ConversationView | None, event: Event) -> ConversationView:
    """The view after `event`; without a view, `event` begins one.

        view = fold(None, first)
        view = fold(view, second)

    Pass all events of one conversation, in the order of their partition.
    """
    if view is None:
        view = begin(event)
    repeated = is_repeat(view, event)
    if event.origin != "snapshot":
        view.seen.add(event.event_id)
    if repeated and event.event_type not in COUNT_AGAIN:
        return view
    view.linked_conversation_id = event.linked_conversation_id or view.linked_conversation_id
    if event.participant_id is None or event.media_type is None:
        _conversation(view, event)
    else:
        leg = find_leg(view, event.participant_id, event.communication_id, event.media_type)
        was_open = not leg.ended
        read_at = leg.code_read_at if event.event_type == "wrapup" else leg.state_read_at
        if not repeated or event.received_at >= read_at:
            _leg(view.id, leg, event)
        view.open -= was_open and leg.ended
    is_over = view.ended_at is not None or view.joined_late
    view.state = "ended" if is_over and not view.open else "active"
    return view


def begin(event: Event) -> ConversationView:
    """An empty view of the conversation of `event`. Does not fold `event`."""
    return ConversationView(id=event.conversation_id, joined_late=event.event_type in AFTER_CALL)


def is_repeat(view: ConversationView | None, event: Event) -> bool:
    """Whether `event` was folded into `view` before."""
    return view is not None and event.event_id in view.seen


def find_leg(
    view: ConversationView, participant_id: str, communication_id: str | None, medium: str
) -> LegView:
    """The leg of that name, added if the view does not know it."""
    name = leg_key(participant_id, communication_id, medium).name
    leg = view.legs.get(name)
    if leg is None:
        leg = view.legs[name] = LegView(
            participant_id=participant_id,
            media_type=medium,
            communication_id=communication_id,
            number=len(view.legs),
        )
        view.open += 1
    return leg


def _conversation(view: ConversationView, event: Event) -> None:
    if event.event_type == "start":
        view.started_at = event.occurred_at
        return
    view.ended_at = max(view.ended_at or "", event.occurred_at)
    if event.event_type == "finalize":
        view.finalized = event.reason
        for leg in view.legs.values():
            if not leg.ended:
                _end(leg, event)
        view.open = 0


def _leg(conversation_id: str, leg: LegView, event: Event) -> None:
    for name in _DESCRIPTIVE:
        value = getattr(event, name)
        if value is not None:
            setattr(leg, name, value)
    # A role ends with its leg: a source that first sees the leg ended cannot know its role.
    knows = event.role is not None or event.state not in ENDED_STATES
    if knows and event.received_at >= leg.role_read_at:
        leg.role_read_at = event.received_at
        leg.role, leg.role_participant_id = event.role, event.role_participant_id
    kind = event.event_type
    if kind == "acw":
        leg.acw_started_at = event.occurred_at
    elif kind == "acw_end":
        leg.acw_ended_at = event.occurred_at
    elif kind == "wrapup":
        _code(leg, event)
    if kind in {"disconnect", "transfer"} or event.state in ENDED_STATES:
        leg.transferred = leg.transferred or kind == "transfer"
        if not leg.ended or kind == "disconnect":
            _end(leg, event)
    if kind == "answer" and event.origin != "snapshot":
        leg.answered_at = event.occurred_at
    if not leg.ended:
        _move(conversation_id, leg, event)
    leg.rank = max(leg.rank, RANK[kind])


def _code(leg: LegView, event: Event) -> None:
    """Note a wrap-up code. The dated code that was saved last counts, else the code read last."""
    coded_at = "" if event.estimated else event.occurred_at
    if event.origin != "snapshot" and coded_at and coded_at < leg.coded_at:
        return
    leg.wrapup_code, leg.coded_at = event.wrapup_code, coded_at
    leg.code_read_at = max(leg.code_read_at, event.received_at)


def _move(conversation_id: str, leg: LegView, event: Event) -> None:
    kind = event.event_type
    if event.origin == "snapshot":
        if event.received_at >= leg.state_read_at:
            _stand(leg, event)
            # The reading may contradict a resume that came from a late frame. So the same hold may
            # count again if a source that sees the hold reports it. If that report only lags, the
            # next frame of its replica takes the hold back. But if a hold were ignored here, no
            # source would report it again.
            leg.last_hold = (leg.last_hold[0], _BEGAN)
            leg.last_park = (leg.last_park[0], _BEGAN)
            if kind == "answer":
                leg.answered_at = leg.answered_at or event.occurred_at
    elif kind in {"hold", "resume"}:
        _place_hold(leg, event)
    elif kind in {"park", "unpark"}:
        _place_park(conversation_id, leg, event)
    elif RANK[kind] >= leg.rank and RANK[kind] <= _RANK_OF_ANSWER:
        leg.state = event.state


def _place_hold(leg: LegView, event: Event) -> None:
    since = event.hold_started_at
    # A hold that Genesys did not date can only be taken in the order of the log.
    place = (since or leg.last_hold[0], _BEGAN if event.event_type == "hold" else _OVER)
    # After a late reading the view may show an earlier hold; the resume of that hold ends it.
    always = since is None or since == leg.hold_started_at
    if always or place >= leg.last_hold:
        leg.last_hold = max(leg.last_hold, place)
        if always or (since or "") >= leg.last_park[0]:
            _stand(leg, event)


def _place_park(conversation_id: str, leg: LegView, event: Event) -> None:
    """Apply a park or unpark. Parks differ by their start. Genesys does not date an unpark; the
    `event_id` of an unpark says which park it ends.
    """
    since = leg.last_park[0]
    if event.event_type == "park" and not event.estimated:
        place, always = (event.occurred_at, _BEGAN), False
    elif event.event_type == "park" or not since:
        place, always = (since, _BEGAN), True  # undated: in the order of the log
    elif event.event_id == transition_id(conversation_id, leg.key, "unpark", since):
        place, always = (since, _OVER), False
    else:
        return  # the end of an earlier park
    if always or place >= leg.last_park:
        leg.last_park = max(leg.last_park, place)
        # A late unpark says nothing about a hold that began after it.
        if event.event_type == "park" or leg.parked_at is not None:
            _stand(leg, event)


def _stand(leg: LegView, event: Event) -> None:
    """Set the leg to held, parked or neither, as the event says."""
    leg.state = event.state
    leg.held = event.held
    leg.hold_started_at = event.hold_started_at if event.held else None
    parked = event.state == _PARKED
    leg.parked_at = leg.last_park[0] or event.occurred_at if parked else None
    leg.state_read_at = max(leg.state_read_at, event.received_at)


def _end(leg: LegView, event: Event) -> None:
    leg.ended = True
    leg.ended_at = event.occurred_at
    leg.held = False
    leg.hold_started_at = leg.parked_at = None
    if event.state in ENDED_STATES:
        leg.state = event.state
    leg.disconnect_type = event.disconnect_type or leg.disconnect_type
