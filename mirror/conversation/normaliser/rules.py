"""Compares a snapshot with the memory of its conversation and returns the transitions in between.

Pure: takes a conversation's memory and one reading, updates the memory, and returns the list of
transitions. The rules:

- For a leg that was never seen, the whole visible history is reported. Ids make repeats harmless.
- The end of a leg is final. Everything else follows the latest frame: frames carry no order.
- A frame is late if it shows a leg in an earlier state than the known one. A late frame may add
  dated history. If a late frame does *not* show a hold or park, that proves nothing, even if the
  same frame comes twice. The next frame with news compares all legs, because the state in the late
  frame may be true by then.
- An undated state of a conversation on first sight becomes a `snapshot` event, not a transition,
  because this process did not see the state begin. The event has the id of the transition.
- These become `snapshot` readings with ids of their own, because they correct a consumer's view and
  no consumer may drop them as repeats: hold and park of a staff leg on first sight and after an
  interruption (they may have changed unseen); a hold or park that is still shown after its end was
  reported; a change of role; a wrap-up code that counts again.
- An incomplete body (`partial`) counts like a late frame: the unreadable part may show more.

`mirror/conversation/legs.py` makes the ids of transitions. The id of `end` is made of the legs that
had ended. So all readers of one snapshot give the `end` the same id, and a conversation that went
on gets a new `end`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from mirror.conversation.event import STAFF, EventType
from mirror.conversation.legs import end_id, start_id
from mirror.conversation.normaliser import after_call, roles, spells
from mirror.conversation.normaliser.bodies import Body, Communication, CutBody
from mirror.conversation.normaliser.memory import Conversation, Known, Leg, Service
from mirror.conversation.normaliser.snapshot import Piece, Snapshot
from mirror.conversation.normaliser.transition import ANSWER, Transition, View, tell
from mirror.conversation.normaliser.views import read
from mirror.conversation.normaliser.words import (
    ALERT_SEGMENT,
    ALERTING,
    CONNECTED,
    CONSULTED,
    DIALING,
    ENDED,
    MERGED,
    PARKED,
    UNANSWERED,
    disconnect_type,
)
from mirror.conversation.times import instant

_GOES_ON: Final = "9"  # after every time
# These cannot take over a caller: staff are judged by what is remembered of them.
_NO_TARGETS: Final = frozenset({*STAFF, "customer"})
MAX_ENDS: Final = 64  # per conversation; older ones would be reported again


def transitions(
    conversation: Conversation,
    body: Body | CutBody,
    shown: Snapshot,
    partial: bool = False,
    complete: bool = True,
) -> tuple[list[Transition], bool]:
    """The transitions between the memory of `conversation` and `body`. Updates the memory.

    `shown` are the participants of the body. All of them are read while the conversation is
    doubtful or late (`memory.Conversation`), otherwise only the changed ones. `partial`: a part of
    the body could not be read. Not `complete`: the body lacks legs. The second result says whether
    a time in the body was invalid. The content never causes an error: absent, empty and unknown
    values are accepted.
    """
    told: list[Transition] = []
    first_sight = not conversation.legs
    if body.associated_conversation is not None and body.associated_conversation.id:
        conversation.linked = body.associated_conversation.id
    over = instant(body.end_time) if body.end_time else None
    everything = conversation.doubtful or conversation.late
    consulted, is_left = roles.consultation(conversation, shown.changed, shown.known)
    views = read(conversation, shown.changed, consulted, over, everything)
    late, flawed = _tell_legs(conversation, views, shown.changed, consulted, told)
    if late:
        conversation.late = True
    elif partial:
        _ask_again(views)
    elif not conversation.late or any(view.news for view in views):
        _settle(conversation, views, told, first_sight)
    if is_left and roles.are_left(conversation):
        # The frame had no news of the consulted leg, so all legs of the next frame are read.
        conversation.doubtful = True
    if first_sight and conversation.legs:
        told.insert(0, _start(conversation.id, body, views))
    if complete:
        _end(conversation, shown.known, over, told)
    return told, flawed


def _tell_legs(
    conversation: Conversation,
    views: Sequence[View],
    pieces: Sequence[Piece],
    consulted: Collection[str],
    told: list[Transition],
) -> tuple[bool, bool]:
    """Report the news of all legs. Returns whether the reading is late for one, or flawed."""
    late = flawed = False
    left: list[View] = []
    for view in views:
        if not view.news:
            continue
        if _is_late(view):
            late = True
            _history(view, consulted, told)
        else:
            _advance(conversation, view, consulted, told)
        flawed = flawed or view.flawed
        if view.leg.ended and view.leg.service is not None:
            left.append(view)
    parties: _Parties | None = None
    for view in left:
        if _is_transferred(view):
            is_of_consultation = _is_of_consultation(view.communication)
            if is_of_consultation or _is_consulted(view.leg):
                parties = parties or _parties(conversation, pieces)
                if not _hands_over(view.leg, parties, is_of_consultation):
                    continue
            _tell_transfer(view, told)
    return late, flawed


def _tell_transfer(view: View, told: list[Transition]) -> None:
    """Report a transfer, right after the `disconnect` of its leg if this reading reports that."""
    place = next(
        (n for n, one in enumerate(told, 1) if one.view is view and one.event_type == "disconnect"),
        len(told),
    )
    after, told[place:] = told[place:], []
    tell(told, view, "transfer", view.ended_at)
    told += after


def _ask_again(views: Sequence[View]) -> None:
    """Make the next frame compare these legs, even if the same bytes come again."""
    for view in views:
        view.leg.seen = None


def _settle(
    conversation: Conversation,
    views: Sequence[View],
    told: list[Transition],
    first_sight: bool,
) -> None:
    """Apply a frame that is not late: a hold or park that it does not show is over.

    A leg whose state came from a late frame is left out until a timely frame shows it.
    """
    unsure = conversation.doubtful
    if unsure or conversation.late:
        conversation.doubtful = conversation.late = False
    for view in views:
        if not view.news and _is_late(view):
            continue
        lasts = view.leg.hold is not None or view.leg.park is not None
        if lasts and spells.release(view, told):
            told.append(_reading(view))
        elif unsure:
            _confirm(view, told, first_sight)


def _confirm(view: View, told: list[Transition], first_sight: bool) -> None:
    """Report whether a live, answered leg of staff is held or parked.

    Only legs of staff are held; the customer's leg is then `confined`. On first sight, undated
    states were already reported as `snapshot` events.
    """
    if view.leg.ended or view.state in UNANSWERED or view.participant.purpose not in STAFF:
        return
    if view.communication.held:
        if view.held_since is not None or not first_sight:
            told.append(_reading(view))
    elif view.state == PARKED or view.connected is not None or not first_sight:
        told.append(_reading(view))


def _reading(view: View) -> Transition:
    """A `snapshot` reading of a live leg: its present state, without a start."""
    if view.communication.held:
        return Transition(view, "hold", None, view.state, "", True, view.held_since, snapshot=True)
    kind: EventType = "park" if view.state == PARKED else "answer"
    return Transition(view, kind, None, view.state, snapshot=True)


def _is_late(view: View) -> bool:
    """Whether a reading shows its leg in an earlier state than the known one."""
    if view.state in ENDED:
        return False
    if view.leg.ended or (
        view.leg.once & ANSWER and view.state in UNANSWERED and not spells.rings_again(view)
    ):
        return True
    return spells.are_earlier(view)


def _history(view: View, consulted: Collection[str], told: list[Transition]) -> None:
    """Report history that only a late frame showed. The fold puts its events in their place.

    The events get the role that the late frame shows. The late frame changes nothing else.
    """
    if view.leg.service is not None:
        view.late_role, view.late_role_on = roles.role_of(view, consulted)
    if view.state in DIALING:
        tell(told, view, "dial", None)
    elif view.state == ALERTING:
        tell(told, view, "alert", None)
    spells.history(view, told)


# --- news of a leg --------------------------------------------------------------------------------


def _advance(
    conversation: Conversation, view: View, consulted: Collection[str], told: list[Transition]
) -> None:
    """Report the states that a leg reached by this reading, in the order of a leg's life."""
    leg, state, communication = view.leg, view.state, view.communication
    turned = view.participant.purpose in STAFF and _serve(view, consulted)
    if communication.segments or communication.start_alerting_time:
        _alerts(view, told)
    if state == CONNECTED or (view.connected is not None and state not in UNANSWERED):
        tell(told, view, "answer", view.connected or None, CONNECTED)
    elif leg.once & ANSWER:
        pass  # it rings again: its alert comes before its answer
    elif state in DIALING:
        tell(told, view, "dial", None)
    elif state == ALERTING:
        tell(told, view, "alert", None)
    if state not in ENDED:
        spells.advance(view, told)
        if turned:
            told.append(_reading(view))
        if view.work is not None:
            after_call.note(view)
        return
    spells.ended(view, told)
    leg.ended_at = view.ended_at
    if not leg.ended:
        leg.ended = True
        conversation.open -= 1
        tell(told, view, "disconnect", view.ended_at)
    if view.work is not None:
        after_call.tell_work(view, told)


