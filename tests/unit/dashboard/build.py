"""Events for the dashboard's tests."""

from __future__ import annotations

import itertools
from typing import Any

from mirror.conversation.event import Event, identity
from mirror.conversation.times import show_epoch

NOW_MS = 1_795_478_400_000
_numbers = itertools.count()


def at(seconds: float) -> str:
    """A time so many seconds after `NOW_MS`."""
    return show_epoch(NOW_MS / 1000 + seconds)


def event(kind: str, seconds: float = 0.0, **fields: Any) -> Event:
    """One event of conversation `c` (or `conversation_id`); `seconds` after `NOW_MS`."""
    conversation = fields.pop("conversation_id", "c")
    states = {"alert": "alerting", "dial": "dialing", "disconnect": "disconnected"}
    states |= {"park": "parked", "start": "active", "end": "ended", "finalize": "ended"}
    return Event(
        **{
            "event_id": identity(conversation, str(next(_numbers))),
            "event_type": kind,
            "conversation_id": conversation,
            "state": states.get(kind, "connected"),
            "occurred_at": at(seconds),
            "received_at": at(seconds),
            "held": kind == "hold",
            "hold_started_at": at(seconds) if kind == "hold" else None,
        }
        | fields
    )


def leg(kind: str, who: str, seconds: float = 0.0, **fields: Any) -> Event:
    """One event of a call's leg; `who` is its purpose, and names its participant."""
    return event(
        kind,
        seconds,
        **{
            "participant_id": f"p-{who}",
            "media_type": "call",
            "purpose": who,
            "agent_id": f"u-{fields.get('conversation_id', 'c')}" if who == "agent" else None,
            "queue_id": None if who == "ivr" else "q1",
        }
        | fields,
    )
