"""The JSON Schemas of event and view, generated from their structs.

All fields are required and no others are allowed: every event has exactly these fields
(docs/event.md). Fields with Genesys' words stay open strings, because Genesys adds words.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from mirror.conversation.agent_event import AgentEvent
from mirror.conversation.event import Event
from mirror.conversation.published import PublishedLeg, PublishedView

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
_TIMES: Final = (
    "occurred_at",
    "received_at",
    "hold_started_at",
    "started_at",
    "ended_at",
    "since",
    "answered_at",
    "updated_at",
)

DESCRIPTIONS: Final[dict[str, str]] = {
    "schema_version": "Rises when the meaning of a field changes.",
    "event_id": "The same for one transition in every source. A snapshot reading has its own id.",
    "event_type": "What happened.",
    "conversation_id": "The conversation; the key of the Kafka record.",
    "participant_id": "Null on start, end and finalize.",
    "media_type": "The medium of the leg.",
    "communication_id": "The communication: with participant_id it names the leg.",
    "purpose": "The participant's purpose in Genesys' words: customer, agent, acd, ivr and others.",
    "agent_id": "The user of the leg.",
    "queue_id": "The queue of the leg while it lived.",
    "role": "monitor, coach, barge or consult: this leg does not serve. Null: it serves.",
    "role_participant_id": "With a role: the participant that it concerns.",
    "linked_conversation_id": "The conversation that this one serves, if Genesys says so.",
    "direction": "inbound or outbound, as the source says.",
    "state": "After the transition: of the leg in Genesys' words, or active/ended.",
    "held": "Whether the leg is on hold after the transition.",
    "hold_started_at": "On hold and resume: when that hold began.",
    "disconnect_type": "In the spelling of notifications; null while the leg lives.",
    "wrapup_code": "On wrapup: the code.",
    "occurred_at": "Genesys' time of the transition if the source has one, else received_at. For "
    "an estimated start, the earliest time of a leg, if one has any.",
    "estimated": "Whether occurred_at is not Genesys' own time of the transition.",
    "received_at": "When this mirror read the frame or answer.",
    "origin": "snapshot: a state that was read, not a transition that was seen.",
    "source_topic": "The notification topic.",
    "correlation_id": "Of the notification.",
    "reason": "On finalize: the reason.",
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

VIEW_DESCRIPTIONS: Final[dict[str, str]] = {
    "conversation_id": "The conversation; the key of the Kafka record.",
    "state": "active while a leg lives or no end was seen, else ended.",
    "started_at": "When it began; null if no start was seen.",
    "ended_at": "When it ended; null while it is active.",
    "queue_id": "The queue of the latest live leg that has one. After the end, of the latest leg. "
    "The customer's leg counts only if no other leg has one.",
    "media": "The media of its legs.",
    "legs": "Its legs in the order in which they were first seen. Of very many, the latest.",
    "updated_at": "When this mirror read the latest of its events.",
    "events": "The number of its events in the once topic.",
}
LEG_DESCRIPTIONS: Final[dict[str, str]] = {
    **{name: DESCRIPTIONS[name] for name in ("purpose", "agent_id", "role", "direction")},
    "participant_id": "The participant.",
    "communication_id": "Names the leg together with participant_id. Null if Genesys gives none.",
    "media_type": "The medium.",
    "queue_id": DESCRIPTIONS["queue_id"],
    "state": "In Genesys' words.",
    "held": "Whether it is on hold.",
    "since": "Since when it is in this state: held, parked, ended, connected, alerting.",
    "answered_at": "When it was answered, for the first time.",
    "ended_at": "When it ended; null while it lives.",
    "disconnect_type": DESCRIPTIONS["disconnect_type"],
    "acw": "Its after-call work.",
    "wrapup_code": "Its latest wrap-up code.",
}


def event_schema() -> dict[str, Any]:
    """The JSON Schema of an event of the interaction topic.

    jsonschema.validate(json.loads(message.value()), event_schema())
    """
    return _schema(Event, "Genesys interaction event")


def agent_event_schema() -> dict[str, Any]:
    """The JSON Schema of a record of the agents topic."""
    return _schema(AgentEvent, "Genesys agent event")


def view_schema() -> dict[str, Any]:
    """The JSON Schema of a view, the value of a record of the topic of conversations."""
    schema = _schema(PublishedView, "Genesys conversation", VIEW_DESCRIPTIONS)
    leg = _schema(PublishedLeg, "Leg", VIEW_DESCRIPTIONS | LEG_DESCRIPTIONS)
    del leg["$schema"]
    schema["properties"]["legs"]["items"] = leg
    schema["properties"]["media"]["items"] = {"enum": list(MEDIA)}
    return schema


def _schema(
    kind: type[msgspec.Struct], title: str, words: Mapping[str, str] = DESCRIPTIONS
) -> dict[str, Any]:
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
            optional = schema != {"type": "string"}
            properties[name] = schema = {"enum": [*([None] if optional else []), *MEDIA]}
        elif name == "schema_version":
            properties[name] = schema = {"const": 1}
        schema["description"] = words[name]
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
