"""Recorded frames give the events that a person reading them would expect.

The expected events are under `tests/golden/`, read by eye against the recordings; `golden.py` says
how they are written anew.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from mirror.conversation.event import Event
from mirror.conversation.normaliser import Normaliser
from tests.unit.conversation import golden

RECORDINGS = golden.ROOT / "recordings"

CALLS = "v2.users.id.conversations.calls__live-2026-08__8-snapshots.json"
CHAT = "v2.users.id.conversations.chats__2022-03__agent-left-acw.json"
CHAT_REST = "rest.GET.conversations__2022-03__chat-active.json"


def calls(*names: str) -> list[Event]:
    """Events of recorded call frames, each received when it was captured."""
    snapshots: dict[str, Any] = json.loads((RECORDINGS / CALLS).read_text())
    normaliser = Normaliser()
    events = []
    for name in names:
        raw = msgspec.json.encode(snapshots[name]["event"])
        reading = normaliser.frame(raw, snapshots[name]["source"]["t"], 0.0)
        assert reading.problem is None
        events += reading.events
    return events


def chat_frame() -> list[Event]:
    """Events of the recorded chat frame."""
    raw = (RECORDINGS / CHAT).read_bytes()
    return Normaliser().frame(raw, "2022-03-08T15:50:29.800Z", 0.0).events


def chat_rest() -> list[Event]:
    """Events of the REST body of the same chat, a minute earlier."""
    body = json.loads((RECORDINGS / CHAT_REST).read_text())["entities"][0]
    raw = msgspec.json.encode(body)
    return Normaliser().conversation(raw, "2022-03-08T15:49:30.000Z", 0.0).events


CASES = {
    "call-held-and-customer-gone": lambda: calls("baseline", "held", "unheld", "customerGone"),
    "call-muted": lambda: calls("muted", "unmuted"),
    "call-consult-cancelled": lambda: calls("consulting", "consultCancelled"),
    "chat-agent-left": chat_frame,
    "chat-active-from-rest": chat_rest,
}


@pytest.mark.parametrize("name", CASES)
def test_recordings_give_the_reviewed_events(name: str) -> None:
    """Every field of every event is as reviewed."""
    golden.check(name, CASES[name]())


def test_frame_and_rest_of_one_chat_share_their_ids() -> None:
    """What both recordings of the same chat show has one id, and one time but for `start`."""
    frame = {e.event_id: e for e in chat_frame()}
    rest = {e.event_id: e for e in chat_rest() if e.origin != "snapshot"}
    assert set(rest) < set(frame)
    for event_id, event in rest.items():
        if event.event_type != "start":
            assert event.occurred_at == frame[event_id].occurred_at
