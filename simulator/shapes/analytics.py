"""The analytics shape (docs/protocol.md, "Analytics"): sessions and segments, delayed by the
lag."""

from __future__ import annotations

from typing import Any

from simulator.clock import rfc3339
from simulator.model import Conversation
from simulator.parts import NO_WORK, Leg, Participant, Span

MEDIA_TYPE = {
    "call": "voice",
    "internal_message": "internalmessage",
    "screen_monitoring": "screenmonitoring",
    "social_expression": "unknown",
}
#: Notification spelling to analytics spelling (docs/protocol.md, "Ends").
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
    """A conversation as analytics knew it at `as_of_ms`. Without `conversationEnd` it goes on."""
    body: dict[str, Any] = {
        "conversationId": conversation.id,
        "conversationStart": rfc3339(conversation.started_ms),
        "originatingDirection": conversation.direction,
        "divisionIds": [conversation.division_id],
        "participants": [
            participant_body(participant, conversation, as_of_ms)
            for participant in conversation.participants
            if participant.started_ms <= as_of_ms
        ],
    }
    over = conversation.over_ms
    if over is not None and over <= as_of_ms:
        body["conversationEnd"] = rfc3339(over)
    if conversation.associated_id is not None:
        body["associatedConversationId"] = conversation.associated_id
    if conversation.consultations:
        body["consultationConversationIds"] = list(conversation.consultations)
    return body


def participant_body(
    participant: Participant, conversation: Conversation, as_of_ms: int
) -> dict[str, Any]:
    """A participant with one session for each leg."""
    body: dict[str, Any] = {
        "participantId": participant.id,
        "purpose": participant.purpose,
        "sessions": [
            session_body(participant, leg, conversation, as_of_ms)
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
    participant: Participant, leg: Leg, conversation: Conversation, as_of_ms: int
) -> dict[str, Any]:
    """A session. Its id is that of the communication. Its direction may be that of the
    conversation."""
    body: dict[str, Any] = {
        "sessionId": leg.id,
        "mediaType": MEDIA_TYPE.get(leg.media, leg.media),
        "provider": leg.provider,
        "direction": leg.direction or conversation.direction,
        "segments": _segments(leg, conversation.merged_into, as_of_ms),
    }
    if participant.address is not None and participant.purpose == "customer":
        body["ani"] = participant.address
    if leg.peer_id is not None:
        body["peerId"] = leg.peer_id
    if leg.acw is not None and leg.acw.state == "skipped":
        body["acwSkipped"] = True
    targets = {
        "monitoredParticipantId": participant.monitored_id,
        "coachedParticipantId": participant.coached_id,
        "bargedParticipantId": participant.barged_id,
    }
    body.update({key: value for key, value in targets.items() if value is not None})
    return body


def _segments(leg: Leg, merged_into: str | None, as_of_ms: int) -> list[dict[str, Any]]:
    spans = [span for span in leg.spans if span.start_ms <= as_of_ms]
    segments = [_segment(span, as_of_ms) for span in spans]
    if segments and leg.ended_ms is not None and leg.ended_ms <= as_of_ms:
        kind = leg.disconnect_type or "other"
        segments[-1]["disconnectType"] = DISCONNECT.get(kind, kind)
        if kind == "transfer.conference" and merged_into is not None:
            segments[-1]["destinationConversationId"] = merged_into
    acw = leg.acw
    if (
        acw is not None
        and acw.start_ms is not None
        and acw.state not in NO_WORK
        and acw.start_ms <= as_of_ms
    ):
        wrapup = _segment(Span("wrapup", acw.start_ms, acw.end_ms, leg.queue_id), as_of_ms)
        codes = [w.code for w in leg.wrapups if w.end_ms is not None and w.end_ms <= as_of_ms]
        if codes:
            wrapup["wrapUpCode"] = codes[-1]
        segments.append(wrapup)
    return segments


def _segment(span: Span, as_of_ms: int) -> dict[str, Any]:
    body: dict[str, Any] = {
        "segmentStart": rfc3339(span.start_ms),
        "segmentType": span.kind,
        "conference": False,
    }
    if span.end_ms is not None and span.end_ms <= as_of_ms:
        body["segmentEnd"] = rfc3339(span.end_ms)
    if span.queue_id is not None:
        body["queueId"] = span.queue_id
    return body
