"""Holds and parks: states that a leg can enter and leave several times.

`startHoldTime`, which Genesys shows while a hold lasts, names a hold and the resume that ends it.
`parkTime` names a park and its unpark. Without such a time, their number on the leg tells them
apart. Only the state says whether a leg is held or parked: `resumeTime` is when somebody plans to
go on, and Genesys does not document what happens to a park's fields when the leg is taken up again,
or whether the leg rings again before (docs/protocol.md, "Parks").
"""

from __future__ import annotations

from typing import Final, NamedTuple

from mirror.conversation.event import EventType
from mirror.conversation.normaliser.memory import Leg, Spell
from mirror.conversation.normaliser.transition import Transition, View, tell_often
from mirror.conversation.normaliser.words import (
    CONNECTED,
    ENDED,
    HOLD_SEGMENT,
    PARKED,
    UNANSWERED,
)
from mirror.conversation.times import instant


class _Kind(NamedTuple):
    began: EventType
    over: EventType


_HOLD: Final = _Kind("hold", "resume")
_PARK: Final = _Kind("park", "unpark")
_RINGS: Final = "~"  # in place of the park that ended: the leg rings again


def are_earlier(view: View) -> bool:
    """Whether a reading shows a hold or park of the leg that began before the latest one."""
    leg = view.leg
    if leg.park is not None and view.parked_at is not None and view.parked_at < leg.park.last:
        return True
    if leg.hold is None or view.held_since is None or not view.communication.held:
        return False
    return view.held_since < leg.hold.last


def history(view: View, told: list[Transition]) -> None:
    """Report the dated hold and park of a late reading."""
    if view.communication.held and view.held_since is not None:
        _dated(view, _HOLD, view.held_since, told)
    if view.parked_at is not None:
        _dated(view, _PARK, view.parked_at, told)


def advance(view: View, told: list[Transition]) -> None:
    """Report the hold and the park of a live leg, and a park that ended unseen."""
    if view.communication.segments:
        _segments(view, told)
    if view.communication.held:
        _begin(view, _HOLD, view.held_since, told)
    if view.state == PARKED:
        _begin(view, _PARK, view.parked_at, told)
    elif view.parked_at is not None and _is_later_park(view.leg, view.parked_at):
        _begin(view, _PARK, view.parked_at, told)
        _over(view, _PARK, told)


def ended(view: View, told: list[Transition]) -> None:
    """Report the holds and parks of an ended leg. A hold or park at its end has no end event."""
    if view.communication.segments:
        _segments(view, told)
    if view.parked_at is not None:
        _dated(view, _PARK, view.parked_at, told)
    leg = view.leg
    if leg.hold is not None:
        leg.hold.since = None
    if leg.park is not None:
        leg.park.since = None


def rings_again(view: View) -> bool:
    """Whether a parked leg that was answered before rings now.

    A frame from before its answer shows neither that it was connected nor that it was parked.
    """
    park, communication = view.leg.park, view.communication
    return (
        park is not None
        and park.since is not None
        and bool(communication.connected_time or communication.park_time)
    )


def release(view: View, told: list[Transition]) -> bool:
    """Report the ends of the hold and the park that a leg no longer shows.

    Only for frames that are not late. Returns whether the leg rang again and is answered now.
    """
    leg = view.leg
    if leg.ended:
        return False
    if leg.hold is not None and leg.hold.since is not None and not view.communication.held:
        _over(view, _HOLD, told)
    if leg.park is None or view.state == PARKED:
        return False
    if leg.park.since != _RINGS:
        _over(view, _PARK, told)
    elif view.state not in UNANSWERED:
        leg.park.since = None
        return True
    return False


def _begin(view: View, kind: _Kind, since: str | None, told: list[Transition]) -> None:
    """Report that a leg is held or parked; `since` is Genesys' time, None without one."""
    spell = _spell(view.leg, kind)
    if since is None:
        if spell.since is None or spell.since == _RINGS:
            spell.since = _numbered(view.leg, kind)
            tell_often(told, view, kind.began, None, spell.since, held=kind is _HOLD)
        return
    if spell.since == since:
        return
    if since < spell.last:  # history, not the present state of the leg
        _dated(view, kind, since, told)
        return
    if spell.since is not None:
        _over(view, kind, told)  # it ended and the next one began between two frames
    spell.since = spell.last = since
    if not _dated(view, kind, since, told):
        # Reported before, and perhaps its end too: report the state as a reading, not as new.
        hold = since if kind is _HOLD else None
        told.append(
            Transition(view, kind.began, None, view.state, "", kind is _HOLD, hold, snapshot=True)
        )


def _dated(view: View, kind: _Kind, since: str, told: list[Transition]) -> bool:
    """Report a hold or park that began at `since`. Returns whether it was new."""
    if kind is _PARK:
        return tell_often(told, view, "park", since, since, PARKED)
    return tell_often(told, view, "hold", since, since, CONNECTED, held=True, hold_started_at=since)


def _over(view: View, kind: _Kind, told: list[Transition]) -> None:
    """Report that the current hold or park is over, at a time that Genesys does not give."""
    spell = _spell(view.leg, kind)
    since = spell.since
    if since is None or since == _RINGS:
        return
    spell.since = _RINGS if kind is _PARK and view.state in UNANSWERED else None
    state = view.state
    if kind is _HOLD:
        held, hold = False, None if since.startswith("#") else since
    else:  # a leg that was taken up again may be held now
        held, hold = bool(view.communication.held), view.held_since
        if state == PARKED:
            state = CONNECTED  # between two parks
    if not tell_often(told, view, kind.over, None, since, state, held=held, hold_started_at=hold):
        told.append(Transition(view, kind.over, None, state, "", held, hold, snapshot=True))


def _segments(view: View, told: list[Transition]) -> None:
    """Report the holds in the segments of a REST body, except a hold that still lasts.

    A hold segment is assumed to begin at the `startHoldTime` of its hold (docs/protocol.md,
    "Segments"). That is a guess, so only dated segments count. A hold that ends with its leg has no
    resume.
    """
    over = view.state in ENDED
    for segment in view.communication.segments or ():
        since, until = instant(segment.start_time), instant(segment.end_time)
        if (segment.type or "").lower() != HOLD_SEGMENT or since is None:
            continue
        if until is None and not over:
            continue  # still lasts: `held` and `startHoldTime` show it
        spell = _spell(view.leg, _HOLD)
        spell.last = max(spell.last, since)
        _dated(view, _HOLD, since, told)
        if spell.since == since:
            spell.since = None
        if until is not None and not (over and until >= (view.ended_at or until)):
            tell_often(told, view, "resume", until, since, CONNECTED, hold_started_at=since)


def _spell(leg: Leg, kind: _Kind) -> Spell:
    spell = leg.hold if kind is _HOLD else leg.park
    if spell is None:
        spell = Spell()
        if kind is _HOLD:
            leg.hold = spell
        else:
            leg.park = spell
    return spell


def _numbered(leg: Leg, kind: _Kind) -> str:
    return f"#{1 + sum(name.startswith(kind.began + '#') for name in leg.often or ())}"


def _is_later_park(leg: Leg, parked_at: str) -> bool:
    return leg.park is None or parked_at > leg.park.last
