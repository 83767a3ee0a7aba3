"""What leaves on the sockets against what the ledger, REST and analytics say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.simulated import Simulated, frames, next_frame, simulated
from tests.schemas import class_of_topic, problems

LIVE = frozenset({"call", "email", "message", "callback"})
RECORDING = (
    Path(__file__).parents[1]
    / "recordings"
    / "v2.users.id.conversations.calls__live-2026-08__8-snapshots.json"
)


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Simulated]:
    """A fast org that waits to be told to begin."""
    with simulated(tmp_path, "--no-autostart", "--speed", "40", "--rate", "20") as org:
        yield org


def test_every_frame_is_allowed_and_all_big_media_live_and_end(org: Simulated) -> None:
    """A few seconds of traffic: each body passes its class; each big medium starts and ends."""
    socket = org.listen()
    org.post("/_sim/control", {"action": "start", "conversations": 60})
    seen = frames(socket, 4)
    assert len(seen) > 500
    for frame in seen:
        if frame["topicName"] != "channel.metadata":
            assert frame["version"] == "2"
            assert frame["metadata"]["CorrelationId"]
            assert not problems(frame["eventBody"], class_of_topic(frame["topicName"]))
    org.drain()
    records = org.ledger()
    assert {record["media_type"] for record in records} >= LIVE
    kinds = Counter(record["event_type"] for record in records)
    started = org.get("/_sim/stats")["conversations"]["started"]
    assert kinds["start"] == started >= 60
    assert kinds["end"] >= started


def test_the_ledger_knows_when_a_transition_first_left(org: Simulated) -> None:
    """Nothing has left before anybody listens; afterwards everything that happens has."""
    org.post("/_sim/control", {"action": "spawn", "scenario": "chat"})
    org.drain()
    assert {record["first_sent_ms"] for record in org.ledger()} == {None}
    org.listen()
    before = org.get("/_sim/stats")["ledger"]["last_seq"]
    org.post("/_sim/control", {"action": "spawn", "scenario": "inbound_call", "count": 20})
    org.drain()
    later = org.get(f"/_sim/ledger?since_seq={before}&limit=10000")["records"]
    # Who gives up in the ivr menu involves no queue and no user: no topic, so nobody is told.
    told = {r["conversation_id"] for r in later if r["queue_id"] or r["agent_id"]}
    assert len(told) >= 12
    assert all(bool(r["first_sent_ms"]) == (r["conversation_id"] in told) for r in later)


def test_two_replicas_get_the_same_bodies(org: Simulated) -> None:
    """Two sockets on the same topics receive byte-equal frames in the same order."""
    first, second = org.listen(), org.listen()
    org.post("/_sim/control", {"action": "spawn", "scenario": "email", "count": 5})
    org.drain()
    received, second_received = frames(first, 0.5), frames(second, 0.5)
    assert received
    assert received == second_received


def test_a_queue_topic_sees_a_conversation_from_when_it_involves_the_queue(org: Simulated) -> None:
    """The ivr phase of a call is on no queue topic; later frames are, with all of the past."""
    queue_ids = [queue["id"] for queue in org.get("/api/v2/routing/queues")["entities"]]
    channel = org.channel()
    socket = org.connect(channel)
    topics = [f"v2.routing.queues.{queue}.conversations" for queue in queue_ids]
    org.subscribe(channel["id"], topics)
    org.post("/_sim/control", {"action": "spawn", "scenario": "inbound_call", "count": 10})
    first: dict[str, Any] = {}
    org.drain()
    for frame in frames(socket, 0.5):
        first.setdefault(frame["eventBody"]["id"], frame["eventBody"])
    assert len(first) >= 8
    for body in first.values():
        assert {"customer", "ivr", "acd"} <= {p["purpose"] for p in body["participants"]}


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_queue_that_a_conversation_left_may_hear_of_it_or_not(
    org: Simulated, goes_on: bool
) -> None:
    """Genesys does not document it; the queue where it went hears of it."""
    org.post("/_sim/control", {"quirks": {"queue_after_transfer": goes_on}})
    sockets = {}
    for topic in org.topics():
        if "queues" in topic:
            channel = org.channel()
            sockets[topic] = org.connect(channel)
            org.subscribe(channel["id"], [topic])
    org.post("/_sim/control", {"action": "spawn", "scenario": "flowed_out_call", "count": 4})
    org.drain()
    after: dict[str, set[str]] = {}
    ever: dict[str, set[str]] = {}
    for topic, socket in sockets.items():
        for frame in frames(socket, 0.5):
            if frame["topicName"] == topic:
                body = frame["eventBody"]
                queues = {p.get("queueId") for p in body["participants"]} - {None}
                if len(queues) == 2:
                    after.setdefault(body["id"], set()).add(topic)
                ever.setdefault(body["id"], set()).add(topic)
    assert {len(topics) for topics in ever.values()} == {2}
    assert {len(topics) for topics in after.values()} == {2 if goes_on else 1}


def test_topics_of_one_medium_are_accepted_and_silent(org: Simulated) -> None:
    """`.conversations.calls` exists; what happens is told on the nested topics and on statuses."""
    users = [user["id"] for user in org.get("/api/v2/users?pageSize=100")["entities"]]
    channel = org.channel()
    socket = org.connect(channel)
    wanted = [f"v2.users.{u}.conversations?calls&chats" for u in users]
    wanted += [f"v2.users.{u}?routingStatus&conversationsummary&activity" for u in users]
    assert org.subscribe(channel["id"], wanted).status == 200
    org.post("/_sim/control", {"action": "spawn", "scenario": "inbound_call", "count": 4})
    org.drain()
    kinds: Counter[str] = Counter()
    for frame in frames(socket, 0.5):
        kinds[frame["topicName"].rsplit(".", 1)[1]] += 1
        assert not problems(frame["eventBody"], class_of_topic(frame["topicName"]))
    assert set(kinds) == {"routingStatus", "conversationsummary", "activity"}


def test_what_a_conversation_gives_rise_to_is_played_too(org: Simulated) -> None:
    """Consultations and merges are conversations of their own, on the topics of their users."""
    socket = org.listen()
    for scenario in ("consult_apart", "merge_call"):
        org.post("/_sim/control", {"action": "spawn", "scenario": scenario, "count": 5})
    org.drain()
    seen = {frame["eventBody"]["id"]: frame["eventBody"] for frame in frames(socket, 0.5)}
    linked = {body["associatedConversation"]["id"] for body in seen.values() if _serves(body)}
    assert len(linked) >= 3
    assert linked <= set(seen)
    records = org.ledger()
    links = {r["linked_conversation_id"] for r in records if r["linked_conversation_id"]}
    assert links == linked
    assert Counter(r["event_type"] for r in records)["end"] >= len(seen)


def _serves(body: dict[str, Any]) -> bool:
    return "associatedConversation" in body


def test_presence_and_routing_status_follow_the_work(org: Simulated) -> None:
    """A user goes on queue, interacts, and is idle, not responding or off queue afterwards."""
    users = [user["id"] for user in org.get("/api/v2/users?pageSize=100")["entities"]]
    channel = org.channel()
    socket = org.connect(channel)
    org.subscribe(channel["id"], [f"v2.users.{user}?presence&routingStatus" for user in users])
    org.post("/_sim/control", {"action": "spawn", "scenario": "chat", "count": 30})
    org.drain()
    statuses: dict[str, list[str]] = {}
    presences = set()
    for frame in frames(socket, 0.5):
        body = frame["eventBody"]
        assert not problems(body, class_of_topic(frame["topicName"]))
        if frame["topicName"].endswith(".presence"):
            presences.add(body["presenceDefinition"]["systemPresence"])
        else:
            statuses.setdefault(body["id"], []).append(body["routingStatus"]["status"])
    assert all(words[0] == "INTERACTING" for words in statuses.values())
    assert {"IDLE", "NOT_RESPONDING"} <= {word for words in statuses.values() for word in words}
    assert "ON_QUEUE" in presences


def test_rest_and_analytics_say_what_the_ledger_says(org: Simulated) -> None:
    """An ended conversation has an end in both once all work is over, never before its last leg."""
    org.post("/_sim/control", {"action": "spawn", "scenario": "inbound_call", "count": 5})
    org.drain()
    ends = {
        r["conversation_id"]: r["occurred_at"] for r in org.ledger() if r["event_type"] == "end"
    }
    assert len(ends) == 5
    org.post("/_sim/control", {"clock_shift_seconds": 60})
    ids = ",".join(ends)
    many = org.get(f"/api/v2/analytics/conversations/details?id={ids}")
    assert not problems(many, "AnalyticsConversationWithoutAttributesMultiGetResponse")
    for conversation in many["conversations"]:
        body = org.get(f"/api/v2/conversations/{conversation['conversationId']}")
        assert not problems(body, "Conversation")
        assert body["endTime"] == conversation["conversationEnd"] > ends[body["id"]]


def test_analytics_finds_the_active_ones_after_its_lag(org: Simulated) -> None:
    """`conversationEnd notExists` gives the live ones; with a lag, what just began is unknown."""
    spawn = {"action": "spawn", "scenario": "endless_call"}
    conversation = org.post("/_sim/control", spawn)["conversation_ids"][0]
    year = "2000-01-01T00:00:00.000Z"
    now = org.get("/_sim/stats")["genesys_time"]
    begin = now.replace(now[11:23], "00:00:00.000")
    query = {
        "interval": f"{begin}/{now[:10]}T23:59:59.999Z",
        "conversationFilters": [
            {
                "type": "and",
                "predicates": [{"dimension": "conversationEnd", "operator": "notExists"}],
            }
        ],
        "paging": {"pageSize": 100, "pageNumber": 1},
    }
    path = "/api/v2/analytics/conversations/details/query"
    found = org.post(path, query)
    assert not problems(found, "AnalyticsConversationQueryResponse")
    assert [c["conversationId"] for c in found["conversations"]] == [conversation]
    org.post("/_sim/control", {"analytics_lag": 3600})
    assert org.post(path, query) == {"totalHits": 0}
    refused = org.call("POST", path, {**query, "interval": f"{year}/{now}"})
    assert refused.status == 400


def test_active_conversations_of_a_client_are_none(org: Simulated) -> None:
    """`GET /api/v2/conversations` is for users; a client gets an empty list (docs/protocol.md,
    "Reading conversations")."""
    org.post("/_sim/control", {"action": "spawn", "scenario": "endless_call"})
    assert org.get("/api/v2/conversations")["entities"] == []


def test_recorded_frames_are_replayed_as_they_were(tmp_path: Path) -> None:
    """The recorded snapshots arrive unchanged and in order once their topic is listened to."""
    recorded = [entry["event"] for entry in json.loads(RECORDING.read_text()).values()]
    options = ("--no-autostart", "--replay", str(RECORDING))
    with simulated(tmp_path, *options) as org:
        channel = org.channel()
        socket = org.connect(channel)
        users = {user["id"] for user in org.get("/api/v2/users?pageSize=100")["entities"]}
        assert {frame["topicName"].split(".")[2] for frame in recorded} <= users
        org.subscribe(channel["id"], sorted({frame["topicName"] for frame in recorded}))
        got = [next_frame(socket, "v2.users.") for _ in recorded]
    assert got == recorded