def _serve(view: View, consulted: Collection[str]) -> bool:
    """Note queue, start and role of a staff leg. Returns whether a connected leg's role changed."""
    leg = view.leg
    service = leg.service
    if service is None:
        service = leg.service = Service()
    # At the leg's end its participant may already show the next queue.
    lives = view.state not in ENDED or service.queue_id is None
    if lives and not leg.ended and not view.is_followed:
        service.queue_id = view.participant.queue_id or service.queue_id
    if view.communication.queue_id:
        service.queue_id = view.communication.queue_id
    if service.since is None:
        service.since = view.connected
    if view.state in ENDED and not view.first:
        return False  # the fields of a consultation go away with its end
    role = roles.role_of(view, consulted)
    if role == (service.role, service.on):
        return False
    service.role, service.on = role
    return bool(leg.once & ANSWER)


def _alerts(view: View, told: list[Transition]) -> None:
    """Report an alert with the time that REST gives. An alert from a frame has no time."""
    began = instant(view.communication.start_alerting_time)
    if began is None:
        alerts = (
            instant(segment.start_time)
            for segment in view.communication.segments or ()
            if (segment.type or "").lower() == ALERT_SEGMENT
        )
        began = min(filter(None, alerts), default=None)
    if began is not None:
        tell(told, view, "alert", began, ALERTING)


