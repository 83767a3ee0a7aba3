"""The REST shape of `GET /api/v2/conversations/{id}` (section 6.1): class Conversation.

The nested shape plus what only REST has (start and end times, segments, names of queues, `ani`),
minus what it lacks, and with REST's own spelling of disconnect types and recording states.
"""

from __future__ import annotations

from typing import Any

from simulator.clock import rfc3339
from simulator.model import NESTED_ARRAY, Conversation, Leg, Participant
from simulator.org import Org
from simulator.shapes import nested

REST_DISCONNECT = {
    "endpoint.dnd": "endpoint.donotdisturb",
    "transfer.dnd": "transfer.donotdisturb",
}
#: Keys of the notification shape that the REST classes do not have.
_CONVERSATION_ONLY_EVENTS = ("accessAttributes", "associatedConversation")
_PARTICIPANT_ONLY_EVENTS = ("wrapupExpected", "screenMonitoredParticipantId", "workflow")
_LEG_ONLY_EVENTS = {
    "email": ("resumeTime",),
    "video": ("queueMediaSettings", "scriptId"),
    "screenshare": ("queueMediaSettings", "scriptId", "self"),
    "cobrowse": ("queueMediaSettings", "scriptId", "roomId"),
    "social_expression": ("initialState",),
    "screen_monitoring": ("targetUserId", "screenMonitoringId"),
    "message": ("messagesTranscriptUri",),
}
#: Media whose REST class has `segments`, `startAlertingTime`, `direction`.
_SEGMENTED = frozenset(NESTED_ARRAY) - {"video"}
_ALERTING = frozenset(NESTED_ARRAY) - {"screen_monitoring"}
_PARTICIPANT_TYPE = {"customer": "External", "ivr": "IVR", "acd": "ACD", "voicemail": "Voicemail"}


def conversation_body(conversation: Conversation, org: Org) -> dict[str, Any]:
    """A Conversation; `endTime` is set once every communication is ended."""
    body = nested.conversation_body(conversation)
    for key in _CONVERSATION_ONLY_EVENTS:
        body.pop(key, None)
    body["startTime"] = rfc3339(conversation.started_ms)
    if conversation.ended_ms is not None:
        body["endTime"] = rfc3339(conversation.ended_ms)
    body["recordingState"] = "NONE"
    body["participants"] = [participant_body(p, org) for p in conversation.participants]
    for transfer in body.get("recentTransfers", []):
        transfer["state"] = transfer["state"].capitalize()
        transfer["transferType"] = transfer["transferType"].capitalize()
    body["selfUri"] = f"/api/v2/conversations/{conversation.id}"
    return body


def participant_body(participant: Participant, org: Org) -> dict[str, Any]:
    """A participant with its times, names and legs as REST has them."""
    body = nested.participant_body(participant)
    for key in _PARTICIPANT_ONLY_EVENTS:
        body.pop(key, None)
    body["startTime"] = rfc3339(participant.started_ms)
    kind = "Internal" if participant.user_id else _PARTICIPANT_TYPE.get(participant.purpose)
    if kind is not None:
        body["participantType"] = kind
    if participant.user_id is not None:
        body["userUri"] = f"/api/v2/users/{participant.user_id}"
    if participant.queue_id is not None:
        body["queueName"] = org.queue_name(participant.queue_id)
    if participant.address is not None:
        body["ani"] = participant.address
    if participant.wrapup is not None:
        body["wrapup"]["name"] = participant.wrapup.name
    for media in {leg.media for leg in participant.legs}:
        legs = [leg for leg in participant.legs if leg.media == media]
        body[NESTED_ARRAY[media]] = [leg_body(leg, participant) for leg in legs]
    return body


def leg_body(leg: Leg, participant: Participant) -> dict[str, Any]:
    """A communication with its segments."""
    body = nested.leg_body(leg, participant)
    for key in _LEG_ONLY_EVENTS.get(leg.media, ()):
        body.pop(key, None)
    if "disconnectType" in body:
        kind = body["disconnectType"]
        body["disconnectType"] = REST_DISCONNECT.get(kind, kind)
    if leg.alerting_ms is not None and leg.media in _ALERTING:
        body["startAlertingTime"] = rfc3339(leg.alerting_ms)
    if leg.media in _SEGMENTED:
        body["segments"] = segments(leg)
    return body


def segments(leg: Leg) -> list[dict[str, Any]]:
    """Segments of a leg; the last one says how it ended."""
    result: list[dict[str, Any]] = []
    for span in leg.spans:
        segment: dict[str, Any] = {"startTime": rfc3339(span.start_ms), "type": span.kind}
        if span.end_ms is not None:
            segment["endTime"] = rfc3339(span.end_ms)
            segment["howEnded"] = "Interact"
        result.append(segment)
    if result and leg.ended:
        kind = leg.disconnect_type or "other"
        result[-1]["howEnded"] = "Disconnect"
        result[-1]["disconnectType"] = REST_DISCONNECT.get(kind, kind)
    return result
