"""The one flat event, its words and its identity.

`Event` is the record that consumers build on: the same fields for every transition, whatever
frame shape, topic or API it came from. `event_id` is a hash of what every source of a transition
has in common (see `identity`), so repeating an event is harmless and dropping repeats is enough.
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

# The purposes of people of the organisation: agents on queued work, users on all other.
STAFF: Final = frozenset({"agent", "user"})

# A leg's events in the order that holds after dropping repeats; hold and resume share a rank and
# are ordered among themselves by `hold_started_at`, parks by their own times.
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
    """The `event_id` of a transition: 32 hex digits over what names it, its conversation first.

    What the parts are, `mirror/conversation/legs.py` says.
    """
    digest = _EMPTY.copy()  # half as dear as a new one
    digest.update("\x1f".join(parts).encode())
    return digest.hexdigest()
