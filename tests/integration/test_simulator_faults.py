"""Each fault does what the page on the simulator says, and only to whom it should."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import websocket

from harness.simulated import Simulated, close_code, frames, next_frame, read_until_lost, simulated
from simulator.faults import GARBAGE_KINDS


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Simulated]:
    """A fast org that waits to be told to begin, with quick heartbeats."""
    options = (
        "--no-autostart",
        "--speed",
        "40",
        "--heartbeat",
        "0.2",
        "--client",
        "sandbox:sandbox",
    )
    with simulated(tmp_path, *options) as org:
        yield org


def test_drop_cuts_without_a_close_frame(org: Simulated) -> None:
    """The peer sees the connection lost, not closed."""
    socket = org.connect(org.channel())
    assert org.fault(fault="drop")["struck"] == 1
    with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionError)):
        read_until_lost(socket)


def test_close_sends_the_code_to_the_chosen_channel_only(org: Simulated) -> None:
    """Of two sockets one is closed with the code that was asked for."""
    channel = org.channel()
    chosen, other = org.connect(channel), org.connect(org.channel())
    assert org.fault(fault="close", channel=channel["id"], code=1012)["struck"] == 1
    assert close_code(chosen) == 1012
    assert next_frame(other, "channel.metadata")


def test_a_kicked_socket_is_closed_as_by_a_second_one(org: Simulated) -> None:
    """Code 1001, and the channel can be connected to again."""
    channel = org.channel()
    socket = org.connect(channel)
    assert org.fault(fault="kick")["struck"] == 1
    assert close_code(socket) == 1001
    assert next_frame(org.connect(channel), "channel.metadata")


def test_a_stalled_socket_is_silent_and_then_goes_on(org: Simulated) -> None:
    """No heartbeat, no pong, no close; after the time the beats come again."""
    socket = org.connect(org.channel())
    assert next_frame(socket, "channel.metadata")
    org.fault(fault="stall", seconds=1.0)
    frames(socket, 0.1)
    socket.send('{"message":"ping"}')
    assert frames(socket, 0.6) == []
    assert next_frame(socket, "channel.metadata", 3)


def test_maintenance_warns_before_it_closes(org: Simulated) -> None:
    """`v2.system.socket_closing` comes without a subscription; then the socket is closed."""
    socket = org.connect(org.channel())
    org.fault(fault="closing", ms=300)
    assert next_frame(socket, "v2.system.socket_closing")["eventBody"]["channelId"]
    assert close_code(socket) == 1001


def test_an_evicted_channel_answers_404(org: Simulated) -> None:
    """Its socket closes, HEAD and the handshake say that it is gone."""
    channel = org.channel()
    socket = org.connect(channel)
    org.fault(fault="evict", channel=channel["id"])
    assert close_code(socket) == 1001
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        org.connect(channel)
    assert refused.value.status_code == 404


def test_revoked_tokens_are_worthless_at_once(org: Simulated) -> None:
    """REST answers 401 and the channels of those tokens close."""
    socket = org.connect(org.channel())
    org.fault(fault="revoke")
    assert close_code(socket) == 1001
    assert org.call("GET", "/api/v2/users").status == 401


def test_rest_faults_answer_with_any_status_on_any_path(org: Simulated) -> None:
    """The status and its ErrorBody, as often as asked, on that path only."""
    for status in (401, 403, 404, 409, 429, 500, 503, 504):
        org.fault(fault="rest", status=status, path="/api/v2/users*", count=2, retry_after=7)
        answers = [org.call("GET", "/api/v2/users") for _ in range(3)]
        assert [answer.status for answer in answers] == [status, status, 200]
        assert answers[0].body["status"] == status
        if status == 429:
            assert answers[0].headers["Retry-After"] == "7"
        assert org.call("GET", "/api/v2/routing/queues").status == 200


def test_who_does_not_obey_an_injected_429_is_written_down(org: Simulated) -> None:
    """A request of that client on any path, before its `Retry-After` is over."""
    org.fault(fault="rest", status=429, path="/api/v2/users", count=1, retry_after=30)
    assert org.call("GET", "/api/v2/users").status == 429
    deadline = time.monotonic() + 10
    while "early_retry" not in org.get("/_sim/violations")["counts"]:
        assert time.monotonic() < deadline
        org.call("GET", "/api/v2/routing/queues")


def test_rest_faults_can_wait_and_can_cut(org: Simulated) -> None:
    """Status 0 is a slow but good answer, -1 no answer at all."""
    org.fault(fault="rest", status=0, ms=300, path="/api/v2/users", count=1)
    started = time.monotonic()
    assert org.call("GET", "/api/v2/users").status == 200
    assert time.monotonic() - started >= 0.3
    org.fault(fault="rest", status=-1, path="/api/v2/users", count=1)
    with pytest.raises(OSError, match=r"."):
        org.call("GET", "/api/v2/users")


def test_token_requests_can_fail(org: Simulated) -> None:
    """The login host is a path like any other."""
    org.fault(fault="rest", status=503, path="/oauth/token", count=1)
    assert [org.login().status for _ in range(2)] == [503, 200]


def test_handshakes_can_be_refused(org: Simulated) -> None:
    """The socket of a good channel answers 401 once."""
    channel = org.channel()
    org.fault(fault="handshake", status=401, count=1)
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        org.connect(channel)
    assert refused.value.status_code == 401
    assert org.connect(channel).connected


def test_a_swallowed_end_makes_a_zombie(org: Simulated) -> None:
    """The frame that shows the end never leaves; the ledger says so, and REST knows better."""
    socket = org.listen()
    org.fault(fault="swallow", event="end")
    order = {"action": "spawn", "scenario": "chat", "count": 3}
    ids = org.post("/_sim/control", order)["conversation_ids"]
    org.drain()
    for frame in frames(socket, 0.5):
        if frame["topicName"] != "channel.metadata":
            legs = [leg for p in frame["eventBody"]["participants"] for leg in p["chats"]]
            assert any(leg["state"] != "disconnected" for leg in legs)
    ends = [record for record in org.ledger() if record["event_type"] == "end"]
    assert {record["conversation_id"] for record in ends} == set(ids)
    assert all(record["swallowed"] and record["first_sent_ms"] is None for record in ends)
    org.post("/_sim/control", {"clock_shift_seconds": 60})  # all work is over by then
    assert all("endTime" in org.get(f"/api/v2/conversations/{id_}") for id_ in ids)


def test_one_of_two_sockets_can_lose_everything(org: Simulated) -> None:
    """`lose` with `nth` 0 leaves the other replica whole."""
    first, second = org.listen(), org.listen()
    org.fault(fault="lose", nth=0)
    org.post("/_sim/control", {"action": "spawn", "scenario": "email", "count": 3})
    org.drain()
    lost, whole = events(first), events(second)
    assert lost == []
    assert len(whole) > 20
    assert all(record["first_sent_ms"] for record in org.ledger())


def test_late_frames_keep_their_order_and_overtaken_ones_do_not(org: Simulated) -> None:
    """`late` shifts one socket as a whole; `reorder` mixes it; nothing is missing either way."""
    first, second = org.listen(), org.listen()
    org.post("/_sim/control", {"speed": 200})
    late = org.fault(fault="late", nth=0, ms=300)["id"]
    started = time.monotonic()
    org.post("/_sim/control", {"action": "spawn", "scenario": "message", "count": 5})
    org.drain()
    assert events(first) == events(second)
    assert time.monotonic() - started >= 0.3
    org.call("DELETE", f"/_sim/faults/{late}")
    org.fault(fault="reorder", nth=0, ms=300)
    org.post("/_sim/control", {"action": "spawn", "scenario": "message", "count": 5})
    org.drain()
    mixed, straight = events(first), events(second)
    assert mixed != straight
    assert sorted(map(str, mixed)) == sorted(map(str, straight))


def test_duplicated_frames_come_twice(org: Simulated) -> None:
    """Every frame of the socket is followed by its like."""
    socket = org.listen()
    org.fault(fault="duplicate")
    org.post("/_sim/control", {"action": "spawn", "scenario": "chat"})
    org.drain()
    got = events(socket)
    assert got[::2] == got[1::2]


def test_garbage_of_every_kind_can_be_sent(org: Simulated) -> None:
    """The bytes arrive on the socket, which stays open."""
    socket = org.listen()
    for kind in GARBAGE_KINDS:
        org.fault(fault="garbage", kind=kind)
        while True:
            _, data = socket.recv_data()
            if b"WebSocket Heartbeat" not in data:
                break
        if kind in ("bad_utf8", "truncated", "not_json", "empty"):
            with pytest.raises(ValueError, match=r"."):
                json.loads(data)
    assert next_frame(socket, "channel.metadata")


def test_muted_sockets_get_frames_but_no_heartbeats(org: Simulated) -> None:
    """Silence without loss."""
    socket = org.listen()
    org.fault(fault="mute")
    frames(socket, 0.1)
    assert frames(socket, 0.7) == []
    org.post("/_sim/control", {"action": "spawn", "scenario": "chat"})
    assert next_frame(socket, "v2.")


def test_forgotten_conversations_are_gone_from_rest_and_analytics(org: Simulated) -> None:
    """404 from one, nothing from the other."""
    order = {"action": "spawn", "scenario": "endless_call"}
    conversation = org.post("/_sim/control", order)["conversation_ids"][0]
    org.fault(fault="forget", conversation_id=conversation)
    assert org.call("GET", f"/api/v2/conversations/{conversation}").status == 404
    assert org.get(f"/api/v2/analytics/conversations/details?id={conversation}") == {
        "conversations": []
    }


def test_faults_from_the_command_line_strike_again_and_again(tmp_path: Path) -> None:
    """`drop:every=0.3` cuts whoever is connected, time after time."""
    with simulated(tmp_path, "--no-autostart", "--fault", "drop:every=0.3") as org:
        for _ in range(2):
            socket = org.connect(org.channel())
            with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionError)):
                read_until_lost(socket)


def test_unknown_faults_are_refused_by_name(org: Simulated) -> None:
    """A typo does not become a quiet nothing."""
    answer = org.call("POST", "/_sim/faults", {"fault": "dorp"})
    assert answer.status == 400
    assert "dorp" in answer.body["error"]


def events(socket: websocket.WebSocket) -> list[object]:
    """What came about conversations, without heartbeats."""
    got = frames(socket, 0.8)
    return [frame for frame in got if frame["topicName"] != "channel.metadata"]
