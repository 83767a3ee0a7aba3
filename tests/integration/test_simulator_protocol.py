"""The simulator over real sockets: OAuth, channels, subscriptions, limits."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import websocket

from harness.process import ManagedProcess
from harness.simulated import Simulated, close_code, next_frame, simulated
from tests.schemas import problems

ROOT = str(Path(__file__).parents[2])
CHANNELS = "/api/v2/notifications/channels"


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Simulated]:
    """A quiet org with two OAuth clients."""
    options = ("--no-autostart", "--client", "a:1", "--client", "b:2:2", "--heartbeat", "0.3")
    with simulated(tmp_path, *options, login=False) as org:
        assert org.login("a", "1").status == 200
        yield org


def test_wrong_credentials_are_refused_with_the_oauth_body(org: Simulated) -> None:
    """400 with `error` and `description`, not an ErrorBody."""
    answer = org.login("a", "wrong")
    assert answer.status == 400
    assert answer.body["error"] == "invalid_client"
    assert answer.body["description"]


def test_missing_unknown_and_expired_tokens_have_their_own_codes(org: Simulated) -> None:
    """Three 401s, each an ErrorBody with a correlation id."""
    codes = []
    for token in ("", "nonsense"):
        org.token = token
        codes.append(org.call("GET", "/api/v2/users").body["code"])
    assert org.login("b", "2").body["expires_in"] == 2
    end = time.monotonic() + 10
    while org.call("GET", "/api/v2/tokens/me").status == 200:
        assert time.monotonic() < end
        time.sleep(0.1)
    answer = org.call("GET", "/api/v2/tokens/me")
    assert [*codes, answer.body["code"]] == [
        "authentication.required",
        "bad.credentials",
        "credentials.expired",
    ]
    assert not problems(answer.body, "ErrorBody")
    assert answer.headers["ININ-Correlation-Id"] == answer.body["contextId"]


def test_a_channel_is_a_channel(org: Simulated) -> None:
    """The body is Genesys' class, its URI is on the host that was asked, HEAD knows it."""
    channel = org.channel()
    assert not problems(channel, "Channel")
    assert channel["connectUri"] == f"{org.url.replace('http', 'ws')}/channels/{channel['id']}"
    assert org.call("HEAD", f"{CHANNELS}/{channel['id']}").status == 200
    assert org.call("HEAD", f"{CHANNELS}/streaming-0-none").status == 404


def test_put_replaces_post_adds_delete_empties(org: Simulated) -> None:
    """The subscriptions of a channel are what was last PUT, plus what was POSTed since."""
    path = f"{CHANNELS}/{org.channel()['id']}/subscriptions"
    first, second, third = org.topics()[:3]
    org.call("PUT", path, [{"id": first}, {"id": second}])
    answer = org.call("PUT", path, [{"id": second}])
    assert not problems(answer.body, "ChannelTopicEntityListing")
    org.call("POST", path, [{"id": third}])
    assert [entity["id"] for entity in org.get(path)["entities"]] == [second, third]
    assert org.call("DELETE", path).status == 200
    assert org.get(path)["entities"] == []


def test_the_1001st_topic_fails_the_whole_request(org: Simulated) -> None:
    """400 with its code; the channel keeps what it had; a combined topic counts once."""
    path = f"{CHANNELS}/{org.channel()['id']}/subscriptions"
    org.post("/_sim/control", {"quirks": {"absent_owner": "permitted"}})
    topics = [{"id": f"v2.users.{n}?conversations&presence"} for n in range(1000)]
    assert org.call("PUT", path, topics).status == 200
    answer = org.call("POST", path, [{"id": "v2.users.x.conversations"}])
    assert answer.status == 400
    assert answer.body["code"] == "notification.subscription.too.many.subscriptions"
    assert len(org.get(path)["entities"]) == 1000
    org.fault(fault="forbid", topic="*")
    beyond = [*topics, {"id": "v2.users.x.conversations"}]
    assert org.call("PUT", path + "?ignoreErrors=true", beyond).status == 400  # refused ones count
    assert org.get("/_sim/violations")["counts"] == {"too_many_topics": 2}


def test_an_invalid_topic_fails_the_request_even_with_ignore_errors(org: Simulated) -> None:
    """`ignoreErrors` is for permissions only (docs/protocol.md, "Channels")."""
    channel = org.channel()["id"]
    answer = org.subscribe(channel, ["v2.nothing.at.all"], "?ignoreErrors=true")
    assert (answer.status, answer.body["code"]) == (400, "notification.invalid.topic")


