"""Compares a snapshot with what is known of its conversation: the transitions in between.

Pure: takes a conversation's memory and one reading, changes the memory, returns events. Rules

- A leg that was never seen enters with its whole visible history. Ids make repetition harmless.
- The end of a leg is sticky. Everything else follows the latest frame: frames carry no order.
- A frame that shows a leg earlier than it is known to be came late. It may add dated history, but
  what it does *not* show (a hold, a park) counts for nothing, nor does it when that comes again
  without anything new. With the next news all legs are compared, since it may be true by then.
- What was read, not witnessed, and cannot be dated is a `snapshot` reading. So is whether a leg of
  staff is held, on first sight and after an interruption (it may have been held or resumed unseen),
  and a hold that is still shown although it was reported as resumed. The latter two carry ids of
  their own: they correct a consumer's view and must not be dropped as repeats.
- What is known to be incomplete (`partial`) counts like a late frame: what it does not show may be
  what could not be read.

Identity: participant, medium and event type name most transitions; holds add the start of the
hold, parks and unparks their time. `end` is named by the legs that had ended, so that everybody
who reads the same snapshot gives it the same id, and a conversation that went on ends anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mirror.conversation.event import Event
from mirror.conversation.normaliser import holds
from mirror.conversation.normaliser.bodies import Body, Communication, CutBody, Participant
from mirror.conversation.normaliser.memory import Conversation, Known, Leg
from mirror.conversation.normaliser.personal import Personal
from mirror.conversation.normaliser.pieces import Piece, Shown, communications
from mirror.conversation.normaliser.report import BITS, Report, Source, View, names
from mirror.conversation.normaliser.words import (
    ALERTING,
    CONNECTED,
    DIALING,
    ENDED,
    MEDIA_OF_TOPIC,
    STAFF,
    UNANSWERED,
    disconnect_type,
)
from mirror.conversation.times import instant

# The states of after-call work in which it takes place; `skipped`, `notApplicable` and `unknown`
# mean that it does not (docs/protocol.md, "After-call work").
_ACW_TAKES_PLACE: Final = frozenset({"pending", "complete"})
_NEVER: Final = "9"  # after every time
_ANSWER: Final = BITS["answer"]


def transitions(
    conversation: Conversation,
    body: Body | CutBody,
    changed: Sequence[Piece],
    known: Sequence[Known],
    source: Source,
    *,
    flat_medium: str | None = None,
    personal: Personal | None = None,
    partial: bool = False,
) -> list[Event]:
    """The events between what was known of `conversation` and `body`, which it now knows.

    `known` has all its participants, `changed` those to be read: all while `conversation` is
    doubtful or late. `flat_medium` is the medium of a flat topic; `partial` says that not all of
    `body` could be read. Never raises on content: absent, empty and unknown values are read as what
    they are.
    """
    report = Report(conversation, source, personal)
    over = instant(body.end_time) if body.end_time else None
    everything = conversation.doubtful or conversation.late
    views: list[View] = []
    late = False
    for participant, piece in changed:
        if not participant.id:
            continue
        shown = communications(participant, flat_medium)
        for view in _views(conversation, participant, shown, piece, over, everything=everything):
            views.append(view)
            if not view.news:
                continue
            if _is_late(view):
                late = True
                _history(view, report)
            else:
                _advance(conversation, view, report)
        if shown:
            _after_call(conversation, participant, shown, report)
    if late:
        conversation.late = True
    elif partial:
        _ask_again(views)
    elif not conversation.late or any(view.news for view in views):
        _settle(conversation, views, report, is_flat=flat_medium is not None)
    if report.first_sight and conversation.legs:
        report.events.insert(0, _start(body, views, report))
    if _may_end(conversation, views, known, flat_medium):
        _end(conversation, body, changed, known, flat_medium, over, report)
    return report.events


def _ask_again(views: Sequence[View]) -> None:
    """What these did not show is still to be compared, even if the same comes again."""
    for view in views:
        view.leg.seen = None


def _settle(
    conversation: Conversation, views: Sequence[View], report: Report, *, is_flat: bool
) -> None:
    """What a frame in time does not show counts; it ends all doubt.

    Not of a leg that stands as a late frame showed it: that one is yet to be seen in time. A flat
    frame shows the legs of one medium. Those of another were in doubt as well, unless they began
    since; their first reading settles it.
    """
    unsure = conversation.doubtful
    conversation.doubtful = conversation.late = False
    for view in views:
        if not view.news and _is_late(view):
            continue
        holds.release(view, report)
        if unsure or (is_flat and view.first):
            holds.confirm(view, report)


def _may_end(
    conversation: Conversation,
    views: Sequence[View],
    known: Sequence[Known],
    flat_medium: str | None,
) -> bool:
    """Whether a snapshot is late or new, and shows no leg that lives."""
    if flat_medium is None:
        for view in views:
            if view.state not in ENDED:
                return False
    return bool(views) or sum(len(one.legs) for one in known) < len(conversation.legs)


# --- reading legs ---------------------------------------------------------------------------------


def _views(
    conversation: Conversation,
    participant: Participant,
    shown: Sequence[Shown],
    known: Known,
    over: str | None,
    *,
    everything: bool,
) -> list[View]:
    """The legs of a participant that differ from their last reading, or `everything`.

    Legs that were unknown become known, and open; `known` learns of all that are shown. A leg that
    looks live although REST says that the conversation was `over` then, lags behind: it ended at
    the latest then (docs/protocol.md, "Ends").

    A leg's own times come first. A participant's times also cover its other legs, and its
    `connectedTime` is a little earlier than the leg's in the nested shape (docs/protocol.md,
    "Times"), so they serve only where the leg has none and there is no other.
    """
    views = []
    legs = []
    known_legs = conversation.legs
    participant_id = participant.id or ""
    only = len(shown) == 1
    for medium, _, communication in shown:
        key = (participant_id, medium, communication.id or medium)
        leg = known_legs.get(key)
        first = leg is None
        if leg is None:
            leg = known_legs[key] = Leg(key)
            conversation.open += 1
        legs.append(leg)
        state = communication.state or "none"
        connected, ended_at = communication.connected_time, communication.disconnected_time
        if only:
            connected = connected or participant.connected_time
            ended_at = ended_at or participant.end_time
        if state not in ENDED:
            if over is not None:
                state, ended_at = "disconnected", ended_at or over
            else:
                known.ended = False
        seen = hash(
            (
                state,
                communication.held,
                communication.start_hold_time,
                connected,
                ended_at,
                communication.disconnect_type,
                communication.park_time,
                communication.resume_time,
                len(communication.segments or ()),
            )
        )
        news = seen != leg.seen
        if news or everything:
            leg.seen = seen
            connected = instant(connected) if connected else None
            ended_at = instant(ended_at) if ended_at else None
            views.append(
                View(participant, communication, leg, state, connected, ended_at, news, first)
            )
    known.legs = tuple(legs)
    return views


def _answered(leg: Leg) -> bool:
    return bool(leg.once & _ANSWER)


def _is_late(view: View) -> bool:
    """Whether a reading shows its leg earlier than it is known to be."""
    if view.state in ENDED:
        return False
    if view.leg.ended or (_answered(view.leg) and view.state in UNANSWERED):
        return True
    return holds.are_earlier(view)


def _history(view: View, report: Report) -> None:
    """Report what only a late frame showed: nothing is lost, and ids and ranks put it in order."""
    if view.state in DIALING:
        report.once(view, "dial", None)
    elif view.state == ALERTING:
        report.once(view, "alert", None)
    elif view.communication.held:
        since = instant(view.communication.start_hold_time)
        if since is not None:
            holds.dated(view, report, since)
    holds.parks_told(view, report)


# --- what a leg gained ----------------------------------------------------------------------------


def _advance(conversation: Conversation, view: View, report: Report) -> None:
    """Report what a leg reached by this reading, in the order in which legs live."""
    leg, state = view.leg, view.state
    over = state in ENDED
    if view.communication.segments:
        holds.alerts_told(view, report)
    if state in DIALING:
        report.once(view, "dial", None)
    elif state == ALERTING:
        report.once(view, "alert", None)
    elif state == CONNECTED or (view.connected and state not in UNANSWERED):
        report.once(view, "answer", view.connected, state=CONNECTED)
    holds.park(view, report)
    if view.communication.segments:
        holds.holds_told(view, report)
    if not over:
        holds.hold(view, report)
        return
    leg.ended_at = view.ended_at
    leg.held_since = leg.parked_since = None
    if not leg.ended:
        leg.ended = True
        conversation.open -= 1
        report.once(view, "disconnect", view.ended_at)
    if _was_transferred(view):
        report.once(view, "transfer", view.ended_at)


def _was_transferred(view: View) -> bool:
    if view.participant.purpose not in STAFF or not _answered(view.leg):
        return False
    kind = disconnect_type(view.communication.disconnect_type)
    return kind is not None and kind.startswith("transfer")


# --- participants and the conversation ------------------------------------------------------------


def _tells_after_call(participant: Participant, shown: Sequence[Shown]) -> bool:
    if participant.start_acw_time is not None or participant.wrapup is not None:
        return True
    for _, _, communication in shown:
        if communication.after_call_work is not None or communication.wrapup is not None:
            return True
    return False


def _after_call(
    conversation: Conversation,
    participant: Participant,
    shown: Sequence[Shown],
    report: Report,
) -> None:
    """After-call work and wrap-up: one each per participant, with the leg that was handled.

    They follow its end. A flat frame that shows a live leg beside them lacks the leg that they are
    of (a callback, where it shows the call that was dialled); that leg's own frame tells them.
    """
    if not _tells_after_call(participant, shown):
        return
    participant_id = participant.id or ""
    handled = shown[0]
    if len(shown) > 1:
        handled = _handled(conversation, participant_id, shown)
    medium, _, communication = handled
    began = participant.start_acw_time
    after_call = communication.after_call_work
    if began is None and after_call is not None and after_call.state in _ACW_TAKES_PLACE:
        began = after_call.start_time
    wrapup = participant.wrapup or communication.wrapup
    code = wrapup.code if wrapup is not None else None
    has_begun = began is not None and participant_id not in conversation.after_call
    has_code = bool(code) and participant_id not in conversation.wrapped_up
    if not has_begun and not has_code:
        return
    leg = conversation.legs[(participant_id, medium, communication.id or medium)]
    if not leg.ended:
        return
    state = communication.state or "none"
    view = View(participant, communication, leg, state)
    if has_begun:
        conversation.after_call += leg.key[:1]
        report.once(view, "acw", instant(began))
    if has_code and wrapup is not None:
        conversation.wrapped_up += leg.key[:1]
        event = report.once(view, "wrapup", instant(wrapup.end_time))
        if event is not None:
            event.wrapup_code = code


def _handled(conversation: Conversation, participant_id: str, shown: Sequence[Shown]) -> Shown:
    """The leg that its participant's after-call work is of.

    Genesys says so on the leg itself (docs/protocol.md, "After-call work"). Where no leg says it,
    or several do, it is the one that was answered first, else the first: a callback comes before
    the call that it dials.
    """
    legs = conversation.legs
    return min(
        shown,
        key=lambda one: (
            not _has_after_call(one[2]),
            not _answered(legs[(participant_id, one[0], one[2].id or one[0])]),
            instant(one[2].connected_time) or _NEVER,
        ),
    )


def _has_after_call(communication: Communication) -> bool:
    after_call = communication.after_call_work
    return (
        communication.after_call_work_required is True
        or communication.wrapup is not None
        or (after_call is not None and after_call.state in _ACW_TAKES_PLACE)
    )


def _start(body: Body | CutBody, views: list[View], report: Report) -> Event:
    """`start`, at the conversation's own time (REST) or else that of its first connected leg."""
    began = instant(body.start_time) or min(
        (view.connected for view in views if view.connected), default=None
    )
    return report.conversation("start", "active", began)


