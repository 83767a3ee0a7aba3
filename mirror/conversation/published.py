"""The view of a conversation as the projector publishes it: the value of `genesys-conversations`.

`published` makes it from the view of `mirror.conversation.fold`. It has the fields that a
wallboard shows, and none of the fields that the fold needs for the next event. The JSON Schema is
`mirror.conversation.schema.view_schema`. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from mirror.conversation.event import Role
from mirror.conversation.fold import ConversationView, LegView


class PublishedLeg(msgspec.Struct, kw_only=True, gc=False):
    """One leg: one communication of one participant."""

    participant_id: str
    communication_id: str | None
    media_type: str
    purpose: str | None
    role: Role | None
    agent_id: str | None
    queue_id: str | None
    direction: str | None
    state: str
    held: bool
    since: str | None
    answered_at: str | None
    ended_at: str | None
    disconnect_type: str | None
    acw: Literal["none", "working", "done"]
    wrapup_code: str | None


class PublishedView(msgspec.Struct, kw_only=True, gc=False):
    """The present state of a conversation of Genesys Cloud.

        found = msgspec.json.decode(message.value(), type=PublishedView)
        on_hold = [leg.agent_id for leg in found.legs if leg.held]

    All fields are present, null if nothing is known. Times are RFC 3339 text in UTC with
    milliseconds.
    """

    conversation_id: str
    state: Literal["active", "ended"]
    started_at: str | None
    ended_at: str | None
    queue_id: str | None
    media: list[str]
    legs: list[PublishedLeg]
    updated_at: str
    events: int


def published(
    view: ConversationView, legs: Iterable[tuple[LegView, str]], *, updated_at: str, events: int
) -> PublishedView:
    """`view` for consumers.

    `legs` are its legs, each with the time at which its present state began (empty if that is not
    known). `updated_at` is when its latest event was read, `events` the number of its events, each
    counted once.
    """
    shown = [_leg(leg, since) for leg, since in legs]
    return PublishedView(
        conversation_id=view.id,
        state=view.state,
        started_at=view.started_at,
        ended_at=view.ended_at if view.state == "ended" else None,
        queue_id=_queue(shown),
        media=list(dict.fromkeys(leg.media_type for leg in shown)),
        legs=shown,
        updated_at=updated_at,
        events=events,
    )


def _leg(leg: LegView, since: str) -> PublishedLeg:
    return PublishedLeg(
        participant_id=leg.participant_id,
        communication_id=leg.communication_id,
        media_type=leg.media_type,
        purpose=leg.purpose,
        role=leg.role,
        agent_id=leg.agent_id,
        queue_id=leg.queue_id,
        direction=leg.direction,
        state=leg.state,
        held=leg.held,
        since=leg.ended_at or leg.hold_started_at or leg.parked_at or since or leg.answered_at,
        answered_at=leg.answered_at,
        ended_at=leg.ended_at,
        disconnect_type=leg.disconnect_type,
        acw=leg.acw,
        wrapup_code=leg.wrapup_code,
    )


def _queue(legs: list[PublishedLeg]) -> str | None:
    """The queue of the latest live leg with a queue, else of the latest leg with a queue.

    The latest by time: the order of legs is that of Genesys' array, which has no meaning. The
    customer's queue counts only if no other leg has a queue: it may stay that of the first queue.
    """
    queued = [leg for leg in legs if leg.queue_id is not None]
    return max(queued, key=_recency).queue_id if queued else None


def _recency(leg: PublishedLeg) -> tuple[bool, bool, str, str, str]:
    """The latest leg has the greatest. The last two parts decide between legs of the same time."""
    began = leg.answered_at or leg.since or ""
    is_live = leg.ended_at is None
    is_party = leg.purpose != "customer"
    return is_party, is_live, began, leg.ended_at or "", leg.queue_id or ""