def test_forbidden_topics_fail_all_or_come_back_rejected(org: Simulated) -> None:
    """403 for the entire request without `ignoreErrors`; Rejected entities with it."""
    allowed, forbidden = org.topics()[:2]
    org.fault(fault="forbid", topic=forbidden)
    channel = org.channel()["id"]
    topics = [allowed, forbidden.replace(".conversations", "?conversations&presence")]
    refused = org.subscribe(channel, topics)
    assert (refused.status, refused.body["code"]) == (403, "missing.permissions")
    assert org.get(f"{CHANNELS}/{channel}/subscriptions")["entities"] == []
    answer = org.subscribe(channel, topics, "?ignoreErrors=true")
    states = {entity["id"]: entity["state"] for entity in answer.body["entities"]}
    assert states == {allowed: "Permitted", topics[1]: "Permitted", forbidden: "Rejected"}


def test_the_21st_channel_evicts_an_unconnected_one_first(org: Simulated) -> None:
    """The oldest used goes, but those without a socket before those with one; no error is told."""
    oldest = org.channel()
    socket = org.connect(oldest)
    second = org.channel()
    for _ in range(18):
        org.channel()
    assert org.call("POST", CHANNELS, {}).status == 200
    assert org.call("HEAD", f"{CHANNELS}/{second['id']}").status == 404
    assert org.call("HEAD", f"{CHANNELS}/{oldest['id']}").status == 200
    assert next_frame(socket, "channel.metadata")
    assert len(org.get(CHANNELS)["entities"]) == 20
    assert org.get("/_sim/violations")["counts"] == {"channel_evicted": 1, "unknown_channel": 1}


def test_channels_of_other_tokens_come_without_ids(org: Simulated) -> None:
    """A new token of the same client sees that they exist, and not who they are."""
    org.channel()
    org.login("a", "1")
    org.channel()
    assert len(org.get(CHANNELS)["entities"]) == 1
    both = org.get(f"{CHANNELS}?includechannels=oauthclient")["entities"]
    assert ["id" in channel for channel in both] == [False, True]


def test_a_second_socket_puts_out_the_first(org: Simulated) -> None:
    """One socket for each channel; the newer one stays and gets frames (docs/protocol.md,
    "Channels")."""
    channel = org.channel()
    first = org.connect(channel)
    second = org.connect(channel)
    assert close_code(first) == 1001
    second.send('{"message":"ping"}')
    assert json.loads(second.recv())["eventBody"]["message"] in ("pong", "WebSocket Heartbeat")


def test_the_socket_beats_and_answers_both_kinds_of_ping(org: Simulated) -> None:
    """Heartbeats have neither version nor metadata; text and protocol pings are answered."""
    socket = org.connect(org.channel())
    socket.send('{"message":"ping"}')
    pong = next_frame(socket, "channel.metadata")
    assert pong == {"topicName": "channel.metadata", "eventBody": {"message": "pong"}}
    beat = next_frame(socket, "channel.metadata")
    assert beat["eventBody"] == {"message": "WebSocket Heartbeat"}
    socket.ping("hello")
    opcode = 0
    while opcode != websocket.ABNF.OPCODE_PONG:
        opcode, data = socket.recv_data(control_frame=True)
    assert data == b"hello"


def test_topics_can_be_changed_over_the_socket(org: Simulated) -> None:
    """`subscribe` and `unsubscribe` answer with a string result (docs/protocol.md, "Sockets")."""
    channel = org.channel()
    socket = org.connect(channel)
    topic = "v2.users.someone.presence"
    for verb in ("subscribe", "unsubscribe"):
        socket.send(json.dumps({"message": verb, "topics": [topic], "correlationId": "c"}))
        answer = next_frame_without_topic(socket)
        assert (answer["result"], answer["status"]) == ("200", verb + "d")
        assert answer["correlationId"] == "c"
    assert org.get(f"{CHANNELS}/{channel['id']}/subscriptions")["entities"] == []


def test_unknown_client_text_is_tolerated(org: Simulated) -> None:
    """The official command line tool writes the time every second and lives (docs/protocol.md,
    "Sockets")."""
    socket = org.connect(org.channel())
    socket.send("12:00:00")
    assert next_frame_without_topic(socket)["result"] == "400"
    socket.send('{"message":"ping"}')
    assert next_frame(socket, "channel.metadata")


