"""The analytics shape (section 6.3): sessions and segments, as they were a lag ago."""

from __future__ import annotations

from typing import Any

from simulator.clock import rfc3339
from simulator.model import Conversation, Leg, Participant, Span

MEDIA_TYPE = {
    "call": "voice",
    "internal_message": "internalmessage",
    "screen_monitoring": "screenmonitoring",
    "social_expression": "unknown",
}
#: Notification spelling to analytics spelling (section 5.5).
DISCONNECT = {
    "endpoint.dnd": "dndEndpoint",
    "transfer.conference": "conferenceTransfer",
    "transfer.consult": "consultTransfer",
    "transfer.forward": "forwardTransfer",
    "transfer.noanswer": "noAnswerTransfer",
    "transfer.notavailable": "notAvailableTransfer",
    "transfer.dnd": "dndTransfer",
    "transport.failure": "transportFailure",
    "session.expired": "sessionExpired",
}


def conversation_body(conversation: Conversation, as_of_ms: int) -> dict[str, Any]:
    """A conversation as analytics knew it at `as_of_ms`; without `conversationEnd` it goes on."""
    body: dict[str, Any] = {
        "conversationId": conversation.id,
        "conversationStart": rfc3339(conversation.started_ms),
        "originatingDirection": conversation.direction,
        "divisionIds": [conversation.division_id],
        "participants": [
            participant_body(participant, conversation.direction, as_of_ms)
            for participant in conversation.participants
            if participant.started_ms <= as_of_ms
        ],
    }
    if conversation.ended_ms is not None and conversation.ended_ms <= as_of_ms:
        body["conversationEnd"] = rfc3339(conversation.ended_ms)
    return body


def participant_body(participant: Participant, direction: str, as_of_ms: int) -> dict[str, Any]:
    """A participant with one session for each leg."""
    body: dict[str, Any] = {
        "participantId": participant.id,
        "purpose": participant.purpose,
        "sessions": [
            session_body(participant, leg, direction, as_of_ms)
            for leg in participant.legs
            if leg.started_ms <= as_of_ms
        ],
    }
    if participant.user_id is not None:
        body["userId"] = participant.user_id
    if participant.name is not None:
        body["participantName"] = participant.name
    return body


def session_body(
    participant: Participant, leg: Leg, direction: str, as_of_ms: int
) -> dict[str, Any]:
    """A session; its id is the communication's. `direction` is where the leg says none."""
    body: dict[str, Any] = {
        "sessionId": leg.id,
        "mediaType": MEDIA_TYPE.get(leg.media, leg.media),
        "provider": leg.provider,
        "direction": leg.direction or direction,
        "segments": _segments(participant, leg, as_of_ms),
    }
    if participant.address is not None and participant.purpose == "customer":
        body["ani"] = participant.address
    if leg.peer_id is not None:
        body["peerId"] = leg.peer_id
    return body


def _segments(participant: Participant, leg: Leg, as_of_ms: int) -> list[dict[str, Any]]:
    spans = [span for span in leg.spans if span.start_ms <= as_of_ms]
    segments = [_segment(span, participant, as_of_ms) for span in spans]
    if segments and leg.ended_ms is not None and leg.ended_ms <= as_of_ms:
        kind = leg.disconnect_type or "other"
        segments[-1]["disconnectType"] = DISCONNECT.get(kind, kind)
    acw = participant.acw_start_ms
    if leg.acw_required and acw is not None and acw <= as_of_ms:
        wrapup = _segment(Span("wrapup", acw, participant.acw_end_ms), participant, as_of_ms)
        if participant.wrapup is not None and participant.wrapup.end_ms <= as_of_ms:
            wrapup["wrapUpCode"] = participant.wrapup.code
        segments.append(wrapup)
    return segments


def _segment(span: Span, participant: Participant, as_of_ms: int) -> dict[str, Any]:
    body: dict[str, Any] = {
        "segmentStart": rfc3339(span.start_ms),
        "segmentType": span.kind,
        "conference": False,
    }
    if span.end_ms is not None and span.end_ms <= as_of_ms:
        body["segmentEnd"] = rfc3339(span.end_ms)
    if participant.queue_id is not None:
        body["queueId"] = participant.queue_id
    return body
