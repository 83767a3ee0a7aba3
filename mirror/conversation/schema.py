"""The JSON Schema of the event, made from the struct that makes the events.

All fields are required and no others allowed, because every event has exactly these
(docs/event.md). Fields whose words are Genesys' stay open strings: it adds words.
"""

from __future__ import annotations

import inspect
from typing import Any, Final

import msgspec

from mirror.conversation.agent_event import AgentEvent
from mirror.conversation.event import Event

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
TIME_PATTERN: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"
ID_PATTERN: Final = "^[0-9a-f]{32}$"

MEDIA: Final = (
    "call",
    "callback",
    "chat",
    "email",
    "message",
    "internal_message",
    "video",
    "screenshare",
    "cobrowse",
    "social_expression",
    "screen_monitoring",
)
_TIMES: Final = ("occurred_at", "received_at", "hold_started_at")

DESCRIPTIONS: Final[dict[str, str]] = {
    "schema_version": "Rises when the meaning of a field changes.",
    "event_id": "Equal for the same transition, whoever saw it; its own on snapshot readings.",
    "event_type": "What happened.",
    "conversation_id": "The conversation; the key of the Kafka record.",
    "participant_id": "Null on start, end and finalize.",
    "media_type": "The medium of the leg.",
    "communication_id": "The communication: with participant_id it names the leg.",
    "purpose": "The participant's purpose in Genesys' words: customer, agent, acd, ivr and others.",
    "agent_id": "The user of the leg.",
    "queue_id": "The queue of the leg while it lived.",
    "role": "This leg listens, whispers, joined in or is consulted; null: it serves.",
    "role_participant_id": "With a role: on whom.",
    "linked_conversation_id": "The conversation that this one serves, where Genesys says so.",
    "direction": "inbound or outbound, as the source says.",
    "state": "After the transition: of the leg in Genesys' words, or active/ended.",
    "held": "Whether the leg is on hold after the transition.",
    "hold_started_at": "On hold and resume: when that hold began.",
    "disconnect_type": "In the spelling of notifications; null while the leg lives.",
    "wrapup_code": "On wrapup: the code.",
    "occurred_at": "Genesys' time of the transition where the source has one, else received_at.",
    "estimated": "Whether occurred_at is received_at for want of a time of Genesys'.",
    "received_at": "When this mirror read the frame or answer.",
    "origin": "snapshot: a state that was read, not a transition that was seen.",
    "source_topic": "The notification topic.",
    "correlation_id": "Of the notification.",
    "reason": "On finalize: why.",
    "ani": "Personal; null unless MIRROR_PII is hash or keep.",
    "dnis": "Personal; null unless MIRROR_PII is hash or keep.",
    "address": "Personal; null unless MIRROR_PII is hash or keep.",
    "participant_name": "Personal; null unless MIRROR_PII is hash or keep.",
    "attributes": "Personal, values by name; null unless MIRROR_PII is hash or keep.",
    "user_id": "The user; the key of the Kafka record.",
    "presence": "The system presence in capitals, on presence.",
    "presence_id": "The organisation's presence, on presence.",
    "routing_status": "Genesys' word, on routing_status.",
}


def event_schema() -> dict[str, Any]:
    """The JSON Schema of an event of the interaction topic."""
    return _schema(Event, "Genesys interaction event")


def agent_event_schema() -> dict[str, Any]:
    """The JSON Schema of a record of the agents topic."""
    return _schema(AgentEvent, "Genesys agent event")


def _schema(kind: type[msgspec.Struct], title: str) -> dict[str, Any]:
    _, definitions = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    made: dict[str, Any] = definitions[kind.__name__]
    properties: dict[str, Any] = made["properties"]
    for name, schema in properties.items():
        schema.pop("default", None)
        if name in _TIMES:
            _refine(schema, {"format": "date-time", "pattern": TIME_PATTERN})
        elif name == "event_id":
            _refine(schema, {"pattern": ID_PATTERN})
        elif name == "media_type":
            properties[name] = schema = {"enum": [None, *MEDIA]}
        elif name == "schema_version":
            properties[name] = schema = {"const": 1}
        schema["description"] = DESCRIPTIONS[name]
    return {
        "$schema": DIALECT,
        "title": title,
        "description": inspect.cleandoc(kind.__doc__ or "").split("\n", 1)[0],
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _refine(schema: dict[str, Any], more: dict[str, Any]) -> None:
    """Add `more` to the string that `schema` describes, also where null is allowed besides."""
    for option in schema.get("anyOf", (schema,)):
        if option.get("type") == "string":
            option.update(more)
