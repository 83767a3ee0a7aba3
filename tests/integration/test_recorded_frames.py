"""Recorded frames through socket, listener and Apache Kafka give the reviewed events.

The golden files under `tests/golden/` hold what the normaliser makes of these frames, reviewed by
eye. Here the same frames travel the whole way: simulator, WebSocket, a listener process that a
coordinator assigned, Kafka.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from harness.process import wait_until
from mirror.conversation.event import Event
from tests.integration.test_listener_fleet import Fleet, fleet
from tests.unit.conversation.test_golden import as_nested

__all__ = ["fleet"]

ROOT = Path(__file__).parents[1]
CALLS = ROOT / "recordings" / "v2.users.id.conversations.calls__live-2026-08__8-snapshots.json"
CHAT = ROOT / "recordings" / "v2.users.id.conversations.chats__2022-03__agent-left-acw.json"
GOLDEN = {
    "call-held-and-customer-gone": ("baseline", "held", "unheld", "customerGone"),
    "call-muted": ("muted", "unmuted"),
    "call-consult-cancelled": ("consulting", "consultCancelled"),
}


def _recorded() -> list[dict[str, Any]]:
    """The frames. Three of the calls were stored under one made-up id; each gets its own here."""
    snapshots = json.loads(CALLS.read_text(encoding="utf-8"))
    frames = []
    for golden, names in GOLDEN.items():
        for name in names:
            frame = snapshots[name]["event"]
            frame["eventBody"]["id"] = golden
            frames.append(frame)
    frames.append(json.loads(CHAT.read_text(encoding="utf-8")))
    return [json.loads(as_nested(frame)) for frame in frames]


def _expected() -> list[dict[str, Any]]:
    expected = []
    for golden in (*GOLDEN, "chat-agent-left"):
        lines = (ROOT / "golden" / f"{golden}.jsonl").read_text(encoding="utf-8").splitlines()
        for line in lines:
            event = json.loads(line)
            if golden in GOLDEN:
                event["conversation_id"] = golden
            expected.append(_comparable(event))
    return expected


def _comparable(event: dict[str, Any]) -> dict[str, Any]:
    """Without what depends on when the frame was read, and on the conversation's made-up id."""
    kept = {name: value for name, value in event.items() if name not in {"event_id", "received_at"}}
    if kept["estimated"]:
        del kept["occurred_at"]
    return kept


def test_recorded_frames_become_the_reviewed_events(fleet: Fleet) -> None:
    """Each frame is sent on the socket of one channel; Kafka has the golden events, in order.

    Does not show that Genesys' real topics are nested: the recordings are of flat ones.
    """
    fleet.add("north")
    fleet.until_covered("north")
    channel = fleet.org.get("/_sim/channels")["channels"][0]["id"]
    for frame in _recorded():
        fleet.org.post("/_sim/frames", {"channel": channel, "frame": frame})
    expected = _expected()
    wait_until(lambda: len(fleet.events()) >= len(expected), 20.0, "the recorded events in Kafka")
    found: dict[str, list[dict[str, Any]]] = {}
    for event in sorted(fleet.events(), key=_arrival):
        document = _comparable(msgspec.to_builtins(event))
        found.setdefault(event.conversation_id, []).append(document)
    wanted: dict[str, list[dict[str, Any]]] = {}
    for document in expected:
        wanted.setdefault(document["conversation_id"], []).append(document)
    assert found == wanted


def _arrival(event: Event) -> str:
    """Kafka keeps the order within a conversation; a stable sort by reading time keeps it too."""
    return event.received_at
