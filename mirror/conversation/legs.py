"""Names of legs and ids of their transitions: the only module that makes them.

A leg is one communication of one participant. Frames, REST bodies and analytics (`sessionId`) have
its id. A participant may have many legs, one after another and of any medium; their positions in an
array mean nothing (docs/protocol.md, "Legs").

The id of a transition is a hash over the parts that all sources share: conversation, participant,
communication and event type. Transitions that a leg can have several of add one more part:

    hold, resume     the start of the hold
    park, unpark     the start of the park
    wrapup           the code
    end, finalize    the legs that had ended

Our own times, topics, correlation ids and positions are never part of an id. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from mirror.conversation.event import Event, identity


class LegKey(NamedTuple):
    """Names a leg within its conversation."""

    participant_id: str
    communication_id: str

    @property
    def name(self) -> str:
        """The key as one text, for sets and for the ids of ends."""
        return f"{self.participant_id} {self.communication_id}"


def leg_key(participant_id: str, communication_id: str | None, medium: str) -> LegKey:
    """The key of a leg; a communication without an id is named by its medium."""
    return LegKey(participant_id, communication_id or medium)


def leg_name(event: Event) -> str:
    """The name of an event's leg; empty for an event of the conversation."""
    if event.participant_id is None or event.media_type is None:
        return ""
    return leg_key(event.participant_id, event.communication_id, event.media_type).name


def transition_id(conversation_id: str, leg: LegKey, event_type: str, occurrence: str = "") -> str:
    """The `event_id` of a leg's transition. `occurrence`: see the table above, else empty."""
    return identity(
        conversation_id, leg.participant_id, leg.communication_id, event_type, occurrence
    )


def reading_id(conversation_id: str, leg: LegKey, event_type: str, received_at: str) -> str:
    """The `event_id` of a `snapshot` reading: unique, because a reading is no transition."""
    return identity(conversation_id, *leg, event_type, "snapshot", received_at)


def end_id(conversation_id: str, names: Iterable[str]) -> str:
    """The `event_id` of an `end`, named by the legs that had ended (`LegKey.name`)."""
    return identity(conversation_id, "end", *sorted(names))


def finalize_id(conversation_id: str, names: Iterable[str]) -> str:
    """The `event_id` of a `finalize`, named as its `end` is."""
    return identity(conversation_id, "finalize", *sorted(names))


def start_id(conversation_id: str) -> str:
    """The `event_id` of a `start`."""
    return identity(conversation_id, "start")
