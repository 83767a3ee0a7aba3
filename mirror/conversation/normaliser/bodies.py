"""Typed structs of the fields of a conversation that the normaliser needs.

Frames and REST bodies share a shape: participants with an array of communications per medium
(docs/protocol.md, "Shapes"). The decoder skips fields that are not named here: they never become
Python objects, which makes reading a 4 KB frame cheap. Fields stand in the order in which Genesys
sends them, where the decoder looks first. Nothing here can be part of a cycle, so the garbage
collector need not watch these objects.

Only the `Personal…` structs have personal fields, so with `MIRROR_PII=drop` they are never decoded.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Reference(msgspec.Struct, gc=False):
    """`{"id": …}`; Genesys also sends it empty."""

    id: str | None = None


class Wrapup(msgspec.Struct, rename="camel", gc=False):
    """The wrap-up code that is saved now. Without `end_time` it may be provisional."""

    code: str | None = None
    end_time: str | None = None


class AfterCallWork(msgspec.Struct, rename="camel", gc=False):
    """After-call work of one communication."""

    state: str | None = None
    start_time: str | None = None
    end_time: str | None = None


class Segment(msgspec.Struct, rename="camel", gc=False):
    """A stretch of a communication's life; REST only. Types are capitalised there."""

    type: str | None = None
    start_time: str | None = None
    end_time: str | None = None


class Communication(msgspec.Struct, rename="camel", gc=False):
    """One communication of a participant. Only REST has segments and the start of alerting.

    Only analytics sets `queue_id`: each of its sessions has its own. `medium` comes from the array
    that holds the communication (`snapshot.communications`).
    """

    id: str | None = None
    state: str | None = None
    held: bool | None = None
    start_hold_time: str | None = None
    direction: str | None = None
    disconnect_type: str | None = None
    connected_time: str | None = None
    disconnected_time: str | None = None
    park_time: str | None = None
    wrapup: Wrapup | None = None
    after_call_work: AfterCallWork | None = None
    start_alerting_time: str | None = None
    segments: list[Segment] | None = None
    queue_id: str | None = msgspec.field(name="ourQueueId", default=None)
    medium: str = msgspec.field(name="ourMedium", default="call")


class SessionCommunication(Communication, gc=False):
    """A session of analytics. It has its own role; elsewhere the participant has the latest.

    `earlier` are the wrap-up codes before that of `wrapup`, in their order.
    """

    monitored_participant_id: str | None = None
    coached_participant_id: str | None = None
    barged_participant_id: str | None = None
    earlier: list[Wrapup] = []


Communications = list[Communication] | None


class ConsultMark(msgspec.Struct, rename="camel", gc=False):
    """The only attribute that is not personal: who began a consultation."""

    consult_initiator: Any = None


class Participant(msgspec.Struct, rename="camel", gc=False):
    """One party of a conversation, with all its communications."""

    id: str | None = None
    connected_time: str | None = None
    end_time: str | None = None
    user_id: str | None = None
    queue_id: str | None = None
    purpose: str | None = None
    consult_participant_id: str | None = None
    wrapup: Wrapup | None = None
    start_acw_time: str | None = None
    end_acw_time: str | None = None
    monitored_participant_id: str | None = None
    coached_participant_id: str | None = None
    barged_participant_id: str | None = None
    screen_monitored_participant_id: str | None = None
    attributes: ConsultMark | None = None
    calls: Communications = None
    callbacks: Communications = None
    chats: Communications = None
    emails: Communications = None
    messages: Communications = None
    internal_messages: Communications = None
    videos: Communications = None
    screenshares: Communications = None
    cobrowse_sessions: Communications = msgspec.field(name="cobrowsesessions", default=None)
    social_expressions: Communications = None
    screen_monitorings: Communications = None


class Body(msgspec.Struct, rename="camel", gc=False):
    """A conversation. `start_time` and `end_time` come from REST only."""

    id: str | None = None
    participants: list[Participant] | None = None
    start_time: str | None = None
    end_time: str | None = None
    associated_conversation: Reference | None = None
    message: str | None = None  # the text of `channel.metadata`, in heartbeats and pongs


class CutBody(msgspec.Struct, rename="camel", gc=False):
    """A conversation whose participants are still raw bytes: `snapshot.py` reads them."""

    id: str | None = None
    participants: list[msgspec.Raw] | None = None
    start_time: str | None = None
    end_time: str | None = None
    associated_conversation: Reference | None = None
    message: str | None = None


class Metadata(msgspec.Struct, gc=False):
    """Genesys' metadata of the frame itself."""

    correlation_id: str | None = msgspec.field(name="CorrelationId", default=None)


class Frame(msgspec.Struct, rename="camel", gc=False):
    """The envelope of every frame. Heartbeats have no version and no metadata."""

    topic_name: str | None = None
    event_body: Body | None = None
    metadata: Metadata | None = None


class CutFrame(msgspec.Struct, rename="camel", gc=False):
    """The envelope around a conversation whose participants are still raw bytes."""

    topic_name: str | None = None
    event_body: CutBody | None = None
    metadata: Metadata | None = None


class PersonalParticipant(Participant, rename="camel", gc=False):
    """A participant with the fields that identify a person."""

    name: str | None = None
    address: str | None = None
    ani: str | None = None
    dnis: str | None = None
    attributes: dict[str, Any] | None = None  # type: ignore[assignment]  # all of them


class PersonalBody(Body, rename="camel", gc=False):
    """A conversation with personal fields."""

    participants: list[PersonalParticipant] | None = None  # type: ignore[assignment]  # narrowed


class PersonalFrame(Frame, rename="camel", gc=False):
    """A frame with personal fields."""

    event_body: PersonalBody | None = None
