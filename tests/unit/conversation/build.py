"""Builds frames and bodies as Genesys would show them, and reads them."""

from __future__ import annotations

from typing import Any

import msgspec

from mirror.conversation.event import Event
from mirror.conversation.fold import ConversationView, fold
from mirror.conversation.normaliser import Normaliser, Reading
from mirror.conversation.normaliser.words import MEDIA_OF_ARRAY
from mirror.conversation.times import show_epoch

EPOCH = 1_795_000_000
ARRAY = {
    medium: {
        "internal_messages": "internalMessages",
        "cobrowse_sessions": "cobrowsesessions",
        "social_expressions": "socialExpressions",
        "screen_monitorings": "screenMonitorings",
    }.get(array, array)
    for array, medium in MEDIA_OF_ARRAY.items()
}


def at(ms: int) -> str:
    """A time `ms` milliseconds into the test."""
    return show_epoch(EPOCH + ms / 1000)


def frame(body: dict[str, Any], topic: str = "v2.users.u-1.conversations") -> bytes:
    """A notification of `body`."""
    envelope = {"topicName": topic, "version": "2", "eventBody": body}
    return msgspec.json.encode({**envelope, "metadata": {"CorrelationId": "corr-1"}})


def leg(state: str = "connected", **fields: Any) -> dict[str, Any]:
    """A communication."""
    return {"id": "comm-1", "state": state, "direction": "inbound", **fields}


def participant(
    *legs: dict[str, Any], medium: str = "call", participant_id: str = "p-1", **fields: Any
) -> dict[str, Any]:
    """An agent with its communications of one medium, or another participant by `fields`."""
    shown: dict[str, Any] = {"id": participant_id, "purpose": "agent", "userId": "u-1", **fields}
    if legs:
        shown[ARRAY[medium]] = list(legs)
    return shown


def conversation(*participants: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A conversation body."""
    return {"id": "c-1", "participants": list(participants), **fields}


class Reader:
    """A normaliser with a clock: each reading is a second after the one before."""

    def __init__(self, normaliser: Normaliser | None = None) -> None:
        self.normaliser = normaliser or Normaliser()
        self.seconds = 1_000

    def read(self, raw: bytes) -> Reading:
        """Read a frame."""
        self.seconds += 1
        return self.normaliser.frame(raw, at(self.seconds * 1000), float(self.seconds))

    def frame(self, *participants: dict[str, Any], **fields: Any) -> list[Event]:
        """Events of a frame with these participants."""
        reading = self.read(frame(conversation(*participants, **fields)))
        assert reading.problem is None
        return reading.events

    def rest(self, *participants: dict[str, Any], **fields: Any) -> list[Event]:
        """Events of a REST body with these participants."""
        self.seconds += 1
        raw = msgspec.json.encode(conversation(*participants, **fields))
        reading = self.normaliser.conversation(raw, at(self.seconds * 1000), float(self.seconds))
        assert reading.problem is None
        return reading.events


def types(events: list[Event], *, snapshots: bool = False) -> list[str]:
    """What happened, without snapshot readings unless asked for."""
    return [e.event_type for e in events if snapshots or e.origin != "snapshot"]


def folded(log: list[Event], view: ConversationView | None = None) -> ConversationView:
    """A consumer's view of the conversation after all of a log, which may follow on a `view`."""
    for event in log:
        view = fold(view, event)
    assert view is not None
    return view


def only(events: list[Event], event_type: str) -> Event:
    """The one event of a type that is no snapshot reading."""
    (event,) = [e for e in events if e.event_type == event_type and e.origin != "snapshot"]
    return event
