"""The nested notification shape (docs/protocol.md, "Shapes"): class
ConversationEventTopicConversation.

A full snapshot: every participant since the start, ended ones included. Unset keys are absent;
there is no startTime or endTime on the conversation, no startTime on participants, no segments.
"""

from __future__ import annotations

from typing import Any

from simulator.clock import rfc3339
from simulator.model import Conversation, Transfer
from simulator.parts import NESTED_ARRAY, AfterCallWork, Leg, Participant, Wrapup

#: Media whose communications carry `held` and `startHoldTime` in the schema.
HOLDABLE = frozenset({"call", "callback", "chat", "email", "message", "social_expression"})
#: Media without after-call work, script or queue settings on the communication.
_BARE = frozenset({"internal_message", "screen_monitoring"})
_NO_PEER = frozenset({"screen_monitoring"})
_PARKABLE = frozenset({"email", "message"})


def conversation_body(conversation: Conversation) -> dict[str, Any]:
    """The `eventBody` of `v2.users.{id}.conversations` and `v2.routing.queues.{id}...`."""
    body: dict[str, Any] = {
        "id": conversation.id,
        "participants": [participant_body(p) for p in conversation.participants],
        "recordingState": "none",
        "divisions": [
            {
                "division": {"id": conversation.division_id},
                "entities": [
                    {"id": entity} for entity in (*conversation.queues, *conversation.users)
                ],
            }
        ],
    }
    if conversation.media == "call":
        body["securePause"] = False
    if conversation.address is not None:
        body["address"] = conversation.address
    if conversation.external_tag is not None:
        body["externalTag"] = conversation.external_tag
    if conversation.inactivity_ms is not None:
        body["inactivityTimeout"] = rfc3339(conversation.inactivity_ms)
    if conversation.associated_id is not None:
        body["associatedConversation"] = {"id": conversation.associated_id}
    if conversation.consultations:
        body["consultationConversations"] = [{"id": id_} for id_ in conversation.consultations]
    if conversation.transfers:
        body["recentTransfers"] = [transfer_body(t) for t in conversation.transfers]
    return body


def participant_body(participant: Participant) -> dict[str, Any]:
    """A participant with its communications in the arrays of their media."""
    body: dict[str, Any] = {"id": participant.id}
    _put_time(body, "connectedTime", participant.connected_ms)
    _put_time(body, "endTime", participant.ended_ms)
    facts = {
        "userId": participant.user_id,
        "name": participant.name,
        "queueId": participant.queue_id,
        "consultParticipantId": participant.consult_participant_id,
        "monitoredParticipantId": participant.monitored_id,
        "coachedParticipantId": participant.coached_id,
        "bargedParticipantId": participant.barged_id,
        "address": participant.address,
        "wrapupPrompt": participant.wrapup_prompt,
        "wrapupTimeoutMs": participant.wrapup_timeout_ms,
        "alertingTimeoutMs": participant.alerting_timeout_ms,
        "conversationRoutingData": participant.routing,
        "mediaRoles": participant.media_roles,
    }
    body.update({key: value for key, value in facts.items() if value is not None})
    body["purpose"] = participant.purpose
    body["wrapupRequired"] = participant.wrapup_required
    handled = participant.handled
    if handled is not None and handled.wrapup is not None and handled.wrapup_on != "communication":
        body["wrapup"] = wrapup_body(handled.wrapup)
    if handled is not None and handled.acw is not None:
        _put_time(body, "startAcwTime", handled.acw.start_ms)
        _put_time(body, "endAcwTime", handled.acw.end_ms)
    body["attributes"] = participant.attributes
    for media in participant.media():
        body[NESTED_ARRAY[media]] = [leg_body(leg) for leg in participant.array(media)]
    return body


def leg_body(leg: Leg) -> dict[str, Any]:
    """A communication. Unset keys are absent, and `startHoldTime` is present only while it is
    held."""
    body: dict[str, Any] = {
        "id": leg.id,
        "state": leg.state,
        "initialState": leg.initial_state,
        "provider": leg.provider,
    }
    if leg.media in HOLDABLE:
        body["held"] = leg.held
        _put_time(body, "startHoldTime", leg.hold_ms)
    if leg.media == "call":
        body["muted"] = leg.muted
        body["confined"] = leg.confined
        body["recording"] = False
        body["recordingState"] = "none"
        body["securePause"] = False
        _put_time(body, "bargedTime", leg.barged_ms)
        if leg.transfer_source is not None:
            body["transferSource"] = leg.transfer_source
    if leg.direction is not None:
        body["direction"] = leg.direction
    if leg.peer_id is not None and leg.media not in _NO_PEER:
        body["peerId"] = leg.peer_id
    if leg.disconnect_type is not None:
        body["disconnectType"] = leg.disconnect_type
    _put_time(body, "connectedTime", leg.connected_ms)
    _put_time(body, "disconnectedTime", leg.ended_ms)
    if leg.media in _PARKABLE:
        _put_time(body, "parkTime", leg.park_ms)
        _put_time(body, "resumeTime", leg.resume_ms)
    if leg.media not in _BARE:
        body["afterCallWorkRequired"] = leg.acw_required
        if leg.acw is not None:
            body["afterCallWork"] = acw_body(leg.acw)
        if leg.wrapup is not None and leg.wrapup_on != "participant":
            body["wrapup"] = wrapup_body(leg.wrapup)
    body.update(leg.extra)
    return body


def acw_body(acw: AfterCallWork) -> dict[str, Any]:
    """After-call work on the communication. Before the leg's end it has no times."""
    body: dict[str, Any] = {"state": acw.state}
    _put_time(body, "startTime", acw.start_ms)
    _put_time(body, "endTime", acw.end_ms)
    return body


def wrapup_body(wrapup: Wrapup) -> dict[str, Any]:
    """A wrap-up code with its notes. A provisional code has neither end nor length."""
    body: dict[str, Any] = {"code": wrapup.code, "tags": []}
    if wrapup.notes is not None:
        body["notes"] = wrapup.notes
    if wrapup.end_ms is not None:
        body["durationSeconds"] = wrapup.seconds
        body["endTime"] = rfc3339(wrapup.end_ms)
    return body


def transfer_body(transfer: Transfer) -> dict[str, Any]:
    """An entry of `recentTransfers`, in the lower case of notifications."""
    body: dict[str, Any] = {
        "id": transfer.id,
        "state": transfer.state,
        "dateIssued": rfc3339(transfer.issued_ms),
        "initiator": {"userId": transfer.initiator_user_id},
        "transferType": "attended" if transfer.attended else "unattended",
    }
    if transfer.target_user_id is not None:
        body["destination"] = {"userId": transfer.target_user_id}
    return body


def _put_time(body: dict[str, Any], key: str, ms: int | None) -> None:
    if ms is not None:
        body[key] = rfc3339(ms)
