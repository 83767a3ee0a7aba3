"""Turns results of analytics queries into the body that all other shapes share.

Analytics is the fallback of back-fill, for conversations that `GET /conversations/{id}` does not
return. It has sessions and segments instead of states, so the last segment gives the state. A
session is a communication under the same id, and the only source of each communication's queue. Its
medium `unknown` cannot be named and is left out.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mirror.conversation.normaliser.bodies import (
    AfterCallWork,
    Communication,
    PersonalBody,
    PersonalParticipant,
    Reference,
    Segment,
    SessionCommunication,
    Wrapup,
)
from mirror.conversation.normaliser.words import (
    CONNECTED,
    HOLD_SEGMENT,
    MEDIA_OF_ANALYTICS,
    MEDIA_OF_ARRAY,
    PARKED,
    STATE_OF_SEGMENT,
    WAITING_SEGMENTS,
    WRAPUP_SEGMENT,
)
from mirror.conversation.times import instant

_ARRAY_OF_MEDIUM: Final = {medium: array for array, medium in MEDIA_OF_ARRAY.items()}


class SessionSegment(msgspec.Struct, rename="camel"):
    """A stretch of a session; the last segment says how the session was disconnected."""

    segment_type: str | None = None
    segment_start: str | None = None
    segment_end: str | None = None
    disconnect_type: str | None = None
    queue_id: str | None = None
    wrap_up_code: str | None = None
    destination_conversation_id: str | None = None

    @property
    def kind(self) -> str:
        """Its type in lower case."""
        return (self.segment_type or "unknown").lower()


class Session(msgspec.Struct, rename="camel"):
    """A communication; its id is the communication's."""

    session_id: str | None = None
    media_type: str | None = None
    direction: str | None = None
    ani: str | None = None
    dnis: str | None = None
    monitored_participant_id: str | None = None
    coached_participant_id: str | None = None
    barged_participant_id: str | None = None
    segments: list[SessionSegment] | None = None


class AnalyticsParticipant(msgspec.Struct, rename="camel"):
    """A participant with its sessions."""

    participant_id: str | None = None
    participant_name: str | None = None
    purpose: str | None = None
    user_id: str | None = None
    sessions: list[Session] | None = None


class AnalyticsBody(msgspec.Struct, rename="camel"):
    """The fields of AnalyticsConversationWithoutAttributes that are read."""

    conversation_id: str | None = None
    conversation_start: str | None = None
    conversation_end: str | None = None
    associated_conversation_id: str | None = None
    participants: list[AnalyticsParticipant] | None = None


def body_of(conversation: AnalyticsBody) -> tuple[PersonalBody, bool]:
    """The conversation as a body, and whether the body has all of its legs."""
    participants: list[PersonalParticipant] = []
    complete = True
    over = conversation.conversation_end is not None
    for shown in conversation.participants or ():
        participant = PersonalParticipant(
            id=shown.participant_id,
            purpose=shown.purpose,
            user_id=shown.user_id,
            name=shown.participant_name,
        )
        for session in shown.sessions or ():
            medium = MEDIA_OF_ANALYTICS.get((session.media_type or "").lower())
            if medium is None:
                complete = False
                continue
            array = _ARRAY_OF_MEDIUM[medium]
            communications = getattr(participant, array)
            if communications is None:
                communications = []
                setattr(participant, array, communications)
            communications.append(_communication(session, over))
            _add(participant, session)
        participants.append(participant)
    body = PersonalBody(
        id=conversation.conversation_id,
        participants=participants,
        start_time=conversation.conversation_start,
        end_time=conversation.conversation_end,
        associated_conversation=Reference(_linked(conversation)),
    )
    return body, complete


def _linked(conversation: AnalyticsBody) -> str | None:
    """The id of the conversation that this one serves, or that a merge moved it into."""
    if conversation.associated_conversation_id:
        return conversation.associated_conversation_id
    for participant in conversation.participants or ():
        for session in participant.sessions or ():
            for segment in session.segments or ():
                linked = segment.destination_conversation_id
                if linked and linked != conversation.conversation_id:
                    return linked
    return None


def _add(participant: PersonalParticipant, session: Session) -> None:
    """Add the fields of a session to its participant."""
    participant.ani = participant.ani or session.ani
    participant.dnis = participant.dnis or session.dnis


def _communication(session: Session, over: bool) -> Communication:
    """A session as a communication; `over`: the whole conversation has ended.

    Genesys does not say that segments stand in the order of their times.
    """
    segments = sorted(session.segments or (), key=_began)
    own = [segment for segment in segments if segment.kind != WRAPUP_SEGMENT]
    after = [segment for segment in segments if segment.kind == WRAPUP_SEGMENT]
    communication = SessionCommunication(
        id=session.session_id,
        direction=session.direction,
        monitored_participant_id=session.monitored_participant_id,
        coached_participant_id=session.coached_participant_id,
        barged_participant_id=session.barged_participant_id,
    )
    for segment in segments:
        communication.queue_id = segment.queue_id or communication.queue_id
    connected = (segment for segment in own if segment.kind not in WAITING_SEGMENTS)
    communication.connected_time = next((segment.segment_start for segment in connected), None)
    communication.segments = [
        Segment(segment.segment_type, segment.segment_start, segment.segment_end) for segment in own
    ]
    if own:
        _state(communication, own, over or bool(after))
    if after:
        first, last = after[0], after[-1]
        communication.after_call_work = AfterCallWork(None, first.segment_start, last.segment_end)
        codes = [
            Wrapup(segment.wrap_up_code, segment.segment_end)
            for segment in after
            if segment.wrap_up_code
        ]
        if codes:
            *communication.earlier, communication.wrapup = codes
    return communication


def _began(segment: SessionSegment) -> str:
    return instant(segment.segment_start) or ""


def _state(communication: Communication, own: list[SessionSegment], over: bool) -> None:
    """Set the state. A session without a disconnect type is live, unless the conversation is `over`
    or its after-call work began.
    """
    last = own[-1]
    kind = next((s.disconnect_type for s in reversed(own) if s.disconnect_type), None)
    if (kind is not None or over) and last.segment_end is not None:
        communication.state = "disconnected"
        communication.disconnect_type = kind
        communication.disconnected_time = last.segment_end
        return
    communication.state = STATE_OF_SEGMENT.get(last.kind, CONNECTED)
    if communication.state == PARKED:
        communication.park_time = last.segment_start
    if last.kind == HOLD_SEGMENT and last.segment_end is None:
        communication.held = True
        communication.start_hold_time = last.segment_start
