"""The flat notification shape (section 5.3) of the per-medium topics, and its REST twin.

One participant for each participant that has a leg of the medium, the leg's fields lifted up. The
id is the participant's; the communication's own id is not in this shape, only `peer`.
"""

from __future__ import annotations

from typing import Any

from simulator.clock import rfc3339
from simulator.model import Conversation, Leg, Participant
from simulator.shapes import nested
from simulator.shapes.rest import REST_DISCONNECT

#: Fields of the medium in nested spelling that the flat class lacks.
_NESTED_ONLY = frozenset(
    {
        "self",
        "other",
        "toAddress",
        "fromAddress",
        "messagesTranscriptUri",
        "callerId",
        "callerIdName",
        "recordingId",
        "agentAssistantId",
        "uuiData",
        "disconnectReasons",
    }
)
#: Same fact, another name (section 5.3).
_RENAMED = {"dialerPreview": "outboundPreview"}


def conversation_body(conversation: Conversation, media: str) -> dict[str, Any]:
    """The `eventBody` of `...conversations.calls` and its kin."""
    body: dict[str, Any] = {
        "id": conversation.id,
        "participants": [
            participant_body(participant, leg)
            for participant in conversation.participants
            for leg in _newest(participant, media)
        ],
        "otherMediaUris": [],
    }
    if conversation.address is not None:
        body["address"] = conversation.address
    if conversation.inactivity_ms is not None:
        body["inactivityTimeout"] = rfc3339(conversation.inactivity_ms)
    if media == "call":
        body["recordingState"] = "none"
        body["securePause"] = False
    return body


def participant_body(participant: Participant, leg: Leg) -> dict[str, Any]:
    """A participant with one leg's fields lifted up; no startTime, as in every recorded frame."""
    body: dict[str, Any] = {"id": participant.id}
    facts = {
        "name": participant.name,
        "address": participant.address,
        "wrapupPrompt": participant.wrapup_prompt,
        "wrapupTimeoutMs": participant.wrapup_timeout_ms,
        "alertingTimeoutMs": participant.alerting_timeout_ms,
        "conversationRoutingData": participant.routing,
        "mediaRoles": participant.media_roles,
        "peer": leg.peer_id,
        "direction": leg.direction,
        "disconnectType": leg.disconnect_type,
        "user": _reference(participant.user_id),
        "queue": _reference(participant.queue_id),
    }
    body.update({key: value for key, value in facts.items() if value is not None})
    times = {
        "connectedTime": leg.connected_ms,
        "endTime": leg.ended_ms,
        "startHoldTime": leg.hold_ms,
        "startAcwTime": participant.acw_start_ms,
        "endAcwTime": participant.acw_end_ms,
        "parkTime": leg.park_ms,
        "resumeTime": leg.resume_ms,
    }
    body.update({key: rfc3339(ms) for key, ms in times.items() if ms is not None})
    body["purpose"] = participant.purpose
    body["state"] = leg.state
    body["initialState"] = leg.initial_state
    body["held"] = leg.held
    body["wrapupRequired"] = participant.wrapup_required
    body["attributes"] = participant.attributes
    body["provider"] = leg.provider
    if participant.wrapup is not None:
        body["wrapup"] = nested.wrapup_body(participant.wrapup)
    if leg.media == "call":
        body.update(_call_fields(participant, leg))
    for key, value in leg.extra.items():
        if key not in _NESTED_ONLY:
            body[_RENAMED.get(key, key)] = value
    if "messages" in leg.extra:
        body["messages"] = [_message(message) for message in leg.extra["messages"]]
    if leg.media == "cobrowse":
        body.pop("roomId", None)
    return body


def rest_body(conversation: Conversation, media: str) -> dict[str, Any]:
    """`GET /api/v2/conversations/calls/{id}` and its kin: flat, with times and links."""
    body = conversation_body(conversation, media)
    started = {participant.id: participant.started_ms for participant in conversation.participants}
    for participant in body["participants"]:
        participant["startTime"] = rfc3339(started[participant["id"]])
        kind = participant.get("disconnectType")
        if kind in REST_DISCONNECT:
            participant["disconnectType"] = REST_DISCONNECT[kind]
        for key, path in (("user", "users"), ("queue", "routing/queues")):
            if key in participant:
                entity = participant[key]["id"]
                participant[key] = {"id": entity, "selfUri": f"/api/v2/{path}/{entity}"}
    return body


def has_media(conversation: Conversation, media: str) -> bool:
    """Whether any participant has, or had, a leg of the medium."""
    return any(leg.media == media for p in conversation.participants for leg in p.legs)


def _newest(participant: Participant, media: str) -> list[Leg]:
    return [leg for leg in participant.legs if leg.media == media][-1:]


def _call_fields(participant: Participant, leg: Leg) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "muted": leg.muted,
        "confined": leg.confined,
        "recording": False,
        "recordingState": "none",
        "securePause": False,
    }
    if leg.transfer_source is not None:
        fields["transferSource"] = leg.transfer_source
    if participant.consult_participant_id is not None:
        fields["consultParticipantId"] = participant.consult_participant_id
    return fields


def _message(details: dict[str, Any]) -> dict[str, Any]:
    """A message's details; the flat class has a reference for the nested `messageId`."""
    kept = {key: value for key, value in details.items() if key != "messageId"}
    return {"message": {"id": details["messageId"]}, **kept}


def _reference(entity: str | None) -> dict[str, str] | None:
    return None if entity is None else {"id": entity}
