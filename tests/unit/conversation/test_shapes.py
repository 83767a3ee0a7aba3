"""How the shapes differ and agree: nested, flat, REST, and topics that are not what they look."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.conversation.build import (
    Reader,
    at,
    conversation,
    flat_frame,
    folded,
    frame,
    leg,
    only,
    participant,
    types,
)

CONNECTED = leg("connected", connectedTime=at(1_000), held=False)
ENDED = leg(
    "disconnected", connectedTime=at(1_000), disconnectedTime=at(9_000), disconnectType="peer"
)


def test_all_shapes_give_the_same_ids_and_times() -> None:
    """Nested, flat and REST name a transition alike, though nested participants connect earlier."""
    one = {**ENDED, "held": False}
    nested = participant(one, connectedTime=at(985), endTime=at(9_000), startAcwTime=at(9_000))
    flat = {
        "id": "p-1",
        "purpose": "agent",
        "state": "disconnected",
        "connectedTime": at(1_000),
        "endTime": at(9_000),
        "disconnectType": "peer",
        "user": {"id": "u-1"},
        "queue": {},
        "direction": "inbound",
        "startAcwTime": at(9_000),
    }
    topic = "v2.users.u-1.conversations.calls"
    told = [
        Reader().frame(nested),
        Reader().read(frame(conversation(flat), topic)).events,
        Reader().rest(nested, endTime=at(9_000), startTime=at(900)),
    ]
    names = [[(e.event_type, e.event_id, e.agent_id) for e in events] for events in told]
    assert names[0] == names[1] == names[2]
    times = [[e.occurred_at for e in events if e.event_type != "start"] for events in told]
    assert times[0] == times[1] == times[2]
    assert only(told[2], "start").occurred_at == at(900)
    assert {e.communication_id for e in told[1]} == {None}


def test_a_queue_topic_of_videos_is_nested() -> None:
    """Its name looks flat, its body is not (docs/protocol.md, "Topics")."""
    topic = "v2.routing.queues.q-1.conversations.videos"
    reading = Reader().read(frame(conversation(participant(CONNECTED, medium="video")), topic))
    assert only(reading.events, "answer").media_type == "video"
    assert only(reading.events, "answer").source_topic == topic


def test_a_flat_frame_ends_nothing_whose_other_media_are_unknown() -> None:
    """It shows one medium and links to the others; `end` names all legs, as a nested frame does."""
    reader = Reader()
    call: dict[str, Any] = {"id": "p-1", "state": "terminated", "endTime": at(9_000)}
    callback: dict[str, Any] = {**call, "state": "disconnected", "endTime": at(9_500)}
    assert "end" not in types(reader.read(flat_frame("calls", call, others=("callbacks",))).events)
    told = only(reader.read(flat_frame("callbacks", callback, others=("calls",))).events, "end")
    nested = participant(leg("terminated", disconnectedTime=at(9_000)))
    nested["callbacks"] = [leg("disconnected", disconnectedTime=at(9_500))]
    assert told.event_id == only(Reader().frame(nested), "end").event_id
    assert told.occurred_at == at(9_500)


@pytest.mark.parametrize("state", ["contacting", "connected"])
def test_after_call_work_is_not_of_a_live_leg_that_a_flat_frame_shows_beside_it(state: str) -> None:
    """The call that a callback dialled lives on: its answer and its end are still to come."""
    reader = Reader()
    work = {"startAcwTime": at(9_000), "wrapup": {"code": "w-1", "endTime": at(9_500)}}
    callback: dict[str, Any] = {"id": "p-1", "purpose": "agent", "endTime": at(9_000), **work}
    callback |= {"state": "disconnected", "connectedTime": at(1_000)}
    call: dict[str, Any] = {"id": "p-1", "purpose": "agent", "state": state, **work}
    events = reader.read(flat_frame("calls", call, others=("callbacks",))).events
    assert not {"acw", "wrapup"} & set(types(events))
    events += reader.read(flat_frame("callbacks", callback, others=("calls",))).events
    assert only(events, "acw").media_type == only(events, "wrapup").media_type == "callback"
    call |= {"state": "connected", "connectedTime": at(9_700)}
    events += reader.read(flat_frame("calls", call, others=("callbacks",))).events
    assert [(leg.media_type, leg.state, leg.ended) for leg in folded(events).legs] == [
        ("call", "connected", False),
        ("callback", "disconnected", True),
    ]


def test_after_call_work_that_only_a_live_call_shows_is_told_at_the_end_of_the_call() -> None:
    """Where no frame shows the callback, nothing is lost and a leg's order is kept."""
    reader = Reader()
    call: dict[str, Any] = {"id": "p-1", "purpose": "agent", "startAcwTime": at(9_000)}
    live = {**call, "state": "connected", "connectedTime": at(1_000)}
    assert "acw" not in types(reader.read(flat_frame("calls", live, others=("callbacks",))).events)
    over = {**live, "state": "terminated", "endTime": at(9_900)}
    told = reader.read(flat_frame("calls", over, others=("callbacks",))).events
    assert types(told) == ["disconnect", "acw"]
    assert only(told, "acw").occurred_at == at(9_000)


@pytest.mark.parametrize("uris", [["", "/", "x", "/calls/", "nothing/calls"], ["/a/b"], []])
def test_odd_links_to_other_media_raise_nothing(uris: list[str]) -> None:
    """Links to nowhere at worst keep a conversation open, until the janitor asks."""
    shown = {"id": "p-1", "state": "disconnected", "endTime": at(9_000)}
    body = conversation(shown, otherMediaUris=uris)
    reading = Reader().read(frame(body, "v2.users.u-1.conversations.calls"))
    assert ("end" in types(reading.events)) == (not uris)


def test_rest_says_that_a_lagging_leg_is_over() -> None:
    """With `endTime` set, legs that look live end then, under the ids that a frame gives."""
    events = Reader().rest(participant(CONNECTED), endTime=at(9_500))
    assert types(events) == ["start", "answer", "disconnect", "end"]
    assert only(events, "disconnect").occurred_at == at(9_500)
    assert only(events, "disconnect").state == "disconnected"
    seen = Reader().frame(participant(ENDED))
    assert {e.event_id for e in events} == {e.event_id for e in seen}


def test_rest_segments_tell_alerts_and_holds() -> None:
    """Dated ones only, and a hold under the id that a frame gives it."""
    segments = [
        {"type": "alert", "startTime": at(500), "endTime": at(1_000)},
        {"type": "Hold", "startTime": at(5_000), "endTime": at(6_000)},
        {"type": "interact", "startTime": at(6_000)},
    ]
    events = Reader().rest(participant({**CONNECTED, "segments": segments}))
    assert types(events) == ["start", "alert", "answer", "hold", "resume"]
    assert only(events, "resume").occurred_at == at(6_000)
    held = {**CONNECTED, "held": True, "startHoldTime": at(5_000)}
    assert only(Reader().frame(participant(held)), "hold").event_id == only(events, "hold").event_id
