"""What a reading consists of: legs as it shows them, and the transitions that it adds. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from mirror.conversation.event import EventType, Role
from mirror.conversation.normaliser.bodies import Communication, Participant
from mirror.conversation.normaliser.memory import Leg
from mirror.conversation.times import instant

# One bit for each transition that a leg has once, those that most legs have first: small numbers
# are shared objects.
BITS: Final[dict[str, int]] = {
    name: 1 << place
    for place, name in enumerate(
        ("answer", "disconnect", "alert", "dial", "transfer", "acw", "acw_end")
    )
}
ANSWER: Final = BITS["answer"]
# Beyond so many holds, parks and codes of one leg, older ones are forgotten: if they came again,
# they would be told again under the same ids.
MAX_OFTEN: Final = 1_000


class Work(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """After-call work and wrap-up code of one leg. Times are as Genesys wrote them."""

    state: str | None
    began: str | None
    ended: str | None
    code: str | None
    coded_at: str | None


class View(msgspec.Struct, gc=False):
    """One leg as one reading shows it, beside what is known of it.

    Times are RFC 3339, null where the leg has none; `connected` is empty where it is there and
    cannot be read, and `flawed` then, or where another time cannot. `news` says whether the reading
    differs from the last one, `first` whether there was none, `is_followed` whether the participant
    got another leg since this one ended. `late_role`, on the participant `late_role_on`, is the
    role that a late frame shows.
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
        """Read the times of the leg, of which these two may be its participant's."""
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
    """Something that a reading shows and that was not told before.

    `view` is the leg as the reading shows it, null for the conversation. `at` is Genesys' time,
    null where it has none; not `exact` where it is a bound. `which` tells apart those that a leg
    can have several of (`mirror/conversation/legs.py`); for the conversation it is the event's id.
    A `snapshot` says how the leg is, not that something happened to it.
    """

    view: View | None
    event_type: EventType
    at: str | None
    state: str
    which: str = ""
    held: bool = False
    hold_started_at: str | None = None
    code: str | None = None
    snapshot: bool = False
    exact: bool = True


def tell(
    told: list[Transition], view: View, event_type: EventType, at: str | None, state: str = ""
) -> None:
    """Add a transition that a leg has once, unless it was told before.

    `state` is the one after the transition, that of the reading if not given.
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
    which: str,
    state: str = "",
    held: bool = False,
    hold_started_at: str | None = None,
    code: str | None = None,
) -> bool:
    """Add a transition that a leg can have several of, as `tell` does; whether it was new."""
    if not _is_new(view.leg, event_type + which):
        return False
    told.append(
        Transition(view, event_type, at, state or view.state, which, held, hold_started_at, code)
    )
    return True


def _is_new(leg: Leg, mark: str) -> bool:
    """Note that a transition of those that come often was told; whether it was not yet."""
    if leg.often is None or len(leg.often) >= MAX_OFTEN:
        leg.often = {mark}
    elif mark in leg.often:
        return False
    else:
        leg.often.add(mark)
    return True