def _is_transferred(view: View) -> bool:
    """Whether the disconnect type of an answered staff leg that ended says `transfer`.

    A merge (`transfer.conference`) is no transfer. In a consultation the consulting agent transfers
    and the consulted agent does not. Genesys does not say how their legs end (docs/protocol.md,
    "Consultations"). So the caller then also asks `_hands_over`, which needs all legs of the
    reading.
    """
    leg = view.leg
    if leg.service is None or not leg.once & ANSWER or view.participant.purpose not in STAFF:
        return False
    kind = disconnect_type(view.communication.disconnect_type)
    return kind is not None and kind.startswith("transfer") and kind != MERGED


def is_of_consultation(pieces: Sequence[Piece]) -> bool:
    """Whether a participant is in a consultation, or a leg ended as a leg of a consultation.

    Then all legs of the body tell who consults whom, and who takes over.
    """
    return any(
        piece.participant.consult_participant_id or any(map(_is_of_consultation, piece.shown))
        for piece in pieces
    )


def _is_of_consultation(communication: Communication) -> bool:
    return disconnect_type(communication.disconnect_type) == CONSULTED


def _is_consulted(leg: Leg) -> bool:
    return leg.service is not None and leg.service.role == "consult"


class _Parties(NamedTuple):
    """When the parties of a call came and left. Times are RFC 3339, `_GOES_ON` for live legs.

    `served` has the times at which legs of staff who can serve were connected, in order. For each
    of these legs, `until` has the latest end of this leg and all legs before it. `came` has the
    times at which these legs and those of queues and outside parties were connected, in order. For
    each of them, `stay` has the latest end of this leg and all legs after it. `ring` is the latest
    end of a leg that was never connected.
    """

    served: list[str]
    until: list[str]
    came: list[str]
    stay: list[str]
    ring: str


