"""The one flat event, its words and its identity.

    event = msgspec.json.decode(message.value(), type=Event)
    if event.event_id not in seen and event.event_type == "answer":
        seen.add(event.event_id)
        print(event.occurred_at, event.conversation_id, event.agent_id)

`Event` is the record that consumers build on: it has the same fields for every transition, whatever
frame shape, topic or API the transition came from. `event_id` is a hash over the parts that all
sources of a transition share (see `identity`), so consumers only have to drop repeated ids.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, Literal

import msgspec

SCHEMA_VERSION: Final = 1
_EMPTY: Final = blake2b(digest_size=16)

EventType = Literal[
    "start",
    "dial",
    "alert",
    "answer",
    "hold",
    "resume",
    "park",
    "unpark",
    "transfer",
    "disconnect",
    "acw",
    "acw_end",
    "wrapup",
    "end",
    "finalize",
]
Origin = Literal["live", "snapshot", "backfill", "janitor"]
Reason = Literal["ended", "not_found"]
Role = Literal["monitor", "coach", "barge", "consult"]
Pii = Literal["drop", "hash", "keep"]  # what becomes of personal values: `MIRROR_PII`

# Purposes of the organisation's people: agents on queued work, users on all other.
STAFF: Final = frozenset({"agent", "user"})

# These follow the end of a leg. They neither open nor end it, and are no state of it.
AFTER_CALL: Final = frozenset({"acw", "acw_end", "wrapup"})

# The order of a leg's events after repeats are dropped. Hold and resume share a rank:
# `hold_started_at` orders them; parks are ordered by their own times.
RANK: Final[dict[str, int]] = {
    "start": 0,
    "dial": 1,
    "alert": 1,
    "answer": 2,
    "hold": 3,
    "resume": 3,
    "park": 3,
    "unpark": 3,
    "transfer": 4,
    "disconnect": 4,
    "acw": 5,
    "acw_end": 6,
    "wrapup": 6,
    "end": 7,
    "finalize": 8,
}


class Event(msgspec.Struct, kw_only=True, gc=False):
    """One transition of a conversation or of one of its legs.

        event = msgspec.json.decode(message.value(), type=Event)
        wallboard.show(event.queue_id, event.event_type, event.occurred_at)

    Every field is present in every encoded event, null where it does not apply. Times are RFC 3339
    text in UTC with milliseconds (`2026-11-23T10:00:00.123Z`), in JSON and MessagePack alike.
    """

    schema_version: int = SCHEMA_VERSION
    event_id: str
    event_type: EventType
    conversation_id: str
    participant_id: str | None = None
    media_type: str | None = None
    communication_id: str | None = None
    purpose: str | None = None
    agent_id: str | None = None
    queue_id: str | None = None
    role: Role | None = None
    role_participant_id: str | None = None
    linked_conversation_id: str | None = None
    direction: str | None = None
    state: str
    held: bool = False
    hold_started_at: str | None = None
    disconnect_type: str | None = None
    wrapup_code: str | None = None
    occurred_at: str
    estimated: bool = False
    received_at: str
    origin: Origin = "live"
    source_topic: str | None = None
    correlation_id: str | None = None
    reason: Reason | None = None
    ani: str | None = None
    dnis: str | None = None
    address: str | None = None
    participant_name: str | None = None
    attributes: dict[str, str] | None = None


def identity(*parts: str) -> str:
    """The `event_id` of a transition: 32 hex digits, a hash over `parts`, the conversation first.

    `mirror/conversation/legs.py` says which parts each transition has.
    """
    digest = _EMPTY.copy()  # twice as fast as a new hash object
    digest.update("\x1f".join(parts).encode())
    return digest.hexdigest()
