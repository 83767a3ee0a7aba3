"""Compares a snapshot with what is known of its conversation: the transitions in between.

Pure: takes a conversation's memory and one reading, changes the memory, returns events. Rules

- A leg that was never seen enters with its whole visible history. Ids make repetition harmless.
- The end of a leg is sticky. Everything else follows the latest frame: frames carry no order.
- A frame that shows a leg earlier than it is known to be came late. It may add dated history, but
  what it does *not* show (a hold, a park) counts for nothing.
- What was read, not witnessed, and cannot be dated is a `snapshot` reading. So is the state of a
  leg of staff that is first seen un-held (was it held before?), and a hold that is still shown
  although it was reported as resumed. The latter two carry ids of their own: they correct a
  consumer's view and must not be dropped as repeats.

Identity: participant, medium and event type name most transitions; holds add the start of the
hold, parks and unparks their time. `end` is named by the legs that had ended, so that everybody
who reads the same snapshot gives it the same id, and a conversation that went on ends anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mirror.event import Event
from mirror.normaliser.bodies import Body, Communication, Participant
from mirror.normaliser.memory import Conversation, Leg
from mirror.normaliser.personal import Personal
from mirror.normaliser.report import Report, Source, View
from mirror.normaliser.times import instant
from mirror.normaliser.words import (
    ALERTING,
    CONNECTED,
    DIALING,
    ENDED,
    MEDIA_OF_ARRAY,
    PARKED,
    STAFF,
    UNANSWERED,
    disconnect_type,
)

# The states of after-call work in which it takes place; `skipped`, `notApplicable` and `unknown`
# mean that it does not (docs/protocol.md, "After-call work").
_ACW_TAKES_PLACE: Final = frozenset({"pending", "complete"})
_ARRAYS: Final = tuple(MEDIA_OF_ARRAY.items())


def transitions(
    conversation: Conversation,
    body: Body,
    source: Source,
    *,
    flat_medium: str | None = None,
    personal: Personal | None = None,
) -> list[Event]:
    """The events between what was known of `conversation` and `body`, which it now knows.

    `flat_medium` is the medium of a flat topic. Never raises on content: absent, empty and unknown
    values are read as what they are.
    """
    report = Report(conversation, source, personal)
    open_before, legs_before = conversation.open, len(conversation.legs)
    changed: list[View] = []
    late = False
    for participant in body.participants or ():
        handled: View | None = None
        for view in _views(conversation, participant, flat_medium):
            if handled is None or _answered(view) > _answered(handled):
                handled = view
            if _news(view):
                changed.append(view)
                late |= _is_late(view)
                if not _is_late(view):
                    _advance(conversation, view, report)
        if handled is not None:
            _after_call(conversation, handled, report)
    if not late:
        for view in changed:
            _release(view, report)
    if report.first_sight and conversation.legs:
        report.events.insert(0, _start(body, changed, report))
    if not conversation.open and (open_before or len(conversation.legs) > legs_before):
        _end(conversation, body, report)
    return report.events


# --- reading legs ---------------------------------------------------------------------------------


def _views(
    conversation: Conversation, participant: Participant, flat_medium: str | None
) -> Iterator[View]:
    """The legs that a participant shows. Legs that were unknown become known, and open."""
    if not participant.id:
        return
    if flat_medium is not None and participant.state is not None:
        yield _view(conversation, participant, _lifted(participant), flat_medium, 0, only=True)
        return
    arrays = [
        (medium, communications)
        for array, medium in _ARRAYS
        if (communications := getattr(participant, array))
    ]
    only = len(arrays) == 1 and len(arrays[0][1]) == 1
    for medium, communications in arrays:
        for position, communication in enumerate(communications):
            yield _view(conversation, participant, communication, medium, position, only=only)


def _lifted(participant: Participant) -> Communication:
    """The communication whose fields the flat shape lifts up into its participant."""
    return Communication(
        state=participant.state,
        held=participant.held,
        start_hold_time=participant.start_hold_time,
        direction=participant.direction,
        disconnect_type=participant.disconnect_type,
        connected_time=participant.connected_time,
        disconnected_time=participant.end_time,
        park_time=participant.park_time,
        resume_time=participant.resume_time,
    )


def _view(
    conversation: Conversation,
    participant: Participant,
    communication: Communication,
    medium: str,
    position: int,
    *,
    only: bool,
) -> View:
    """One leg beside what is known of it.

    A leg's own times come first. A participant's times also cover its other legs, and its
    `connectedTime` is a little earlier than the leg's in the nested shape (docs/protocol.md,
    "Times"), so they serve only where the leg has none and there is no other.
    """
    key = (participant.id or "", medium, position)
    leg = conversation.legs.get(key)
    if leg is None:
        leg = conversation.legs[key] = Leg()
        conversation.open += 1
    connected, ended_at = communication.connected_time, communication.disconnected_time
    if only:
        connected = connected or participant.connected_time
        ended_at = ended_at or participant.end_time
    return View(
        participant,
        communication,
        medium,
        position,
        leg,
        communication.state or "none",
        connected,
        ended_at,
    )


def _news(view: View) -> bool:
    """Whether this reading of a leg differs from the last one; it is the last one from now on."""
    communication = view.communication
    seen = (
        view.state,
        communication.held,
        communication.start_hold_time,
        view.connected,
        view.ended_at,
        communication.disconnect_type,
        communication.park_time,
        communication.resume_time,
    )
    if seen == view.leg.seen:
        return False
    view.leg.seen = seen
    view.connected = instant(view.connected)
    view.ended_at = instant(view.ended_at)
    return True


def _answered(view: View) -> bool:
    return "answer" in view.leg.reported


def _is_late(view: View) -> bool:
    """Whether a reading shows its leg earlier than it is known to be."""
    if view.state in ENDED:
        return False
    return view.leg.ended or (_answered(view) and view.state in UNANSWERED)


# --- what a leg gained ----------------------------------------------------------------------------


def _advance(conversation: Conversation, view: View, report: Report) -> None:
    """Report what a leg reached by this reading, in the order in which legs live."""
    leg, state = view.leg, view.state
    over = state in ENDED
    if state in DIALING:
        report.once(view, "dial", None)
    elif state == ALERTING:
        report.once(view, "alert", None)
    elif state == CONNECTED or (view.connected and state not in UNANSWERED):
        answered = report.once(view, "answer", view.connected, state=CONNECTED)
        if answered and report.first_sight and _may_have_been_held(view):
            report.snapshot(view, "answer")
    _parked(view, report)
    if not over:
        _held(view, report)
        return
    leg.ended_at = view.ended_at
    leg.held_since = leg.parked_since = None
    if not leg.ended:
        leg.ended = True
        conversation.open -= 1
        report.once(view, "disconnect", view.ended_at)
    if _was_transferred(view):
        report.once(view, "transfer", view.ended_at)


def _may_have_been_held(view: View) -> bool:
    """Only staff hold; a customer whose agent holds is `confined`, which is no event."""
    return (
        view.state == CONNECTED
        and not view.communication.held
        and view.participant.purpose in STAFF
        and view.connected is not None
    )


def _was_transferred(view: View) -> bool:
    kind = disconnect_type(view.communication.disconnect_type) or ""
    return kind.startswith("transfer") and _answered(view) and view.participant.purpose in STAFF


def _held(view: View, report: Report) -> None:
    leg = view.leg
    if not view.communication.held:
        return
    since = instant(view.communication.start_hold_time)
    if since is None:
        if leg.held_since is None:
            # Genesys gave no time: holds are told apart by their number on this leg.
            leg.held_since = _numbered(leg, "hold")
            report.once(view, "hold", None, which=leg.held_since, held=True)
        return
    if leg.held_since == since:
        return
    if since < leg.last_hold:  # a late frame: history, but not how the leg is now
        report.once(view, "hold", since, which=since, held=True, hold_started_at=since)
        return
    if leg.held_since is not None:
        _resume(view, report)  # one hold ended and the next began between two frames
    leg.held_since = leg.last_hold = since
    new = report.once(view, "hold", since, which=since, held=True, hold_started_at=since)
    if not new:
        report.snapshot(view, "hold", held=True, hold_started_at=since)


def _parked(view: View, report: Report) -> None:
    leg = view.leg
    parked_at = instant(view.communication.park_time)
    resumed_at = instant(view.communication.resume_time)
    if parked_at is not None:
        report.once(view, "park", parked_at, which=parked_at, state=PARKED)
    if resumed_at is not None and (view.state != PARKED or (parked_at or "") > resumed_at):
        report.once(view, "unpark", resumed_at, which=resumed_at, state=CONNECTED)
    if view.state == PARKED and leg.parked_since is None:
        leg.parked_since = parked_at or _numbered(leg, "park")
        if parked_at is None:
            report.once(view, "park", None, which=leg.parked_since)


def _numbered(leg: Leg, event_type: str) -> str:
    return f"#{1 + sum(name.startswith(event_type + '#') for name in leg.reported)}"


# --- what a leg lost ------------------------------------------------------------------------------


def _release(view: View, report: Report) -> None:
    """Report holds and parks that a leg no longer shows. Only for frames that are not late."""
    leg = view.leg
    if leg.ended:
        return
    if leg.held_since is not None and not view.communication.held:
        _resume(view, report)
    if leg.parked_since is not None and view.state != PARKED:
        parked_since, leg.parked_since = leg.parked_since, None
        if view.communication.resume_time is None:
            report.once(view, "unpark", None, which=parked_since)


def _resume(view: View, report: Report) -> None:
    since, view.leg.held_since = view.leg.held_since, None
    if since is None:
        return
    started = None if since.startswith("#") else since
    if not report.once(view, "resume", None, which=since, hold_started_at=started):
        report.snapshot(view, "resume", hold_started_at=started)


# --- participants and the conversation ------------------------------------------------------------


def _after_call(conversation: Conversation, handled: View, report: Report) -> None:
    """After-call work and wrap-up: one each per participant, with the leg that was handled."""
    participant = handled.participant
    participant_id = participant.id or ""
    began = participant.start_acw_time
    after_call = handled.communication.after_call_work
    if began is None and after_call is not None and after_call.state in _ACW_TAKES_PLACE:
        began = after_call.start_time
    if began is not None and participant_id not in conversation.after_call:
        conversation.after_call.add(participant_id)
        report.once(handled, "acw", instant(began))
    wrapup = participant.wrapup or handled.communication.wrapup
    if wrapup is None or not wrapup.code or participant_id in conversation.wrapped_up:
        return
    conversation.wrapped_up.add(participant_id)
    report.once(handled, "wrapup", instant(wrapup.end_time), wrapup_code=wrapup.code)


def _start(body: Body, views: list[View], report: Report) -> Event:
    """`start`, at the conversation's own time (REST) or else that of its first connected leg."""
    began = instant(body.start_time) or min(
        (view.connected for view in views if view.connected), default=None
    )
    return report.conversation("start", "active", began)


def _end(conversation: Conversation, body: Body, report: Report) -> None:
    """`end`, unless the same legs were already reported as ended."""
    if conversation.ended_with == len(conversation.legs):
        return
    conversation.ended_with = len(conversation.legs)
    ends = [leg.ended_at for leg in conversation.legs.values()]
    dated = [ended_at for ended_at in ends if ended_at is not None]
    over = instant(body.end_time) or (max(dated) if dated and len(dated) == len(ends) else None)
    which = sorted(f"{p} {medium} {position}" for p, medium, position in conversation.legs)
    report.events.append(report.conversation("end", "ended", over, *which))
