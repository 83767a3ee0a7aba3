"""The parts of a reading: the legs that it shows and the transitions that it adds. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from mirror.conversation.event import EventType, Role
from mirror.conversation.normaliser.bodies import Communication, Participant
from mirror.conversation.normaliser.memory import Leg
from mirror.conversation.times import instant

# One bit for each transition that a leg has once. The most common ones come first: Python shares
# the objects of small numbers.
BITS: Final[dict[str, int]] = {
    name: 1 << place
    for place, name in enumerate(
        ("answer", "disconnect", "alert", "dial", "transfer", "acw", "acw_end")
    )
}
ANSWER: Final = BITS["answer"]
# Older holds, parks and codes of one leg beyond this number are forgotten: if they came again, they
# would be reported again under the same ids.
MAX_OFTEN: Final = 1_000


class Work(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """After-call work and wrap-up code of one leg. Times are as Genesys wrote them."""

    state: str | None
    began: str | None
    ended: str | None
    code: str | None
    coded_at: str | None


class View(msgspec.Struct, gc=False):
    """One leg in one reading, beside the memory of the leg.

    Times are RFC 3339, None if the leg has none. `connected` is empty if its time is invalid;
    `flawed` says that any of its times is invalid. `news`: the reading differs from the last one.
    `first`: there was no reading before. `is_followed`: the participant got another leg since this
    leg ended. `late_role` is the role that a late frame shows, on the participant `late_role_on`.
    """

    participant: Participant
    communication: Communication
    leg: Leg
    state: str
    work: Work | None
    news: bool
    first: bool
    connected: str | None = None
    ended_at: str | None = None
    held_since: str | None = None
    parked_at: str | None = None
    is_followed: bool = False
    flawed: bool = False
    late_role: Role | None = None
    late_role_on: str | None = None

    def times(self, connected: str | None, ended_at: str | None) -> None:
        """Read the times of the leg. These two may be its participant's."""
        hold, park = self.communication.start_hold_time, self.communication.park_time
        read: str | None
        if connected:
            self.connected = read = instant(connected) or ""
            if not read:
                self.flawed = True
        if ended_at:
            self.ended_at = read = instant(ended_at)
            if read is None:
                self.flawed = True
        if hold:
            self.held_since = read = instant(hold)
            if read is None:
                self.flawed = True
        if park:
            self.parked_at = read = instant(park)
            if read is None:
                self.flawed = True


class Transition(msgspec.Struct, gc=False):
    """A change in a reading that was not reported before.

    `view` is the leg in the reading, None for the conversation. `at` is Genesys' time, None without
    one; not `exact` if it is only a bound. `occurrence` tells apart transitions that a leg can have
    several of (`mirror/conversation/legs.py`); for the conversation it is the event's id. A
    `snapshot` describes a state of the leg, not a change.
    """

    view: View | None
    event_type: EventType
    at: str | None
    state: str
    occurrence: str = ""
    held: bool = False
    hold_started_at: str | None = None
    code: str | None = None
    snapshot: bool = False
    exact: bool = True


def tell(
    told: list[Transition], view: View, event_type: EventType, at: str | None, state: str = ""
) -> None:
    """Add a transition that a leg has once, unless it was reported before.

    `state` is the state after the transition; the default is the reading's.
    """
    leg = view.leg
    bit = BITS[event_type]
    if not leg.once & bit:
        leg.once |= bit
        told.append(Transition(view, event_type, at, state or view.state))


def tell_often(
    told: list[Transition],
    view: View,
    event_type: EventType,
    at: str | None,
    occurrence: str,
    state: str = "",
    held: bool = False,
    hold_started_at: str | None = None,
    code: str | None = None,
) -> bool:
    """Add a transition that a leg can have several of, like `tell`. Returns whether it was new."""
    if not _is_new(view.leg, event_type + occurrence):
        return False
    told.append(
        Transition(
            view, event_type, at, state or view.state, occurrence, held, hold_started_at, code
        )
    )
    return True


def _is_new(leg: Leg, mark: str) -> bool:
    """Note a transition of the repeatable kind. Returns whether it was not reported before."""
    if leg.often is None or len(leg.often) >= MAX_OFTEN:
        leg.often = {mark}
    elif mark in leg.often:
        return False
    else:
        leg.often.add(mark)
    return True
