"""Compares a snapshot with what is known of its conversation: the transitions in between.

Pure: takes a conversation's memory and one reading, brings the memory up to date, and returns the
list of transitions. Rules

- A leg that was never seen enters with its whole visible history. Ids make repetition harmless.
- The end of a leg is sticky. Everything else follows the latest frame: frames carry no order.
- A frame that shows a leg earlier than it is known to be came late. It may add dated history, but
  what it does *not* show (a hold, a park) counts for nothing, nor does it when that comes again
  without anything new. With the next news all legs are compared, since it may be true by then.
- What was read, not witnessed, and cannot be dated is a `snapshot` reading. So is whether a leg of
  staff is held or parked, on first sight and after an interruption (it may have changed unseen), a
  hold or park that is still shown although its end was told, and a change of role. The latter ones
  have ids of their own: they correct a consumer's view and must not be dropped as repeats.
- What is known to be incomplete (`partial`) counts like a late frame: what it does not show may be
  what could not be read.

What names a transition: `mirror/conversation/legs.py`. `end` is named by the legs that had ended,
so that everybody who reads the same snapshot gives it the same id, and a conversation that went on
ends anew.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from mirror.conversation.event import STAFF, EventType
from mirror.conversation.legs import end_id, start_id
from mirror.conversation.normaliser import after_call, roles, spells
from mirror.conversation.normaliser.bodies import Body, CutBody
from mirror.conversation.normaliser.memory import Conversation, Known, Leg, Service
from mirror.conversation.normaliser.snapshot import Snapshot
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
MAX_ENDS: Final = 64  # of one conversation; beyond, older ones would be told again


def transitions(
    conversation: Conversation,
    body: Body | CutBody,
    shown: Snapshot,
    partial: bool = False,
    complete: bool = True,
) -> tuple[list[Transition], bool]:
    """What happened between what was known of `conversation` and `body`, which it now knows.

    `shown` are the participants of the body; all are to be read while the conversation is doubtful
    or late. `partial` says that not all of the body could be read, not `complete` that it lacks
    legs. The second result says whether a time in it was none. Never raises on content: absent,
    empty and unknown values are read as what they are.
    """
    told: list[Transition] = []
    first_sight = not conversation.legs
    if body.associated_conversation is not None and body.associated_conversation.id:
        conversation.linked = body.associated_conversation.id
    over = instant(body.end_time) if body.end_time else None
    everything = conversation.doubtful or conversation.late
    consulted, is_left = roles.consultation(conversation, shown.changed, shown.known)
    views = read(conversation, shown.changed, consulted, over, everything)
    late, flawed = _tell_legs(conversation, views, consulted, told)
    if late:
        conversation.late = True
    elif partial:
        _ask_again(views)
    elif not conversation.late or any(view.news for view in views):
        _settle(conversation, views, told, first_sight)
    if is_left and roles.are_left(conversation):
        # The frame showed nothing new of the consulted leg. The next frame is read as a whole.
        conversation.doubtful = True
    if first_sight and conversation.legs:
        told.insert(0, _start(conversation.id, body, views))
    if complete:
        _end(conversation, shown.known, over, told)
    return told, flawed


def _tell_legs(
    conversation: Conversation,
    views: Sequence[View],
    consulted: Collection[str],
    told: list[Transition],
) -> tuple[bool, bool]:
    """Tell what legs gained by a reading; whether it came late for one of them, or is flawed."""
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
    staff: _Staff | None = None
    for view in left:
        if _is_transferred(view):
            if disconnect_type(view.communication.disconnect_type) == CONSULTED:
                staff = staff or _by_start(conversation)
                if not _has_successor(view.leg, staff):
                    continue
            tell(told, view, "transfer", view.ended_at)
    return late, flawed


def _ask_again(views: Sequence[View]) -> None:
    """What these did not show is still to be compared, even if the same comes again."""
    for view in views:
        view.leg.seen = None


def _settle(
    conversation: Conversation,
    views: Sequence[View],
    told: list[Transition],
    first_sight: bool,
) -> None:
    """What a frame in time does not show counts; it ends all doubt.

    Not of a leg that stands as a late frame showed it: that one is yet to be seen in time.
    """
    unsure = conversation.doubtful
    if unsure or conversation.late:
        conversation.doubtful = conversation.late = False
    for view in views:
        if not view.news and _is_late(view):
            continue
        if view.leg.hold is not None or view.leg.park is not None:
            spells.release(view, told)
        if unsure:
            _confirm(view, told, first_sight)


def _confirm(view: View, told: list[Transition], first_sight: bool) -> None:
    """Say whether a leg of staff is held or parked that was answered and lives.

    Only staff hold: their customer is `confined` then. On first sight, what has no time is told as
    a snapshot reading already.
    """
    if view.leg.ended or view.state in UNANSWERED or view.participant.purpose not in STAFF:
        return
    if view.communication.held:
        if view.held_since is not None or not first_sight:
            told.append(_reading(view))
    elif view.state == PARKED or view.connected is not None or not first_sight:
        told.append(_reading(view))


def _reading(view: View) -> Transition:
    """How a live leg is now, without claiming to know when it became so."""
    if view.communication.held:
        return Transition(view, "hold", None, view.state, "", True, view.held_since, snapshot=True)
    kind: EventType = "park" if view.state == PARKED else "answer"
    return Transition(view, kind, None, view.state, snapshot=True)


def _is_late(view: View) -> bool:
    """Whether a reading shows its leg earlier than it is known to be."""
    if view.state in ENDED:
        return False
    if view.leg.ended or (view.leg.once & ANSWER and view.state in UNANSWERED):
        return True
    return spells.are_earlier(view)


def _history(view: View, consulted: Collection[str], told: list[Transition]) -> None:
    """What only a late frame showed: nothing is lost, and ids and ranks put it in order.

    The role that the leg had then goes into the events of this frame and changes nothing else.
    """
    if view.leg.service is not None:
        view.late_role, view.late_role_on = roles.role_of(view, consulted)
    if view.state in DIALING:
        tell(told, view, "dial", None)
    elif view.state == ALERTING:
        tell(told, view, "alert", None)
    spells.history(view, told)


# --- what a leg gained ----------------------------------------------------------------------------


def _advance(
    conversation: Conversation, view: View, consulted: Collection[str], told: list[Transition]
) -> None:
    """What a leg reached by this reading, in the order in which legs live."""
    leg, state, communication = view.leg, view.state, view.communication
    turned = view.participant.purpose in STAFF and _serve(view, consulted)
    if communication.segments or communication.start_alerting_time:
        _alerts(view, told)
    if state == CONNECTED or (view.connected is not None and state not in UNANSWERED):
        tell(told, view, "answer", view.connected or None, CONNECTED)
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
    """Keep what only legs of staff have; whether the role of one that talks changed."""
    leg = view.leg
    service = leg.service
    if service is None:
        service = leg.service = Service()
    # At its end the participant may show the queue that it goes on in.
    lives = view.state not in ENDED or service.queue_id is None
    if lives and not leg.ended and not view.is_followed:
        service.queue_id = view.participant.queue_id or service.queue_id
    if view.communication.queue_id:
        service.queue_id = view.communication.queue_id
    if service.since is None:
        service.since = view.connected
    if view.state in ENDED and not view.first:
        return False  # the keys of a consultation go with its end
    role = roles.role_of(view, consulted)
    if role == (service.role, service.on):
        return False
    service.role, service.on = role
    return bool(leg.once & ANSWER)


def _alerts(view: View, told: list[Transition]) -> None:
    """The alert of which REST tells the time. It is dated, unlike a witnessed one."""
    began = instant(view.communication.start_alerting_time)
    for segment in view.communication.segments or ():
        if began is None and (segment.type or "").lower() == ALERT_SEGMENT:
            began = instant(segment.start_time)
    if began is not None:
        tell(told, view, "alert", began, ALERTING)


def _is_transferred(view: View) -> bool:
    """Whether a leg was left by a transfer, but for who was consulted.

    Asked when all legs of the reading are known. A merge (`transfer.conference`) leaves nothing to
    anybody. Of a consultation, who consulted transfers and who was consulted does not; which of the
    two ends as `transfer.consult` Genesys does not say (docs/protocol.md, "Consultations"), so it
    is who has a successor.
    """
    leg = view.leg
    if leg.service is None or not leg.once & ANSWER or view.participant.purpose not in STAFF:
        return False
    kind = disconnect_type(view.communication.disconnect_type)
    return kind is not None and kind.startswith("transfer") and kind != MERGED


class _Staff(NamedTuple):
    """The legs of staff who can serve, by when they were connected.

    `until` has for each until when it or one before it went on, at the latest.
    """

    legs: list[Leg]
    until: list[str]


def _by_start(conversation: Conversation) -> _Staff:
    found = [
        leg
        for leg in conversation.legs.values()
        if leg.service is not None and leg.service.role in {None, "consult"}
    ]
    found.sort(key=_since)
    ends = ((leg.ended_at or "") if leg.ended else _GOES_ON for leg in found)
    return _Staff(found, list(accumulate(ends, max)))


def _since(leg: Leg) -> str:
    return (leg.service.since if leg.service is not None else None) or ""


def _has_successor(leg: Leg, staff: _Staff) -> bool:
    """Whether another leg of staff was connected while this one lived, and outlives it.

    Where somebody goes on who was there before, it was not who consulted, who left. It goes by
    times alone, which every reader of the conversation has; of a long thread few are looked at.
    """
    since, over = _since(leg), leg.ended_at or ""
    if (leg.service is not None and leg.service.role == "consult") or not since:
        return leg.service is None or leg.service.role is None
    before = bisect_left(staff.legs, since, key=_since)
    if before and staff.until[before - 1] > over:
        return False
    first = bisect_right(staff.legs, since, lo=before, key=_since)
    for other in staff.legs[first : bisect_right(staff.legs, over, lo=first, key=_since)]:
        if not other.ended or (other.ended_at or "") > over:
            return True
    return False


# --- the conversation -----------------------------------------------------------------------------


def _start(conversation_id: str, body: Body | CutBody, views: list[View]) -> Transition:
    """`start`, at the conversation's own time (REST), or estimated at the earliest of its legs."""
    began = instant(body.start_time)
    earliest = min((view.connected for view in views if view.connected), default=None)
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
    """`end`, where a snapshot shows that all its legs are over, once for the same legs.

    It counts what the snapshot shows, not what is known, so that everybody who reads it names the
    same end, also late. It is the end of the last leg: REST's `endTime` waits for after-call work.
    """
    legs: list[Leg] = []
    for participant in known:
        if not participant.ended and over is None:
            return
        legs += participant.legs
    if not legs:
        return
    which = hash(frozenset([leg.key for leg in legs]))
    if which in conversation.ends:
        return
    conversation.ends = (*conversation.ends, which)[-MAX_ENDS:]
    ends = [leg.ended_at for leg in legs if leg.ended_at is not None]
    at = max(ends) if len(ends) == len(legs) else None
    names = (leg.key.name for leg in legs)
    told.append(Transition(None, "end", at, "ended", end_id(conversation.id, names)))