def _end(
    conversation: Conversation,
    body: Body | CutBody,
    changed: Sequence[Piece],
    known: Sequence[Known],
    flat_medium: str | None,
    over: str | None,
    report: Report,
) -> None:
    """`end`, where a snapshot shows all legs ended that it shows, once for the same legs.

    It counts what the snapshot shows, not what is known, so that everybody who reads it names the
    same end, also late. The flat shape lacks the legs of other media: there what is known counts,
    and says nothing as long as the frame names a medium of which no leg is known.
    """
    legs: list[Leg] = []
    if flat_medium is not None and _is_flat(changed):
        if not conversation.open and _other_media(body) <= _known_media(conversation):
            legs = list(conversation.legs.values())
    elif all(one.ended for one in known):
        legs = [leg for one in known for leg in one.legs]
    # Legs are only ever added, so their number tells which.
    if not legs or len(legs) in conversation.ends:
        return
    conversation.ends += (len(legs),)
    dated = [leg.ended_at for leg in legs if leg.ended_at is not None]
    if over is None and len(dated) == len(legs):
        over = max(dated)
    report.events.append(report.conversation("end", "ended", over, *names(leg.key for leg in legs)))


def _is_flat(changed: Sequence[Piece]) -> bool:
    """Some topics that look flat bring the nested shape (docs/protocol.md, "Topics")."""
    return any(participant.state is not None for participant, _ in changed)


def _other_media(body: Body | CutBody) -> set[str]:
    """The media that a flat body links to, as `/api/v2/conversations/callbacks/{id}`."""
    words = (uri.rpartition("/")[0].rpartition("/")[2] for uri in body.other_media_uris or ())
    return {MEDIA_OF_TOPIC.get(word.lower(), word) for word in words}


def _known_media(conversation: Conversation) -> set[str]:
    return {medium for _, medium, _ in conversation.legs}
