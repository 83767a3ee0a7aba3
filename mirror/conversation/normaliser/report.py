"""Makes events: what a transition is called, when it happened, and who saw it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from mirror.conversation import legs as named
from mirror.conversation.event import Event, EventType, Origin, identity
from mirror.conversation.legs import transition_id
from mirror.conversation.normaliser.bodies import (
    Communication,
    Participant,
    PersonalParticipant,
    Reference,
)
from mirror.conversation.normaliser.memory import Conversation, Leg, LegKey
from mirror.conversation.normaliser.personal import Personal
from mirror.conversation.normaliser.words import disconnect_type

# One bit for each event type, those that most legs have first: small numbers are shared objects.
BITS: Final[dict[str, int]] = {
    name: 1 << place
    for place, name in enumerate(
        ("answer", "disconnect", "alert", "dial", "transfer", "acw", "wrapup")
    )
}
# A leg that rings or dials is witnessed doing so, although Genesys does not say since when.
_WITNESSED: Final = frozenset({"alert", "dial"})


class Source(msgspec.Struct, frozen=True):
    """Where a reading comes from: what its events carry besides the transition itself."""

    received_at: str
    origin: Origin = "live"
    topic: str | None = None
    correlation_id: str | None = None


class View(msgspec.Struct, gc=False):
    """One leg as one reading shows it, beside what is known of it.

    `connected` and `ended_at` are the leg's own times, RFC 3339, null where it has none. `news`
    says whether the reading differs from the last one, `first` whether there was none.
    """

    participant: Participant
    communication: Communication
    leg: Leg
    state: str
    connected: str | None = None
    ended_at: str | None = None
    news: bool = True
    first: bool = False


class Report:
    """Collects the events of one reading. `first_sight`: nothing was known before it."""

    def __init__(
        self, conversation: Conversation, source: Source, personal: Personal | None
    ) -> None:
        self.conversation_id = conversation.id
        self.first_sight = not conversation.legs
        self.source = source
        self.personal = personal
        self.events: list[Event] = []

    def once(
        self,
        view: View,
        event_type: EventType,
        occurred_at: str | None,
        *,
        state: str = "",
        which: str = "",
    ) -> Event | None:
        """Report a transition of a leg, unless it was reported before: then null.

        `which` tells apart the transitions of which a leg can have several. Without `occurred_at`
        the time is ours. `state` is the one after the transition, that of the reading if not given.
        What only some transitions have (a hold, a wrap-up code) the caller adds to the event.
        """
        leg = view.leg
        if which:
            if not _is_new(leg, event_type + which):
                return None
        else:
            bit = BITS[event_type]
            if leg.once & bit:
                return None
            leg.once |= bit
        event_id = leg_event_id(self.conversation_id, leg.key, event_type, which)
        event = self._leg_event(view, event_type, event_id, occurred_at, state or view.state)
        if (
            occurred_at is None
            and self.first_sight
            and event.origin == "live"
            and event_type not in _WITNESSED
        ):
            event.origin = "snapshot"
        return event

    def snapshot(self, view: View, event_type: EventType) -> Event:
        """Report what a leg's state is now, without claiming to know when it became so."""
        key = named.LegKey(view.leg.key[0], view.leg.key[2])
        event_id = named.reading_id(self.conversation_id, key, event_type, self.source.received_at)
        event = self._leg_event(view, event_type, event_id, None, view.state)
        event.origin = "snapshot"
        return event

    def conversation(
        self, event_type: EventType, state: str, occurred_at: str | None, *which: str
    ) -> Event:
        """An event of the conversation as a whole: all fields of legs are null."""
        source = self.source
        return Event(
            event_id=identity(self.conversation_id, event_type, *which),
            event_type=event_type,
            conversation_id=self.conversation_id,
            state=state,
            occurred_at=occurred_at or source.received_at,
            estimated=occurred_at is None,
            received_at=source.received_at,
            origin=source.origin,
            source_topic=source.topic,
            correlation_id=source.correlation_id,
        )

    def _leg_event(
        self, view: View, event_type: EventType, event_id: str, occurred_at: str | None, state: str
    ) -> Event:
        participant, communication, source = view.participant, view.communication, self.source
        # Python passes up to 15 keyword arguments directly and more in a dict, at four times the
        # cost. So what is mostly null is set afterwards.
        event = Event(
            event_id=event_id,
            event_type=event_type,
            conversation_id=self.conversation_id,
            participant_id=participant.id,
            media_type=view.leg.key[1],
            communication_id=communication.id,
            purpose=participant.purpose,
            agent_id=participant.user_id or _id(participant.user),
            queue_id=participant.queue_id or _id(participant.queue),
            direction=communication.direction,
            state=state,
            occurred_at=occurred_at or source.received_at,
            received_at=source.received_at,
            source_topic=source.topic,
            correlation_id=source.correlation_id,
        )
        if source.origin != "live":
            event.origin = source.origin
        if occurred_at is None:
            event.estimated = True
        if view.leg.ended:
            event.disconnect_type = disconnect_type(communication.disconnect_type)
        if self.personal is not None and isinstance(participant, PersonalParticipant):
            self.personal.put(event, participant)
        self.events.append(event)
        return event


def _is_new(leg: Leg, mark: str) -> bool:
    """Note that a transition of those that come often was reported; whether it was not yet."""
    if leg.often is None:
        leg.often = {mark}
    elif mark in leg.often:
        return False
    else:
        leg.often.add(mark)
    return True


def leg_event_id(conversation_id: str, leg: LegKey, event_type: str, which: str = "") -> str:
    """The id of a transition of a leg; `which` as in `Report.once`."""
    return transition_id(conversation_id, named.LegKey(leg[0], leg[2]), event_type, which)


def names(legs: Iterable[LegKey]) -> list[str]:
    """What names an `end`: the legs that had ended, in an order that everybody has."""
    return sorted(f"{participant} {communication}" for participant, _, communication in legs)


def _id(reference: Reference | None) -> str | None:
    return (reference.id or None) if reference is not None else None
