"""A conversation's memory as tuples: the form that the native reader exchanges with Python.

Only the bytes of the last snapshot are lost on the way; they only make reading faster. A
conversation that is linked to another one has no such form: the native reader cannot hold the link
(docs/native.md).
"""

from __future__ import annotations

from typing import Any

from mirror.conversation.event import Role
from mirror.conversation.legs import LegKey
from mirror.conversation.normaliser.memory import Conversation, Known, Leg, Service, Spell

State = tuple[Any, ...]


def state_of(conversation: Conversation) -> State | None:
    """The state for the native reader; None if the native reader cannot hold all of it."""
    if conversation.linked is not None:
        return None
    legs = list(conversation.legs.values())
    places = {leg.key: place for place, leg in enumerate(legs)}
    return (
        list(conversation.ends),
        conversation.last_frame,
        conversation.doubtful,
        conversation.late,
        conversation.interruptions,
        [_state_of_leg(leg) for leg in legs],
        [
            (known.digest, [places[leg.key] for leg in known.legs], known.ended)
            for known in conversation.known
        ],
    )


def _state_of_leg(leg: Leg) -> State:
    hold, park, service = leg.hold, leg.park, leg.service
    return (
        leg.key.participant_id,
        leg.key.communication_id,
        leg.medium,
        leg.seen,
        leg.once,
        None if leg.often is None else list(leg.often),
        leg.ended,
        leg.ended_at,
        None if hold is None else (hold.since, hold.last),
        None if park is None else (park.since, park.last),
        None
        if service is None
        else (
            service.since,
            service.queue_id,
            service.role,
            service.on,
            list(service.codes),
            service.coded_at,
        ),
    )


def conversation_of(conversation_id: str, state: State) -> Conversation:
    """The conversation of a state that the native reader gave."""
    ends, last_frame, doubtful, late, interruptions, legs, known = state
    made = [_leg_of(*leg) for leg in legs]
    return Conversation(
        id=conversation_id,
        legs={leg.key: leg for leg in made},
        known=[
            Known(digest, tuple(made[place] for place in places), ended)
            for digest, places, ended in known
        ],
        open=sum(not leg.ended for leg in made),
        ends=tuple(ends),
        last_frame=last_frame,
        doubtful=doubtful,
        late=late,
        interruptions=interruptions,
    )


def _leg_of(
    participant_id: str,
    communication_id: str,
    medium: str,
    seen: int | None,
    once: int,
    often: list[str] | None,
    ended: bool,
    ended_at: str | None,
    hold: tuple[str | None, str] | None,
    park: tuple[str | None, str] | None,
    service: tuple[str | None, str | None, Role | None, str | None, list[str], str] | None,
) -> Leg:
    served = None
    if service is not None:
        since, queue_id, role, on, codes, coded_at = service
        served = Service(since, queue_id, role, on, tuple(codes), coded_at)
    return Leg(
        LegKey(participant_id, communication_id),
        medium,
        seen,
        once,
        None if often is None else set(often),
        ended,
        ended_at,
        None if hold is None else Spell(*hold),
        None if park is None else Spell(*park),
        served,
    )
