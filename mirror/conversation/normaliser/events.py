"""Turns transitions into events: their type, time, origin and fields."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from mirror.conversation.event import STAFF, Event, Origin
from mirror.conversation.legs import reading_id, transition_id
from mirror.conversation.normaliser.bodies import PersonalParticipant
from mirror.conversation.normaliser.memory import Conversation
from mirror.conversation.normaliser.personal import Filling
from mirror.conversation.normaliser.transition import Transition, View
from mirror.conversation.normaliser.words import ENDED, VOICEMAIL, disconnect_type

# We witness a leg that rings or dials, although Genesys does not say since when it does.
_WITNESSED: Final = frozenset({"alert", "dial"})


class Source(msgspec.Struct, frozen=True):
    """The source of a reading: the fields that its events carry besides the transition."""

    received_at: str
    origin: Origin = "live"
    topic: str | None = None
    correlation_id: str | None = None


def events(
    conversation: Conversation,
    told: Iterable[Transition],
    source: Source,
    personal: Filling | None,
    first_sight: bool,
) -> list[Event]:
    """The events of one reading. On `first_sight` the conversation was unknown before.

    `personal` fills the personal fields; None with `MIRROR_PII=drop`.
    """
    made = []
    for transition in told:
        view = transition.view
        if view is None:
            event = _of_conversation(conversation, transition, source)
        else:
            event = _of_leg(conversation, transition, view, source)
            if personal is not None and isinstance(view.participant, PersonalParticipant):
                personal.put(event, view.participant)
            if transition.snapshot or (
                first_sight
                and transition.at is None
                and source.origin == "live"
                and transition.event_type not in _WITNESSED
            ):
                event.origin = "snapshot"
        made.append(event)
    return made


def _of_conversation(conversation: Conversation, transition: Transition, source: Source) -> Event:
    """An event of the conversation as a whole: all fields of legs are None."""
    return Event(
        event_id=transition.occurrence,
        event_type=transition.event_type,
        conversation_id=conversation.id,
        linked_conversation_id=conversation.linked,
        state=transition.state,
        occurred_at=transition.at or source.received_at,
        estimated=transition.at is None or not transition.exact,
        received_at=source.received_at,
        origin=source.origin,
        source_topic=source.topic,
        correlation_id=source.correlation_id,
    )


def _of_leg(
    conversation: Conversation, transition: Transition, view: View, source: Source
) -> Event:
    participant, communication, leg = view.participant, view.communication, view.leg
    key, purpose = leg.key, participant.purpose
    service = leg.service if purpose in STAFF else None
    if transition.snapshot:
        event_id = reading_id(conversation.id, key, transition.event_type, source.received_at)
    else:
        event_id = transition_id(conversation.id, key, transition.event_type, transition.occurrence)
    # Python passes up to 15 keyword arguments directly and more in a dict, at four times the cost.
    # So fields that are mostly None are set afterwards.
    event = Event(
        event_id=event_id,
        event_type=transition.event_type,
        conversation_id=conversation.id,
        participant_id=key.participant_id,
        media_type=leg.medium,
        communication_id=communication.id or None,
        purpose=purpose,
        agent_id=(participant.user_id or None) if purpose != VOICEMAIL else None,
        queue_id=(
            (communication.queue_id or participant.queue_id or None)
            if service is None
            else service.queue_id
        ),
        direction=communication.direction,
        state=transition.state,
        occurred_at=transition.at or source.received_at,
        received_at=source.received_at,
        source_topic=source.topic,
        correlation_id=source.correlation_id,
    )
    if service is not None:
        if view.late_role is not None:
            event.role, event.role_participant_id = view.late_role, view.late_role_on
        elif service.role is not None:
            event.role, event.role_participant_id = service.role, service.on
    if conversation.linked is not None:
        event.linked_conversation_id = conversation.linked
    if transition.held or transition.hold_started_at is not None:
        event.held, event.hold_started_at = transition.held, transition.hold_started_at
    if transition.code is not None:
        event.wrapup_code = transition.code
    if source.origin != "live":
        event.origin = source.origin
    if transition.at is None:
        event.estimated = True
    if transition.state in ENDED:  # a whole body also has the time before the end
        event.disconnect_type = disconnect_type(communication.disconnect_type)
    return event
