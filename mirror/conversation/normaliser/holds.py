"""Holds and parks: what one leg can go into and come out of several times.

A hold is named by its Genesys time where it has one (`startHoldTime`, shown while it lasts), and so
is the resume that ends it; parks and unparks are named by their own times. Where Genesys gives no
time they are told apart by their number on the leg.
"""

from __future__ import annotations

from typing import Final

from mirror.conversation.normaliser.memory import Leg
from mirror.conversation.normaliser.report import Report, View
from mirror.conversation.normaliser.words import CONNECTED, PARKED, STAFF, UNANSWERED
from mirror.conversation.times import instant

_HOLD: Final = "hold"
_ALERT: Final = "alert"


def alerts_told(view: View, report: Report) -> None:
    """Alerts that the segments of a REST body tell. They are dated, unlike witnessed ones."""
    for segment in view.communication.segments or ():
        if (segment.type or "").lower() == _ALERT:
            report.once(view, "alert", instant(segment.start_time), state=_ALERT)


def holds_told(view: View, report: Report) -> None:
    """Holds that the segments of a REST body tell, but for one that still lasts.

    A hold segment is taken to begin at the `startHoldTime` of its hold (docs/protocol.md,
    "Segments"): a guess, and the reason why it is not made of anything but a dated segment.
    """
    leg = view.leg
    for segment in view.communication.segments or ():
        since, until = instant(segment.start_time), instant(segment.end_time)
        if (segment.type or "").lower() != _HOLD or since is None:
            continue
        if until is None and not leg.ended:
            continue  # lasts: `held` and `startHoldTime` say so
        leg.last_hold = max(leg.last_hold, since)
        dated(view, report, since)
        if until is not None:
            if leg.held_since == since:
                leg.held_since = None
            resume = report.once(view, "resume", until, state=CONNECTED, which=since)
            if resume is not None:
                resume.hold_started_at = since


def hold(view: View, report: Report) -> None:
    """Report a hold that a live leg shows."""
    leg = view.leg
    if not view.communication.held:
        return
    since = instant(view.communication.start_hold_time)
    if since is None:
        if leg.held_since is None:
            # Genesys gave no time: holds are told apart by their number on this leg.
            leg.held_since = _numbered(leg, "hold")
            numbered = report.once(view, "hold", None, which=leg.held_since)
            if numbered is not None:
                numbered.held = True
        return
    if leg.held_since == since:
        return
    if since < leg.last_hold:  # a late frame: history, but not how the leg is now
        dated(view, report, since)
        return
    if leg.held_since is not None:
        _resume(view, report)  # one hold ended and the next began between two frames
    leg.held_since = leg.last_hold = since
    if not dated(view, report, since):
        _held_now(view, report, since)


def are_earlier(view: View) -> bool:
    """Whether a reading shows a leg before its latest park, or in a hold before its latest."""
    leg, shown = view.leg, view.communication
    if leg.last_park and last_park(view) < leg.last_park:
        return True
    if not leg.last_hold or not shown.held:
        return False
    since = instant(shown.start_hold_time)
    return since is not None and since < leg.last_hold


def dated(view: View, report: Report, since: str) -> bool:
    """Report the hold that began `since`; say whether it was new."""
    event = report.once(view, "hold", since, state=CONNECTED, which=since)
    if event is None:
        return False
    event.held, event.hold_started_at = True, since
    return True


def _held_now(view: View, report: Report, since: str | None) -> None:
    """Say that a leg is held, without claiming that the hold is new."""
    event = report.snapshot(view, "hold")
    event.held, event.hold_started_at = True, since


def park(view: View, report: Report) -> None:
    """Report parks and unparks that a leg shows by their times, or by its state."""
    leg = view.leg
    parked_at = parks_told(view, report)
    if view.state != PARKED or leg.ended:
        return
    if parked_at is not None:
        leg.parked_since = parked_at
    elif leg.parked_since is None:
        leg.parked_since = _numbered(leg, "park")
        report.once(view, "park", None, which=leg.parked_since)


def parks_told(view: View, report: Report) -> str | None:
    """Report the dated park and unpark that a reading shows, in their order; give the park's time.

    They are history too, and so are told of late frames.
    """
    leg, shown = view.leg, view.communication
    if shown.park_time is None and shown.resume_time is None:
        return None
    parked_at, resumed_at = instant(shown.park_time), instant(shown.resume_time)
    leg.last_park = max(leg.last_park, parked_at or "", resumed_at or "")
    again = resumed_at is not None and (parked_at or "") > resumed_at
    if resumed_at is not None and again:  # of an earlier park
        report.once(view, "unpark", resumed_at, which=resumed_at, state=CONNECTED)
    if parked_at is not None:
        report.once(view, "park", parked_at, which=parked_at, state=PARKED)
    if resumed_at is not None and not again and view.state != PARKED:
        report.once(view, "unpark", resumed_at, which=resumed_at, state=CONNECTED)
    return parked_at


def last_park(view: View) -> str:
    """The latest time of a park or unpark that a reading shows, empty where it shows none."""
    shown = view.communication
    return max(instant(shown.park_time) or "", instant(shown.resume_time) or "")


def confirm(view: View, report: Report) -> None:
    """Say whether a leg is held or parked that was answered and lives.

    Only staff hold: their customer is `confined` then.
    What has no time is a snapshot reading already on first sight (see `Report.once`).
    """
    if view.leg.ended or view.state in UNANSWERED or view.participant.purpose not in STAFF:
        return
    if view.communication.held:
        since = instant(view.communication.start_hold_time)
        if since is not None or not report.first_sight:
            _held_now(view, report, since)
    elif view.state == PARKED:
        report.snapshot(view, "park")
    elif view.connected is not None or not report.first_sight:
        report.snapshot(view, "answer")


def _numbered(leg: Leg, event_type: str) -> str:
    return f"#{1 + sum(name.startswith(event_type + '#') for name in leg.often or ())}"


def release(view: View, report: Report) -> None:
    """Report holds and parks that a leg no longer shows. Only for frames that are not late."""
    leg = view.leg
    if leg.ended:
        return
    if leg.held_since is not None and not view.communication.held:
        _resume(view, report)
    if leg.parked_since is not None and view.state != PARKED:
        _unpark(view, leg.parked_since, report)


def _unpark(view: View, parked_since: str, report: Report) -> None:
    """A park is over; a reading that does not show its time is older than the park."""
    if not parked_since.startswith("#") and instant(view.communication.park_time) != parked_since:
        return
    view.leg.parked_since = None
    if view.communication.resume_time is None:
        report.once(view, "unpark", None, which=parked_since)


def _resume(view: View, report: Report) -> None:
    since, view.leg.held_since = view.leg.held_since, None
    if since is None:
        return
    started = None if since.startswith("#") else since
    event = report.once(view, "resume", None, which=since) or report.snapshot(view, "resume")
    event.hold_started_at = started
