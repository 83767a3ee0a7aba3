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
from mirror.conversation.schema import event_schema
from tests.unit.conversation import golden

RECORDINGS = golden.ROOT / "recordings"

CALLS = "v2.users.id.conversations.calls__live-2026-08__8-snapshots.json"
CHAT = "v2.users.id.conversations.chats__2022-03__agent-left-acw.json"
CHAT_REST = "rest.GET.conversations__2022-03__chat-active.json"
OF_PARTICIPANT = {"id", "name", "purpose", "consultParticipantId", "attributes", "wrapup"}
OF_PARTICIPANT |= {"startAcwTime", "endAcwTime"}


def as_nested(recorded: dict[str, Any]) -> bytes:
    """The recorded frame of a topic of one medium, as the topic of all media would bring it.

    What is recorded are topics that are not read; their participants have no communications, so the
    ids of these are missing.
    """
    topic, _, array = recorded["topicName"].rpartition(".")
    participants = []
    for flat in recorded["eventBody"]["participants"]:
        merged = {name: flat[name] for name in sorted(OF_PARTICIPANT & flat.keys())}
        merged |= {
            "userId": flat.get("user", {}).get("id"),
            "queueId": flat.get("queue", {}).get("id"),
        }
        leg = {name: value for name, value in flat.items() if name not in OF_PARTICIPANT}
        leg["disconnectedTime"] = leg.pop("endTime", None)
        participants.append({**merged, array: [leg]})
    body = {**recorded["eventBody"], "participants": participants}
    return msgspec.json.encode({**recorded, "topicName": topic, "eventBody": body})


def calls(*names: str) -> list[Event]:
    """Events of recorded call frames, each received when it was captured."""
    snapshots: dict[str, Any] = json.loads((RECORDINGS / CALLS).read_text())
    normaliser = Normaliser()
    events = []
    for name in names:
        raw = as_nested(snapshots[name]["event"])
        reading = normaliser.frame(raw, snapshots[name]["source"]["t"], 0.0)
        assert reading.problem is None
        events += reading.events
    return events


def chat_frame() -> list[Event]:
    """Events of the recorded chat frame."""
    raw = as_nested(json.loads((RECORDINGS / CHAT).read_bytes()))
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


def test_frame_and_rest_of_one_chat_share_their_times() -> None:
    """What both recordings of the same chat show has one time.

    REST alone dates `start` and alerts. The ids differ, since the frame has none of
    communications.
    """

    def times(events: list[Event]) -> set[tuple[str | None, str, str]]:
        return {(e.participant_id, e.event_type, e.occurred_at) for e in events if not e.estimated}

    shared = {time for time in times(chat_rest()) if time[1] not in {"start", "alert"}}
    assert shared
    assert shared < times(chat_frame())


def test_who_is_consulted_has_a_role_while_it_lasts() -> None:
    """Customer, who consults and who is consulted carry the customer's id in the recording."""
    events = calls("consulting", "consultCancelled")
    consulted = {e.participant_id: e.role_participant_id for e in events if e.role == "consult"}
    (customer,) = {e.participant_id for e in events if e.purpose == "customer"}
    assert list(consulted.values()) == [customer]
    assert "transfer" not in {e.event_type for e in events}


def test_the_schema_tells_of_estimated_times_what_is_so() -> None:
    """An estimated time is `received_at`, but on `start`: there it is a leg's, as the text says."""
    told = [msgspec.json.decode(line, type=Event) for line in lines_of_golden()]
    others = {e.event_type for e in told if e.estimated and e.occurred_at != e.received_at}
    assert others == {"start"}
    texts = event_schema()["properties"]
    assert "start" in texts["occurred_at"]["description"]
    assert "received_at" not in texts["estimated"]["description"]


def lines_of_golden() -> list[bytes]:
    """The records of all golden files."""
    return [
        line
        for path in golden.ROOT.glob("golden/*.jsonl")
        for line in path.read_bytes().splitlines()
    ]
