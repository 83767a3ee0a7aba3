"""What is read of a frame: typed structs of the needed fields, nested and flat shape in one.

The nested shape (`…conversations`) has participants with an array per medium; the flat shape
(`…conversations.calls`) lifts the fields of one medium up into the participant. The two share no
field with different types, so one set of structs reads both in one pass, and REST bodies too.
Fields that are not named here are skipped by the decoder and never become Python objects, which is
what makes reading a 4 KB frame cheap. Fields stand in the order in which Genesys sends them, where
the decoder looks first. Nothing here can be part of a cycle, so the garbage collector need not
watch it. Class names of Genesys: docs/protocol.md, "Shapes".

Personal fields are only in the `Personal…` structs, so that with `MIRROR_PII=drop` they are not
even decoded.
"""

from __future__ import annotations

import msgspec


class Reference(msgspec.Struct, gc=False):
    """`{"id": …}`; Genesys also sends it empty."""

    id: str | None = None


class Wrapup(msgspec.Struct, rename="camel", gc=False):
    """How a handled interaction was coded."""

    code: str | None = None
    end_time: str | None = None


class AfterCallWork(msgspec.Struct, rename="camel", gc=False):
    """After-call work as a communication of the nested shape has it."""

    state: str | None = None
    start_time: str | None = None
    end_time: str | None = None


class Segment(msgspec.Struct, rename="camel", gc=False):
    """A stretch of a communication's life; REST only."""

    type: str | None = None
    start_time: str | None = None
    end_time: str | None = None


class Communication(msgspec.Struct, rename="camel", gc=False):
    """One communication of the nested shape: a leg of one participant over one medium."""

    id: str | None = None
    state: str | None = None
    held: bool | None = None
    start_hold_time: str | None = None
    direction: str | None = None
    disconnect_type: str | None = None
    connected_time: str | None = None
    disconnected_time: str | None = None
    park_time: str | None = None
    resume_time: str | None = None
    wrapup: Wrapup | None = None
    after_call_work: AfterCallWork | None = None
    after_call_work_required: bool | None = None
    segments: list[Segment] | None = None


Communications = list[Communication] | None


class Participant(msgspec.Struct, rename="camel", gc=False):
    """A participant of either shape. `state` is set in the flat shape only."""

    id: str | None = None
    connected_time: str | None = None
    end_time: str | None = None
    user_id: str | None = None
    queue_id: str | None = None
    purpose: str | None = None
    wrapup: Wrapup | None = None
    start_acw_time: str | None = None
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
    # Flat shape: the fields of the one medium, and references instead of plain ids.
    state: str | None = None
    held: bool | None = None
    start_hold_time: str | None = None
    direction: str | None = None
    disconnect_type: str | None = None
    park_time: str | None = None
    resume_time: str | None = None
    user: Reference | None = None
    queue: Reference | None = None


class Body(msgspec.Struct, rename="camel", gc=False):
    """A conversation. `start_time` and `end_time` come from REST only."""

    id: str | None = None
    participants: list[Participant] | None = None
    start_time: str | None = None
    end_time: str | None = None
    other_media_uris: list[str] | None = None  # flat shape only
    message: str | None = None  # heartbeats and pongs: what `channel.metadata` says


class CutBody(msgspec.Struct, rename="camel", gc=False):
    """A conversation whose participants are not read yet: `pieces.py`."""

    id: str | None = None
    participants: list[msgspec.Raw] | None = None
    start_time: str | None = None
    end_time: str | None = None
    other_media_uris: list[str] | None = None
    message: str | None = None


class Metadata(msgspec.Struct, gc=False):
    """What the service says of the frame itself."""

    correlation_id: str | None = msgspec.field(name="CorrelationId", default=None)


class Frame(msgspec.Struct, rename="camel", gc=False):
    """The envelope of every frame. Heartbeats have no version and no metadata."""

    topic_name: str | None = None
    event_body: Body | None = None
    metadata: Metadata | None = None


class CutFrame(msgspec.Struct, rename="camel", gc=False):
    """The envelope around a conversation whose participants are not read yet."""

    topic_name: str | None = None
    event_body: CutBody | None = None
    metadata: Metadata | None = None


class PersonalParticipant(Participant, rename="camel", gc=False):
    """A participant with the fields that tell who somebody is."""

    name: str | None = None
    address: str | None = None
    ani: str | None = None
    dnis: str | None = None
    attributes: dict[str, str] | None = None


class PersonalBody(Body, rename="camel", gc=False):
    """A conversation with personal fields."""

    participants: list[PersonalParticipant] | None = None  # type: ignore[assignment]  # narrowed


class PersonalFrame(Frame, rename="camel", gc=False):
    """A frame with personal fields."""

    event_body: PersonalBody | None = None
