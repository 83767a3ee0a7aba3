"""Open questions answered the other way, load, and TLS."""

from __future__ import annotations

import json
import socket as plain_socket
import ssl
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import websocket

from harness.process import ManagedProcess
from harness.simulated import (
    READY_SECONDS,
    Simulated,
    close_code,
    frames,
    next_frame,
    read_until_lost,
    simulated,
)
from tests.schemas import class_of_topic, problems

CHANNELS = "/api/v2/notifications/channels"


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Simulated]:
    """A fast org that waits to be told to begin, with ten users and two queues."""
    options = ("--no-autostart", "--speed", "40", "--users", "10", "--queues", "2")
    with simulated(tmp_path, *options, "--client", "sandbox:sandbox:300") as org:
        yield org


def change(org: Simulated, **quirks: object) -> None:
    """Answer open questions differently."""
    org.post("/_sim/control", {"quirks": quirks})


def test_a_dead_channel_may_let_the_socket_in_and_tell_it(org: Simulated) -> None:
    """The other reading of a dead channel: `{"result":"404"}` over the socket."""
    change(org, dead_channel=101)
    channel = org.channel()
    org.fault(fault="evict")
    socket = org.connect(channel)
    assert json.loads(socket.recv())["result"] == "404"
    assert close_code(socket) == 1000


def test_a_dead_channels_socket_may_be_cut(org: Simulated) -> None:
    """Code 1006 is no close frame at all."""
    change(org, dead_socket_code=1006)
    socket = org.connect(org.channel())
    org.fault(fault="expire")
    with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionError)):
        read_until_lost(socket)


def test_invalid_topics_may_be_rejected_one_by_one(org: Simulated) -> None:
    """With `ignoreErrors` the good ones stay permitted."""
    change(org, invalid_topic_fails=False)
    topics = ["v2.nonsense", org.topics()[0]]
    answer = org.subscribe(org.channel()["id"], topics, "?ignoreErrors=true")
    assert [entity["state"] for entity in answer.body["entities"]] == ["Rejected", "Permitted"]
    assert org.subscribe(org.channel()["id"], topics).status == 400


def test_answers_may_lack_the_state_as_in_2022(org: Simulated) -> None:
    """Only ids, and refused topics are simply missing."""
    change(org, topic_states=False)
    topic = org.topics()[0]
    answer = org.subscribe(org.channel()["id"], [topic])
    assert answer.body == {"entities": [{"id": topic}]}


def test_a_channel_may_belong_to_its_token_alone(org: Simulated) -> None:
    """A later token of the same client does not know it then."""
    path = f"{CHANNELS}/{org.channel()['id']}/subscriptions"
    org.login()
    assert org.call("GET", path).status == 200
    change(org, any_token=False)
    assert org.call("GET", path).status == 404


def test_combined_topics_may_be_named_one_by_one(org: Simulated) -> None:
    """In the answer and in the list."""
    user = org.topics()[0].removesuffix(".conversations")
    topics = [f"{user}?presence&routingStatus"]
    for combined, named in (
        (True, topics),
        (False, [f"{user}.presence", f"{user}.routingStatus"]),
    ):
        change(org, combined_ids=combined)
        channel = org.channel()["id"]
        answer = org.subscribe(channel, topics, "?ignoreErrors=true")
        assert [entity["id"] for entity in answer.body["entities"]] == named
        listed = org.get(f"{CHANNELS}/{channel}/subscriptions")["entities"]
        assert [entity["id"] for entity in listed] == named


def test_renewal_may_need_a_put(org: Simulated) -> None:
    """`expires` moves with what renews, and only with that."""
    change(org, renewing=["PUT"])
    channel = org.channel()
    path = f"{CHANNELS}/{channel['id']}/subscriptions"
    org.post("/_sim/control", {"clock_shift_seconds": 60})
    for method, moves in (("POST", False), ("PUT", True)):
        org.call(method, path, [{"id": org.topics()[0]}])
        (listed,) = org.get(CHANNELS)["entities"]
        assert (listed["expires"] > channel["expires"]) is moves


def test_channels_may_outlive_their_token(org: Simulated) -> None:
    """The channel stays after the 300 seconds of its token."""
    change(org, token_ends_channels=False)
    socket = org.connect(org.channel())
    org.post("/_sim/control", {"clock_shift_seconds": 400})
    time.sleep(0.6)
    assert org.call("GET", "/api/v2/users").status == 401
    socket.send('{"message":"ping"}')
    assert next_frame(socket, "channel.metadata")


def test_the_end_time_may_come_before_all_work_is_over(org: Simulated) -> None:
    """By default it comes seconds after the last leg and its after-call work."""
    conversation = org.post("/_sim/control", {"action": "spawn", "scenario": "chat"})[
        "conversation_ids"
    ][0]
    org.post("/_sim/control", {"time_scale": 0.001})  # nobody waits for the seconds after
    org.drain()
    assert "endTime" not in org.get(f"/api/v2/conversations/{conversation}")
    change(org, end_time_before_wrapup=True)
    early = org.get(f"/api/v2/conversations/{conversation}")["endTime"]
    change(org, end_time_before_wrapup=False)
    org.post("/_sim/control", {"clock_shift_seconds": 60})
    assert org.get(f"/api/v2/conversations/{conversation}")["endTime"] > early