def _parties(conversation: Conversation, pieces: Sequence[Piece]) -> _Parties:
    staff = [
        (_since(leg) if leg.once & ANSWER else None, _until(leg))
        for leg in conversation.legs.values()
        if leg.service is not None and leg.service.role in {None, "consult"}
    ]
    others = [
        (
            instant(communication.connected_time),
            _GOES_ON
            if communication.state not in ENDED
            else instant(communication.disconnected_time) or "",
        )
        for piece in pieces
        if piece.participant.purpose not in _NO_TARGETS
        for communication in piece.shown
    ]
    served = sorted((since, until) for since, until in staff if since is not None)
    came = sorted((since, until) for since, until in staff + others if since is not None)
    return _Parties(
        [since for since, _ in served],
        list(accumulate((until for _, until in served), max)),
        [since for since, _ in came],
        list(accumulate((until for _, until in reversed(came)), max))[::-1],
        max((until for since, until in staff + others if since is None), default=""),
    )


def _since(leg: Leg) -> str:
    return (leg.service.since if leg.service is not None else None) or ""


def _until(leg: Leg) -> str:
    return leg.ended_at or "" if leg.ended else _GOES_ON


def _hands_over(leg: Leg, parties: _Parties, is_of_consultation: bool) -> bool:
    """Whether a leg of staff that ended left the call to somebody else.

    If an agent who was connected earlier stays, the leg that ended is not the consulting agent's.
    If the leg ended as a leg of a consultation, then a leg that was connected later, or that still
    rings, must outlive it: the leg of a colleague, a queue or an outside party. The rule uses only
    times, which every reader of the conversation has.
    """
    since, over = _since(leg), leg.ended_at or ""
    if not since:
        return not _is_consulted(leg)
    before = bisect_left(parties.served, since)
    if before and parties.until[before - 1] > over:
        return False
    after = bisect_right(parties.came, since)
    later = parties.stay[after] if after < len(parties.came) else ""
    return not is_of_consultation or max(later, parties.ring) > over


# --- the conversation -----------------------------------------------------------------------------


def _start(conversation_id: str, body: Body | CutBody, views: list[View]) -> Transition:
    """`start`, at the conversation's own time (REST) or estimated as the earliest time of a leg."""
    began = instant(body.start_time)
    times = (
        time
        for view in views
        for time in (view.connected, view.ended_at, view.held_since, view.parked_at)
        if time
    )
    earliest = min(times, default=None)
    return Transition(
        None,
        "start",
        began or earliest,
        "active",
        start_id(conversation_id),
        exact=began is not None,
    )


def _end(
    conversation: Conversation, known: Sequence[Known], over: str | None, told: list[Transition]
) -> None:
    """Report `end` if all legs of a snapshot are over, once for the same set of legs.

    Only the legs in the snapshot count, not the legs in memory. So all readers of the snapshot,
    late ones too, give the `end` the same id. The time of `end` is the end of the last leg, because
    REST's `endTime` waits for after-call work.
    """
    legs: list[Leg] = []
    for participant in known:
        if not participant.ended and over is None:
            return
        legs += participant.legs
    if not legs:
        return
    legs_hash = hash(frozenset([leg.key for leg in legs]))
    if legs_hash in conversation.ends:
        return
    conversation.ends = (*conversation.ends, legs_hash)[-MAX_ENDS:]
    ends = [leg.ended_at for leg in legs if leg.ended_at is not None]
    at = max(ends) if len(ends) == len(legs) else None
    names = (leg.key.name for leg in legs)
    told.append(Transition(None, "end", at, "ended", end_id(conversation.id, names)))
