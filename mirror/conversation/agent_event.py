"""The flat record of an agent's state, for the topic `genesys-agents` (keyed by user id).

One record for each change of presence or of routing status. A record describes a state, not a
difference: the latest record by `occurred_at` of each `event_type` is the current state.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mirror.conversation.event import SCHEMA_VERSION, Origin

AgentEventType = Literal["presence", "routing_status"]


class AgentEvent(msgspec.Struct, kw_only=True):
    """One state of one user.

        if agent.event_type == "presence":
            presences[agent.user_id] = agent.presence      # ON_QUEUE

    `event_id` is made of user, kind, value and Genesys' time of the state. Without such a time the
    record is a `snapshot` reading with an id of its own. `presence` is the system presence in
    capitals (`ON_QUEUE`), `presence_id` the organisation's own presence. Both are null if
    `event_type` is `routing_status`; then `routing_status` holds the state (`IDLE`). Times as in
    `Event`.
    """

    schema_version: int = SCHEMA_VERSION
    event_id: str
    event_type: AgentEventType
    user_id: str
    presence: str | None = None
    presence_id: str | None = None
    routing_status: str | None = None
    occurred_at: str
    estimated: bool = False
    received_at: str
    origin: Origin = "live"
    source_topic: str | None = None
    correlation_id: str | None = None
