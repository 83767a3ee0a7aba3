"""Turns the records of one partition into the changes of their conversations. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from coordinator.tracker.fold import TrackedEvent, fold
from mirror.fleet.tracked import Tracked, decode, encode, threshold_ms
from mirror.kafka.record import UndecodableRecord, reader_of
from mirror.redis.documents import readable

_read: Final = reader_of(TrackedEvent)


class ConversationChange(msgspec.Struct, frozen=True, gc=False):
    """The change of one conversation by a batch.

    `due_ms` is when it must be verified because of its age (Genesys' time), None if it has ended.
    `was_due_ms` is the same before the batch, None if it was not active. `threshold_ms` is the age
    at which conversations of its media are verified.
    """

    conversation_id: str
    document: bytes
    was_due_ms: int | None
    due_ms: int | None
    threshold_ms: int


def read(values: Iterable[bytes | None]) -> tuple[dict[str, list[TrackedEvent]], int]:
    """Conversation id → its events in order, and the number of unreadable values."""
    conversations: dict[str, list[TrackedEvent]] = {}
    unreadable = 0
    for value in values:
        try:
            event = _read(value)
        except UndecodableRecord:
            unreadable += 1
            continue
        known = conversations.get(event.conversation_id)
        if known is None:
            conversations[event.conversation_id] = [event]
        else:
            known.append(event)
    return conversations, unreadable


def changes(
    conversations: Mapping[str, list[TrackedEvent]],
    documents: Iterable[str | None],
    general: float,
    media: Mapping[str, float],
) -> list[ConversationChange]:
    """The changes of the conversations by the events, without unchanged conversations.

    `documents` are the stored conversations, in the order of `conversations`; an unreadable one is
    started over. `general` and `media` are the ages of verification in seconds.
    """
    found: list[ConversationChange] = []
    for (conversation_id, events), document in zip(conversations.items(), documents, strict=True):
        tracked = readable(decode, document or None, conversation_id)
        was_due = None if tracked is None else _due(tracked, general, media)
        for event in events:
            tracked = fold(tracked, event)
        assert tracked is not None  # there is at least one event
        after = encode(tracked)
        if document is not None and after == document.encode():
            continue
        found.append(
            ConversationChange(
                conversation_id,
                after,
                was_due,
                _due(tracked, general, media),
                threshold_ms(tracked, general, media),
            )
        )
    return found


def _due(tracked: Tracked, general: float, media: Mapping[str, float]) -> int | None:
    return None if tracked.ended else tracked.since_ms + threshold_ms(tracked, general, media)
