"""Ends that no frame showed: the janitor's events for a conversation that is over.

They have the ids that events of frames would have had, so a frame that still comes repeats them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from mirror.conversation.event import Event, Reason, Role
from mirror.conversation.legs import LegKey, end_id, finalize_id, transition_id

_OVER: Final = "disconnected"


class LiveLeg(Protocol):
    """The tracker's record of a leg without a `disconnect`."""

    medium: str
    communication_id: str | None
    purpose: str | None
    agent_id: str | None
    queue_id: str | None
    role: Role | None
    role_participant_id: str | None
    direction: str | None

    @property
    def key(self) -> LegKey:
        """The key that names the leg."""


def ending(
    conversation_id: str,
    live: Sequence[LiveLeg],
    over: Iterable[str],
    *,
    received_at: str,
    reason: Reason,
    ended_at: str | None = None,
) -> list[Event]:
    """The missing `disconnect`s, `end` and `finalize` of a conversation that Genesys says is over.

    `live` are its legs without a `disconnect`, `over` the names of the others (`LegKey.name`).
    `ended_at` is Genesys' end of the conversation, RFC 3339 in milliseconds; without it the times
    are `received_at` and estimated.

    If the conversation can be read, prefer `Normaliser.conversation`, which returns all missed
    events, and `finalize` after it.
    """
    names = [*over, *(leg.key.name for leg in live)]
    end = Event(
        event_id=end_id(conversation_id, names),
        event_type="end",
        conversation_id=conversation_id,
        state="ended",
        occurred_at=ended_at or received_at,
        estimated=ended_at is None,
        received_at=received_at,
        origin="janitor",
    )
    return [
        *(
            disconnect(conversation_id, leg, received_at=received_at, ended_at=ended_at)
            for leg in live
        ),
        end,
        finalize(conversation_id, names, received_at=received_at, reason=reason, ended_at=ended_at),
    ]


def disconnect(
    conversation_id: str, leg: LiveLeg, *, received_at: str, ended_at: str | None = None
) -> Event:
    """The `disconnect` of a leg that had none."""
    return Event(
        event_id=transition_id(conversation_id, leg.key, "disconnect"),
        event_type="disconnect",
        conversation_id=conversation_id,
        participant_id=leg.key.participant_id,
        media_type=leg.medium,
        communication_id=leg.communication_id,
        purpose=leg.purpose,
        agent_id=leg.agent_id,
        queue_id=leg.queue_id,
        role=leg.role,
        role_participant_id=leg.role_participant_id,
        direction=leg.direction,
        state=_OVER,
        occurred_at=ended_at or received_at,
        estimated=ended_at is None,
        received_at=received_at,
        origin="janitor",
    )


def finalize(
    conversation_id: str,
    names: Iterable[str],
    *,
    received_at: str,
    reason: Reason,
    ended_at: str | None = None,
) -> Event:
    """The `finalize` of a conversation, named by its legs (`LegKey.name`) as its `end` is."""
    return Event(
        event_id=finalize_id(conversation_id, names),
        event_type="finalize",
        conversation_id=conversation_id,
        state="ended",
        occurred_at=ended_at or received_at,
        estimated=ended_at is None,
        received_at=received_at,
        origin="janitor",
        reason=reason,
    )
