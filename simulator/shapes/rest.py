"""The REST shape of `GET /api/v2/conversations/{id}` (docs/protocol.md, "Reading conversations"):
class Conversation.

It is the nested shape with REST's own fields (start and end times, segments, names of queues,
`ani`), without the fields that REST lacks, and with REST's spelling of disconnect types and
recording states.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from simulator.clock import rfc3339
from simulator.model import Conversation
from simulator.org import Org
from simulator.parts import NESTED_ARRAY, Leg, Participant, Wrapup
from simulator.shapes import nested

REST_DISCONNECT = {
    "endpoint.dnd": "endpoint.donotdisturb",
    "transfer.dnd": "transfer.donotdisturb",
}
#: Keys of the notification shape that the REST classes do not have.
_CONVERSATION_ONLY_EVENTS = (
    "accessAttributes",
    "associatedConversation",
    "consultationConversations",
)
_PARTICIPANT_ONLY_EVENTS = ("wrapupExpected", "screenMonitoredParticipantId", "workflow")
_LEG_ONLY_EVENTS = {
    "call": ("bargedTime",),
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
#: The arrays of every REST participant, empty if it has no such leg.
_ALWAYS = tuple(
    array
    for media, array in NESTED_ARRAY.items()
    if media not in ("internal_message", "screen_monitoring")
)
#: The state of a callback that is still being recorded: REST's class has no word for it.
_REST_STATE = {("callback", "uploading"): "none"}
_SEGMENT_TYPE = {"ivr": "IVR"}
_PARTICIPANT_TYPE = {"customer": "External", "ivr": "IVR", "acd": "ACD", "voicemail": "Voicemail"}


def conversation_body(
    conversation: Conversation,
    org: Org,
    now_ms: int | None = None,
    before_wrapup: bool = False,
) -> dict[str, Any]:
    """A conversation in REST at `now_ms`, or long after its end.

    `endTime` is set after all legs and after-call work have ended, with `before_wrapup` at the end
    of the last leg.
    """
    body = nested.conversation_body(conversation)
    for key in _CONVERSATION_ONLY_EVENTS:
        body.pop(key, None)
    body["startTime"] = rfc3339(conversation.started_ms)
    ended = conversation.ended_ms if before_wrapup else conversation.over_ms
    if ended is not None and (now_ms is None or ended <= now_ms):
        body["endTime"] = rfc3339(ended)
    body["recordingState"] = "NONE"
    body["participants"] = [participant_body(p, org) for p in conversation.participants]
    for transfer in body.get("recentTransfers", []):
        transfer["state"] = transfer["state"].capitalize()
        transfer["transferType"] = transfer["transferType"].capitalize()
    body["selfUri"] = f"/api/v2/conversations/{conversation.id}"
    return body


def participant_body(participant: Participant, org: Org) -> dict[str, Any]:
    """A participant with its times, names and legs in REST."""
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
    handled = participant.handled
    if handled is not None and handled.wrapup is not None and "wrapup" in body:
        body["wrapup"] = wrapup_body(handled.wrapup)
    body |= {array: [] for array in _ALWAYS}
    for media in participant.media():
        body[NESTED_ARRAY[media]] = [leg_body(leg) for leg in participant.array(media, whole=True)]
    return body


def wrapup_body(wrapup: Wrapup) -> dict[str, Any]:
    """A wrap-up code. REST has its name and says whether it is provisional."""
    body = nested.wrapup_body(wrapup)
    body["name"] = wrapup.name
    if wrapup.end_ms is None:
        body["provisional"] = True
    return body


def leg_body(leg: Leg) -> dict[str, Any]:
    """A communication with its segments."""
    body = nested.leg_body(leg)
    if leg.wrapup is not None and "wrapup" in body:
        body["wrapup"] = wrapup_body(leg.wrapup)
    for key in ("state", "initialState"):
        if key in body:
            body[key] = _REST_STATE.get((leg.media, body[key]), body[key])
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
    """The segments of a leg. Each says what came after it; the last says how the leg ended.

    As recorded: a leg that still rings has no segment, and an open segment has no end, but a
    disconnect as its type.
    """
    result: list[dict[str, Any]] = []
    shown = [span for span in leg.spans if span.kind != "alert" or span.end_ms is not None]
    for span in shown:
        segment: dict[str, Any] = {
            "startTime": rfc3339(span.start_ms),
            "type": segment_type(span.kind),
        }
        if span.end_ms is not None:
            segment["endTime"] = rfc3339(span.end_ms)
        result.append(segment)
    for segment, following in pairwise(result):
        segment["howEnded"] = following["type"]
    if result:
        result[-1]["howEnded"] = "Disconnect"
    if result and leg.ended:
        kind = leg.disconnect_type or "other"
        result[-1]["disconnectType"] = REST_DISCONNECT.get(kind, kind)
    return result


def segment_type(kind: str) -> str:
    """REST's spelling of a segment: `System`, `IVR`, `Interact`."""
    return _SEGMENT_TYPE.get(kind, kind.capitalize())
