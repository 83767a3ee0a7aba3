"""Frames of agent topics → `AgentEvent`: presence, routing status, and both in one (activity).

The topic names the user: a presence frame has no user id in its body (docs/protocol.md, "Agents").
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mirror.conversation.agent_event import AgentEvent
from mirror.conversation.event import identity
from mirror.conversation.normaliser.bodies import Metadata
from mirror.conversation.times import instant


class PresenceDefinition(msgspec.Struct, rename="camel"):
    """A presence of the organisation and Genesys' system presence behind it."""

    id: str | None = None
    system_presence: str | None = None


class Presence(msgspec.Struct, rename="camel"):
    """The presence of a user. `modified_date` is missing in the recorded frame."""

    presence_definition: PresenceDefinition | None = None
    modified_date: str | None = None


class RoutingStatus(msgspec.Struct, rename="camel"):
    """Whether a user takes interactions from queues, and since when."""

    status: str | None = None
    start_time: str | None = None


class AgentBody(Presence, rename="camel"):
    """The bodies of `.presence` (flat), `.routingStatus` and `.activity` in one."""

    presence: Presence | None = None
    routing_status: RoutingStatus | None = None


class AgentFrame(msgspec.Struct, rename="camel"):
    """The envelope, the same as for conversations."""

    topic_name: str | None = None
    event_body: AgentBody | None = None
    metadata: Metadata | None = None


def agent_events(topic: str, frame: AgentFrame, received_at: str) -> list[AgentEvent]:
    """The states that a frame of `v2.users.{id}.presence|routingStatus|activity` shows."""
    body = frame.event_body
    if body is None:
        return []
    make = _Maker(topic, frame.metadata, received_at)
    events: list[AgentEvent] = []
    presence = body.presence or body
    definition = presence.presence_definition
    if definition is not None and (definition.system_presence or definition.id):
        word = (definition.system_presence or "").upper().replace(" ", "_") or None
        event = make.event("presence", f"{word} {definition.id}", instant(presence.modified_date))
        event.presence, event.presence_id = word, definition.id
        events.append(event)
    routing = body.routing_status
    if routing is not None and routing.status:
        event = make.event("routing_status", routing.status, instant(routing.start_time))
        event.routing_status = routing.status
        events.append(event)
    return events


class _Maker:
    """Makes the events of one frame from the parts that they share."""

    def __init__(self, topic: str, metadata: Metadata | None, received_at: str) -> None:
        self._topic = topic
        self._user = topic.split(".")[2]
        self._correlation = metadata.correlation_id if metadata is not None else None
        self._received_at = received_at

    def event(
        self, kind: Literal["presence", "routing_status"], value: str, occurred_at: str | None
    ) -> AgentEvent:
        # Without Genesys' time, only our own time tells a return to a state from its repeat.
        at = occurred_at or self._received_at
        basis = ("dated",) if occurred_at is not None else ("snapshot",)
        return AgentEvent(
            event_id=identity(self._user, kind, value, at, *basis),
            event_type=kind,
            user_id=self._user,
            occurred_at=at,
            estimated=occurred_at is None,
            received_at=self._received_at,
            origin="live" if occurred_at is not None else "snapshot",
            source_topic=self._topic,
            correlation_id=self._correlation,
        )