def test_events_come_under_the_expanded_topic(org: Simulated) -> None:
    """A combined subscription hears its parts under their own names, in whatever case."""
    channel = org.channel()
    socket = org.connect(channel)
    user = org.get("/api/v2/users")["entities"][0]["id"]
    org.subscribe(channel["id"], [f"V2.users.{user}?conversations&presence"])
    order = {"topic": f"v2.users.{user}.conversations", "frame": {"topicName": "x", "n": 1}}
    assert org.post("/_sim/frames", order)["sockets"] == 1
    assert next_frame(socket, "x")["n"] == 1


def test_the_rate_limit_is_per_token_and_says_when_to_retry(org: Simulated) -> None:
    """Headers on every answer; 429 with Retry-After; another token is not concerned."""
    org.post("/_sim/control", {"rate_limit": 3})
    org.login("a", "1")
    answers = [org.call("GET", "/api/v2/users") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["inin-ratelimit-allowed"] == "3"
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 60
    assert answers[3].body["code"] == "too.many.requests"
    org.login("a", "1")
    assert org.call("GET", "/api/v2/users").status == 200


def test_the_tokens_of_a_client_have_a_limit_together(org: Simulated) -> None:
    """Ten tokens' worth: fresh tokens bring no more, and another client is not concerned."""
    org.post("/_sim/control", {"rate_limit": 1})
    statuses = []
    for _ in range(11):
        org.login("a", "1")
        statuses.append(org.call("GET", "/api/v2/users").status)
    assert statuses == [200] * 10 + [429]
    org.login("b", "2")
    assert org.call("GET", "/api/v2/users").status == 200


def test_a_body_has_a_size_and_a_type(org: Simulated) -> None:
    """More than 512,000 bytes are 413, and what does not say that it is JSON is 415."""
    path = f"{CHANNELS}/{org.channel()['id']}/subscriptions"
    large = org.call("PUT", path, [{"id": "x" * 512_000}])
    assert (large.status, large.body["code"]) == (413, "request.entity.too.large")
    form = org.call("PUT", path, [], {"Content-Type": "application/x-www-form-urlencoded"})
    assert (form.status, form.body["code"]) == (415, "unsupported.media.type")


def test_states_of_users_and_queues_decide_who_is_listed(org: Simulated) -> None:
    """Active users alone by default; a deleted queue or user is gone, and so are its topics."""
    gone, asleep, *_ = (user["id"] for user in org.get("/api/v2/users")["entities"])
    queue = org.get("/api/v2/routing/queues")["entities"][0]["id"]
    states = {gone: "deleted", asleep: "inactive", queue: "deleted"}
    assert org.call("POST", "/_sim/control", {"states": {"nobody": "deleted"}}).status == 400
    org.post("/_sim/control", {"states": states})

    def listed(path: str) -> set[str]:
        return {entity["id"] for entity in org.get(path)["entities"]}

    assert not {gone, asleep} & listed("/api/v2/users?pageSize=100")
    assert listed("/api/v2/users?state=inactive") == {asleep}
    assert listed("/api/v2/users?state=deleted") == {gone}
    assert {gone, asleep} < listed("/api/v2/users?state=any&pageSize=100")
    assert org.call("GET", "/api/v2/users?state=asleep").status == 400
    assert queue not in listed("/api/v2/routing/queues")
    for path in (f"/api/v2/users/{gone}", f"/api/v2/routing/queues/{queue}"):
        assert org.call("GET", path).status == 404
    topics = [f"v2.routing.queues.{queue}.conversations", f"v2.users.{asleep}.conversations"]
    channel = org.channel()["id"]
    for quirk, statuses in (
        ("rejected", ["Rejected", "Permitted"]),
        ("permitted", ["Permitted", "Permitted"]),
    ):
        org.post("/_sim/control", {"quirks": {"absent_owner": quirk}})
        answer = org.subscribe(channel, topics, "?ignoreErrors=true").body["entities"]
        assert [entity["state"] for entity in answer] == statuses
    org.post("/_sim/control", {"quirks": {"absent_owner": "invalid"}})
    assert org.subscribe(channel, topics, "?ignoreErrors=true").status == 400


def test_the_org_has_limits_beside_those_of_tokens(org: Simulated) -> None:
    """Another client's use of queue routes costs a 429; other routes are not concerned."""
    org.post("/_sim/control", {"org_rate_limit": 2})
    assert [org.call("GET", "/api/v2/routing/queues").status for _ in range(2)] == [200, 200]
    org.login("a", "1")
    refused = org.call("GET", "/api/v2/routing/queues")
    assert (refused.status, refused.body["code"]) == (429, "too.many.requests")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert org.call("GET", "/api/v2/users").status == 200
    org.post("/_sim/control", {"org_rate_limit": 0})
    assert org.call("GET", "/api/v2/routing/queues").status == 200


def test_a_day_can_pass_in_a_moment(org: Simulated) -> None:
    """24 hours end a channel unless subscriptions renewed it; its socket closes."""
    org.post("/_sim/control", {"clock_shift_seconds": 0, "rate_limit": 0})
    old, renewed = org.channel(), org.channel()
    socket = org.connect(old)
    topic = "v2.users.someone.presence"
    org.post("/_sim/control", {"clock_shift_seconds": 20 * 3600})
    org.subscribe(renewed["id"], [topic])
    org.post("/_sim/control", {"clock_shift_seconds": 3 * 3600 + 3000})
    assert org.call("HEAD", f"{CHANNELS}/{old['id']}").status == 200
    token_lives_for = 24 * 3600
    assert token_lives_for > 23 * 3600 + 3000
    org.post("/_sim/control", {"clock_shift_seconds": 700})
    end = time.monotonic() + 10
    while len(org.get("/_sim/channels")["channels"]):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert close_code(socket) == 1001


def test_paging_ends_without_a_next_uri(org: Simulated) -> None:
    """50 users in pages of 20: two with `nextUri`, the last without; every page is the class."""
    ids: list[str] = []
    pages = 0
    uri: str | None = "/api/v2/users?pageSize=20&pageNumber=1"
    while uri:
        listing = org.get(uri)
        assert not problems(listing, "UserEntityListing")
        ids += [user["id"] for user in listing["entities"]]
        uri = listing.get("nextUri")
        pages += 1
    assert (pages, len(set(ids))) == (3, 50)
    assert not problems(org.get("/api/v2/routing/queues"), "QueueEntityListing")


def test_every_available_topic_is_described(org: Simulated) -> None:
    """With `expand` each topic says what it needs and how it travels; without, only its id."""
    path = "/api/v2/notifications/availabletopics"
    assert {tuple(topic) for topic in org.get(path)["entities"]} == {("id",)}
    topics = org.get(f"{path}?expand=transports,requiresPermissions,topicParameters")["entities"]
    assert all(not problems(topic, "AvailableTopic") for topic in topics)
    needs = {topic["id"]: topic["requiresPermissions"] for topic in topics}
    assert "conversation:communication:view" in needs["v2.users.{id}.conversations"]


def test_a_scaled_clock_ends_a_channel_in_seconds(tmp_path: Path) -> None:
    """With a day in two seconds, a channel that nobody renews is gone in about two."""
    with simulated(tmp_path, "--no-autostart", "--time-scale", "43200") as scaled:
        channel = scaled.channel()
        socket = scaled.connect(channel)
        started = time.monotonic()
        assert close_code(socket) == 1001
        assert 1.0 < time.monotonic() - started < 6.0


def test_what_a_mirror_must_never_do_is_written_down(org: Simulated) -> None:
    """The forced disconnect of a conversation is refused and recorded."""
    answer = org.call("POST", "/api/v2/conversations/some/disconnect", {})
    assert answer.status == 403
    assert org.get("/_sim/violations")["counts"] == {"conversation_disconnect": 1}


def test_a_taken_port_is_one_clear_line(org: Simulated, tmp_path: Path) -> None:
    """Exit code 1 and the address, no traceback."""
    port = org.url.rsplit(":", 1)[1]
    second = ManagedProcess.python_module(
        "simulator", "--port", port, folder=tmp_path, env={"PYTHONPATH": ROOT}, name="second"
    )
    with second:
        assert second.wait(20) == 1
    (line,) = second.stderr.splitlines()
    assert line.startswith(f"Error: cannot listen on 127.0.0.1:{port}: ")


def test_sigterm_ends_it_cleanly(org: Simulated) -> None:
    """Exit code 0, with a socket still open."""
    org.connect(org.channel())
    assert org.process.stop() == 0
    assert '"event": "stopped"' in org.process.stderr


def next_frame_without_topic(socket: websocket.WebSocket) -> dict[str, str]:
    """The next frame that is an answer, not a notification."""
    while True:
        frame: dict[str, str] = json.loads(socket.recv())
        if "topicName" not in frame:
            return frame
