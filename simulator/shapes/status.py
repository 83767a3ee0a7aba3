"""Bodies of the topics about a user: presence, routing status, activity, counts (docs/protocol.md,
"Agents")."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from simulator.clock import rfc3339
from simulator.model import Conversation

#: Presence definitions have ids of the org. These ids are invented and fixed.
PRESENCE_IDS = {
    "AVAILABLE": "6a3af858-942f-489d-9700-5f9bcdcdae9b",
    "ON_QUEUE": "e08eaf1b-ee47-4fa9-a231-1200e284798f",
    "AWAY": "5e5c5c66-ea97-4e7f-ac41-6424784829f2",
    "OFFLINE": "ccf3c10a-aa2c-4845-8e8d-f59fa48c58e5",
}
_SUMMARY_KEYS = {
    "call": "call",
    "callback": "callback",
    "email": "email",
    "message": "message",
    "chat": "chat",
    "social_expression": "socialExpression",
    "video": "video",
}


def presence_body(presence: str, now: int) -> dict[str, Any]:
    """`v2.users.{id}.presence`. Only the topic's name has the user."""
    return {
        "source": "PURECLOUD",
        "presenceDefinition": _definition(presence),
        "primary": True,
        "message": "",
        "modifiedDate": rfc3339(now),
    }


def routing_status_body(user_id: str, status: str, now: int) -> dict[str, Any]:
    """`v2.users.{id}.routingStatus`."""
    return {"id": user_id, "routingStatus": {"status": status, "startTime": rfc3339(now)}}


def activity_body(user_id: str, presence: str, status: str, now: int) -> dict[str, Any]:
    """`v2.users.{id}.activity`: presence and routing status in one."""
    return {
        "id": user_id,
        "routingStatus": {"status": status, "startTime": rfc3339(now)},
        "presence": {"presenceDefinition": _definition(presence), "modifiedDate": rfc3339(now)},
        "activeQueueIds": [],
    }


def summary_body(user_id: str, conversations: Iterable[Conversation]) -> dict[str, Any]:
    """`v2.users.{id}.conversationsummary`: counts by medium. The body does not have the user."""
    counts = {
        key: {"contactCenter": {"active": 0, "acw": 0}, "enterprise": {"active": 0, "acw": 0}}
        for key in _SUMMARY_KEYS.values()
    }
    for conversation in conversations:
        for participant in conversation.participants:
            if participant.user_id != user_id or not participant.legs:
                continue
            key = _SUMMARY_KEYS.get(participant.legs[0].media)
            if key is None:
                continue
            side = counts[key]["contactCenter" if participant.queue_id else "enterprise"]
            if any(not leg.ended for leg in participant.legs):
                side["active"] += 1
            elif any(leg.working for leg in participant.legs):
                side["acw"] += 1
    return counts


def _definition(presence: str) -> dict[str, str]:
    return {"id": PRESENCE_IDS[presence], "systemPresence": presence}
