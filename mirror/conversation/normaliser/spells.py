"""Holds and parks: what one leg can go into and come out of several times.

A hold is named by its Genesys time (`startHoldTime`, shown while it lasts), and so is the resume
that ends it; a park and its unpark by `parkTime`. Where Genesys gives no time they are told apart
by their number on the leg. Whether a leg is held or parked, its state alone says: `resumeTime` is
when somebody plans to go on, and what the keys of a park do when it is taken up again is not
documented (docs/protocol.md, "Parks").
"""

from __future__ import annotations

from typing import Final, NamedTuple

from mirror.conversation.event import EventType
from mirror.conversation.normaliser.memory import Leg, Spell
from mirror.conversation.normaliser.transition import Transition, View, tell_often
from mirror.conversation.normaliser.words import CONNECTED, ENDED, HOLD_SEGMENT, PARKED
from mirror.conversation.times import instant


class _Kind(NamedTuple):
    began: EventType
    over: EventType


_HOLD: Final = _Kind("hold", "resume")
_PARK: Final = _Kind("park", "unpark")


def are_earlier(view: View) -> bool:
    """Whether a reading shows a leg in a hold before its latest, or before its latest park."""
    leg = view.leg
    if leg.park is not None and view.parked_at is not None and view.parked_at < leg.park.last:
        return True
    if leg.hold is None or view.held_since is None or not view.communication.held:
        return False
    return view.held_since < leg.hold.last


def history(view: View, told: list[Transition]) -> None:
    """Tell the dated hold and park that a late reading shows."""
    if view.communication.held and view.held_since is not None:
        _dated(view, _HOLD, view.held_since, told)
    if view.parked_at is not None:
        _dated(view, _PARK, view.parked_at, told)


def advance(view: View, told: list[Transition]) -> None:
    """Tell the hold and the park that a live leg shows, and a park that it came out of unseen."""
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
    """What a leg that is over shows of its holds and parks. Those that it ended in just stop."""
    if view.communication.segments:
        _segments(view, told)
    if view.parked_at is not None:
        _dated(view, _PARK, view.parked_at, told)
    leg = view.leg
    if leg.hold is not None:
        leg.hold.since = None
    if leg.park is not None:
        leg.park.since = None


def release(view: View, told: list[Transition]) -> None:
    """Tell the ends of the hold and the park that a leg no longer shows.

    Only for frames that are not late.
    """
    leg = view.leg
    if leg.ended:
        return
    if leg.hold is not None and leg.hold.since is not None and not view.communication.held:
        _over(view, _HOLD, told)
    if leg.park is not None and leg.park.since is not None and view.state != PARKED:
        _over(view, _PARK, told)


def _begin(view: View, kind: _Kind, since: str | None, told: list[Transition]) -> None:
    """A leg is held or parked, since then where Genesys says so."""
    spell = _spell(view.leg, kind)
    if since is None:
        if spell.since is None:
            spell.since = _numbered(view.leg, kind)
            tell_often(told, view, kind.began, None, spell.since, held=kind is _HOLD)
        return
    if spell.since == since:
        return
    if since < spell.last:  # history, but not how the leg is now
        _dated(view, kind, since, told)
        return
    if spell.since is not None:
        _over(view, kind, told)  # it ended and the next began between two frames
    spell.since = spell.last = since
    if not _dated(view, kind, since, told):
        # Told before, and its end perhaps too: say how it is, without claiming that it is new.
        hold = since if kind is _HOLD else None
        told.append(
            Transition(view, kind.began, None, view.state, "", kind is _HOLD, hold, snapshot=True)
        )


def _dated(view: View, kind: _Kind, since: str, told: list[Transition]) -> bool:
    """Tell what began `since`; whether it was new."""
    if kind is _PARK:
        return tell_often(told, view, "park", since, since, PARKED)
    return tell_often(told, view, "hold", since, since, CONNECTED, held=True, hold_started_at=since)


def _over(view: View, kind: _Kind, told: list[Transition]) -> None:
    """What lasted is over, at a time that Genesys does not say."""
    spell = _spell(view.leg, kind)
    since, spell.since = spell.since, None
    if since is None:
        return
    if kind is _HOLD:
        held, hold = False, None if since.startswith("#") else since
    else:  # a leg that was taken up again may be held by now
        held, hold = bool(view.communication.held), view.held_since
    if not tell_often(told, view, kind.over, None, since, held=held, hold_started_at=hold):
        told.append(Transition(view, kind.over, None, view.state, "", held, hold, snapshot=True))


def _segments(view: View, told: list[Transition]) -> None:
    """Holds that the segments of a REST body tell, but for one that still lasts.

    A hold segment is taken to begin at the `startHoldTime` of its hold (docs/protocol.md,
    "Segments"): a guess, and the reason why it is not made of anything but a dated segment. A hold
    that ends with its leg has no resume.
    """
    over = view.state in ENDED
    for segment in view.communication.segments or ():
        since, until = instant(segment.start_time), instant(segment.end_time)
        if (segment.type or "").lower() != HOLD_SEGMENT or since is None:
            continue
        if until is None and not over:
            continue  # lasts: `held` and `startHoldTime` say so
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
