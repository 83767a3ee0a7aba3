"""How frames and REST bodies agree, and topics whose frames are not read."""

from __future__ import annotations

import pytest

from tests.unit.conversation.build import (
    Reader,
    at,
    conversation,
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


def test_frames_and_rest_give_the_same_ids_and_times() -> None:
    """Though REST knows the start, and a participant connects a little earlier than its leg."""
    shown = participant(
        {**ENDED, "held": False}, connectedTime=at(985), endTime=at(9_000), startAcwTime=at(9_000)
    )
    told = [Reader().frame(shown), Reader().rest(shown, endTime=at(9_700), startTime=at(900))]
    names = [[(e.event_type, e.event_id, e.agent_id) for e in events] for events in told]
    assert names[0] == names[1]
    times = [[e.occurred_at for e in events if e.event_type != "start"] for events in told]
    assert times[0] == times[1]
    starts = [only(events, "start") for events in told]
    assert [(e.occurred_at, e.estimated) for e in starts] == [(at(1_000), True), (at(900), False)]


@pytest.mark.parametrize(
    "topic",
    [
        "v2.users.u-1.conversations.calls",
        "v2.users.u-1.conversations.cobrowseSessions",
        "v2.routing.queues.q-1.conversations.videos",
        "v2.routing.queues.q-1.conversations.chats",
    ],
)
def test_topics_of_one_medium_are_unknown(topic: str) -> None:
    """Whatever they bring: nested topics carry all of it, and nothing is told twice."""
    flat = {"id": "p-1", "purpose": "agent", "state": "connected", "connectedTime": at(1_000)}
    reader = Reader()
    for shown in (flat, participant(CONNECTED)):
        reading = reader.read(frame(conversation(shown), topic))
        assert (reading.kind, reading.topic, reading.events) == ("unknown", topic, [])
        assert reading.problem is None
    assert len(reader.normaliser.memory) == 0


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