def test_conversations_answer_open_questions_as_they_are_told(org: Simulated) -> None:
    """A quirk of conversations holds for those that begin from now on."""
    change(org, reused_participant="replace")
    socket = org.listen()
    org.post("/_sim/control", {"action": "spawn", "scenario": "message_reassigned", "count": 3})
    org.drain()
    most = [
        len(participant["messages"])
        for frame in frames(socket, 0.5)
        if frame["topicName"] != "channel.metadata"
        for participant in frame["eventBody"]["participants"]
    ]
    assert set(most) == {1}


def test_a_query_that_finds_nothing_may_say_nothing(org: Simulated) -> None:
    """`totalHits` 0, or an empty object."""
    path = "/api/v2/analytics/conversations/details/query"
    query = {"interval": "2020-01-01T00:00:00Z/2020-01-02T00:00:00Z"}
    assert org.post(path, query) == {"totalHits": 0}
    change(org, counts_no_hits=False)
    assert org.post(path, query) == {}


def test_unknown_conversations_are_never_forbidden(org: Simulated) -> None:
    """403 is for those that the client may not see (`tests/integration/test_rights.py`)."""
    change(org, hidden_conversation=403)
    assert org.call("GET", "/api/v2/conversations/none").status == 404


def test_bad_answers_to_open_questions_are_refused(org: Simulated) -> None:
    """An unknown name and a wrong value change nothing."""
    bad = ({"colour": 1}, {"dead_channel": "maybe"}, {"early_resume": "perhaps"})
    for quirks in bad:
        assert org.call("POST", "/_sim/control", {"quirks": quirks}).status == 400


def test_load_sends_whole_conversations_in_order(org: Simulated) -> None:
    """Good frames of subscribed topics, each conversation from its start; both replicas alike."""
    first, second = org.listen(), org.listen()
    org.post("/_sim/control", {"action": "load", "load": 2000, "load_lanes": 5, "load_frames": 400})
    received, second_received = frames(first, 2.0), frames(second, 0.5)
    assert received == second_received
    assert 190 <= len(received) <= 210
    subscribed = set(org.topics())
    participants: dict[str, int] = {}
    for frame in received:
        body = frame["eventBody"]
        assert frame["topicName"] in subscribed
        assert not problems(body, class_of_topic(frame["topicName"]))
        assert len(body["participants"]) >= participants.get(body["id"], 0)
        participants[body["id"]] = len(body["participants"])
    stats = org.get("/_sim/stats")["load"]
    assert stats["on"] is False
    assert stats["distinct_frames"] == len(received)
    assert stats["transitions"] > len(received) / 2


def test_load_waits_for_a_slow_socket(org: Simulated) -> None:
    """Who does not read holds its lanes up; it is not cut off, and memory stays bounded."""
    org.listen()
    org.post("/_sim/control", {"action": "load", "load": 0})
    end = time.monotonic() + 20
    while not org.get("/_sim/stats")["load"]["held"]:
        assert time.monotonic() < end
        time.sleep(0.05)
    stats = org.get("/_sim/stats")
    assert stats["sockets"] == 1
    assert stats["frames"]["slow_sockets_cut"] == 0


def test_a_slow_socket_is_cut_in_normal_life(org: Simulated) -> None:
    """A bounded buffer, then the end, recorded; others go on."""
    channel = org.channel()
    slow = org.connect(channel)
    assert slow.sock is not None
    slow.sock.setsockopt(plain_socket.SOL_SOCKET, plain_socket.SO_RCVBUF, 4096)
    topic = org.topics()[0]
    org.subscribe(channel["id"], [topic])
    order = {"topic": topic, "frame": {"topicName": topic, "x": "x" * 4_000_000}}
    for _ in range(12):
        org.post("/_sim/frames", order)
    stats = org.get("/_sim/stats")
    assert stats["frames"]["slow_sockets_cut"] == 1
    assert stats["sockets"] == 0


def test_it_serves_over_tls(tmp_path: Path) -> None:
    """https and wss on one port, with a certificate of the test's own authority."""
    trustme = pytest.importorskip("trustme", reason="pip install trustme (extra `dev`)")
    authority = trustme.CA()
    served = authority.issue_cert("127.0.0.1")
    cert, key, trusted = (tmp_path / name for name in ("cert.pem", "key.pem", "ca.pem"))
    served.cert_chain_pems[0].write_to_path(cert)
    served.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(trusted)
    context = ssl.create_default_context(cafile=str(trusted))
    arguments = ("--port", "0", "--no-autostart", "--tls-cert", str(cert), "--tls-key", str(key))
    root = str(Path(__file__).parents[2])
    with ManagedProcess.python_module(
        "simulator", *arguments, folder=tmp_path, env={"PYTHONPATH": root}
    ) as process:
        process.wait_for(lambda: "\n" in process.stdout, READY_SECONDS, "the ready line")
        url = json.loads(process.stdout)["url"]
        assert url.startswith("https://")
        with urllib.request.urlopen(url + "/_sim/stats", context=context) as response:
            assert response.status == 200
        login = urllib.request.Request(
            url + "/oauth/token",
            data=b"grant_type=client_credentials&client_id=sandbox&client_secret=sandbox",
        )
        with urllib.request.urlopen(login, context=context) as response:
            token = json.loads(response.read())["access_token"]
        create = urllib.request.Request(
            url + CHANNELS,
            data=b"{}",
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(create, context=context) as response:
            uri = json.loads(response.read())["connectUri"]
        assert uri.startswith("wss://")
        socket = websocket.create_connection(uri, sslopt={"context": context}, timeout=10)
        socket.send('{"message":"ping"}')
        assert next_frame(socket, "channel.metadata")
        socket.close()
