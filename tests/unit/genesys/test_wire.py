"""Heads of answers that do not end, and tokens of odd lives, by a real server on loopback.

The server speaks HTTP byte by byte, as badly as a test wants.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from urllib.parse import unquote

import msgspec
import pytest

from mirror.base.errors import GenesysError, GenesysUnavailable
from mirror.genesys import http, wire
from mirror.genesys.client import GenesysClient
from mirror.genesys.http import Transport
from mirror.redis.keys import Keys
from mirror.redis.rate import RateBudget
from mirror.settings import OAuthClient, Settings, load

FAR_MORE = 200 * wire.MAX_HEAD_BYTES
PATIENCE_SECONDS = 0.3
TOO_LONG_SECONDS = 5.0
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


def whole(body: bytes) -> bytes:
    """A decent answer."""
    return OK % (len(body), body)


class Server:
    """Answers logins with `login` and everything else by `answer(socket)`."""

    def __init__(self) -> None:
        self.login = b'{"access_token":"t0ken-S3cret","expires_in":3600}'
        self.answer: Callable[[socket.socket], None] = lambda sock: sock.sendall(whole(b"{}"))
        self.asked: list[str] = []
        self.done = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._socks: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def settings(self) -> Settings:
        """Of a mirror that asks it."""
        return load(
            {
                "GENESYS_API_URL": f"http://127.0.0.1:{self.port}",
                "GENESYS_CLIENT_ID": "a",
                "GENESYS_CLIENT_SECRET": "b",
            }
        )

    def close(self) -> None:
        """End it with all its connections."""
        self.done.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._socks:
            with suppress(OSError):  # it may have ended by itself
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(TOO_LONG_SECONDS)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return  # closed
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._socks.append(sock)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(TOO_LONG_SECONDS)
        with closing(sock), suppress(OSError):  # the client has hung up, as is wanted of it
            while not self.done.is_set():
                head = b""
                while b"\r\n\r\n" not in head:
                    if not (data := sock.recv(65_536)):
                        return
                    head += data
                path = head.split(b" ", 2)[1].decode()
                self.asked.append(path)
                if path == "/oauth/token":
                    sock.sendall(whole(self.login))
                else:
                    self.answer(sock)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server."""
    server = Server()
    yield server
    server.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short deadlines, one attempt."""
    monkeypatch.setattr(http, "READ_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(http, "ATTEMPTS", 1)


def transport(server: Server) -> Transport:
    """A client of that server."""
    settings = server.settings()
    return Transport(settings, settings.clients[0], RateBudget(None, Keys("default"), "a"))


def dripping(server: Server, first: bytes, again: bytes) -> Callable[[socket.socket], None]:
    """Sends `first`, and then `again` for ever, faster than any time-out of a single read."""

    def answer(sock: socket.socket) -> None:
        sock.sendall(first)
        while not server.done.wait(PATIENCE_SECONDS / 10):
            sock.sendall(again)

    return answer


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"HTTP/1.1 2", b"0"),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"X-Slow: x\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
    ],
    ids=["status line", "a header", "headers", "100 for ever", "103 for ever"],
)
def test_a_head_that_trickles_is_left(server: Server, first: bytes, again: bytes) -> None:
    """Status line, headers and `1xx` answers have one deadline, however their bytes come."""
    server.answer = dripping(server, first, again)
    began = time.monotonic()
    with pytest.raises(GenesysUnavailable):
        transport(server).call("GET", "/api/v2/users")
    assert time.monotonic() - began < TOO_LONG_SECONDS


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "endless",
    [b"HTTP/1.1 100 Continue\r\n\r\n" * 500, b"x" * 10_000],
    ids=["100 for ever", "a status line without end"],
)
def test_a_head_without_end_is_left(server: Server, endless: bytes) -> None:
    """At a limit of bytes, long before any deadline."""
    sent = [0]

    def answer(sock: socket.socket) -> None:
        while sent[0] < FAR_MORE:
            sent[0] += sock.send(endless)

    server.answer = answer
    with pytest.raises(GenesysError):
        transport(server).call("GET", "/api/v2/users")
    assert sent[0] < FAR_MORE


@pytest.mark.usefixtures("quick")
def test_a_body_that_trickles_is_left(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also within a chunk's own frame, where no byte of the body comes."""
    monkeypatch.setattr(wire, "ANSWER_SECONDS", PATIENCE_SECONDS)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    server.answer = dripping(server, head + b"1;", b"x")
    began = time.monotonic()
    with pytest.raises(GenesysError):
        transport(server).call("GET", "/api/v2/users")
    assert time.monotonic() - began < TOO_LONG_SECONDS


def test_one_1xx_before_an_answer_is_no_harm(server: Server) -> None:
    """And a connection that is kept is used again."""
    server.answer = lambda sock: sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" + whole(b'{"x":1}'))
    asking = transport(server)
    for _ in range(3):
        assert asking.call("GET", "/api/v2/users").body == b'{"x":1}'


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html><body>sign in</body></html>", "an HTML page"),
        (b"", "no body"),
        (b"OK", "something"),
    ],
)
def test_a_success_that_is_no_json_is_no_answer_of_genesys(
    server: Server, body: bytes, kind: str
) -> None:
    """A sign-in page with status 200 is not a conversation."""
    server.answer = lambda sock: sock.sendall(whole(body))
    with pytest.raises(GenesysUnavailable, match=f"with {kind}") as caught:
        transport(server).call("GET", "/api/v2/conversations/{}", "c")
    assert not caught.value.is_genesys


def client_of(server: Server) -> GenesysClient:
    """A typed client of that server."""
    settings = server.settings()
    return GenesysClient(settings, settings.clients[0], RateBudget(None, Keys("default"), "a"))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "body", [b'{"message":"maintenance"}', b'{"conversations":null}', b'{"status":"ok"}']
)
def test_analytics_that_neither_lists_nor_counts_is_no_answer(server: Server, body: bytes) -> None:
    """A gateway's JSON does not mean that nothing is found."""
    server.answer = lambda sock: sock.sendall(whole(body))
    client = client_of(server)
    for ask in (lambda: client.query_details({}), lambda: client.details(["c"])):
        with pytest.raises(GenesysUnavailable, match="with the documented JSON") as caught:
            ask()
        assert not caught.value.is_genesys


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("body", [b'{"message":"maintenance","total":0}', b'{"entities":null}'])
def test_a_list_without_entities_is_no_answer(server: Server, body: bytes) -> None:
    """It does not mean that there are none: topics, channels and queues would be dropped."""
    server.answer = lambda sock: sock.sendall(whole(body))
    client = client_of(server)
    for ask in (
        lambda: client.queues(1),
        lambda: client.users(1),
        client.channels,
        client.available_topics,
        lambda: client.get_subscriptions("streaming-1-x"),
        lambda: client.put_subscriptions("streaming-1-x", ["a"]),
    ):
        with pytest.raises(GenesysUnavailable, match="with the documented JSON"):
            ask()


ODD = rb"""{"entities":[{"id":"a","name":null},{"id":"b","name":"B\ud800\ud83d\ude00"},{"id":null},
    7,{"id":"c","name":{"de":"C"}},{"id":"d","name":"D"}],"total":6,"nextUri":null}"""


def test_an_odd_entity_costs_only_itself(server: Server) -> None:
    """An id is enough. A name that cannot be read is no name; half a surrogate pair is replaced."""
    server.answer = lambda sock: sock.sendall(whole(ODD))
    client = client_of(server)
    for page in (client.queues(1), client.users(1)):
        named = {entity.id: entity.name for entity in page.entities}
        assert named == {"a": "", "b": "B\ufffd\N{GRINNING FACE}", "c": "", "d": "D"}
        assert (page.total, page.next_uri, page.left_out) == (6, "", 2)
    assert len(client.channels()) == 6  # odd channels count too
    assert [topic.id for topic in client.available_topics()] == ["a", "b", "c", "d"]


def test_text_that_is_no_utf8_is_replaced(server: Server) -> None:
    """In a name, and in participants, which are read later."""
    server.answer = lambda sock: sock.sendall(whole(b'{"entities":[{"id":"a","name":"A\xff"}]}'))
    client = client_of(server)
    assert [entity.name for entity in client.queues(1).entities] == ["A\ufffd"]
    body = b'{"conversations":[{"conversationId":"c","participants":[{"purpose":"\xff"}]}]}'
    server.answer = lambda sock: sock.sendall(whole(body))
    (found,) = client.details(["c"])
    assert bytes(found.participants).decode() == '[{"purpose":"\ufffd"}]'


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "body", [b'{"entities":[7,{"name":"A"}]}', b'{"entities":[{"id":"a"}],"total":"many"}']
)
def test_a_page_that_is_no_page_is_no_answer(server: Server, body: bytes) -> None:
    """Without an entity that can be read, or with a count that is none."""
    server.answer = lambda sock: sock.sendall(whole(body))
    with pytest.raises(GenesysUnavailable, match="with the documented JSON"):
        client_of(server).queues(1)


def test_a_topic_whose_state_cannot_be_read_is_not_confirmed(server: Server) -> None:
    """The others are subscribed, and a reason that is null is no reason."""
    body = b"""{"entities":[{"id":"a","state":"Permitted","rejectionReason":null},
        {"id":"b","state":null},{"id":"c","state":"Rejected","missingPermissions":7}]}"""
    server.answer = lambda sock: sock.sendall(whole(body))
    found = client_of(server).put_subscriptions("streaming-1-x", ["a", "b", "c"])
    assert found.permitted == ("a",)
    assert found.rejected == {"b": "not confirmed by Genesys", "c": "rejected"}


@pytest.mark.parametrize("names", [["v2.users.u?presence&x"], ["v2.users.u.Presence"]])
def test_a_combined_topic_is_confirmed_under_any_of_its_names(
    server: Server, names: list[str]
) -> None:
    """Genesys may name it as it was asked for, or by the topics that it stands for."""
    entities: list[object] = [{"id": name, "state": "Permitted"} for name in names]
    entities.append({"id": "v2.users.u.x", "state": "Rejected"})
    server.answer = lambda sock: sock.sendall(whole(msgspec.json.encode({"entities": entities})))
    wanted = "v2.users.u?presence&x"
    found = client_of(server).put_subscriptions("streaming-1-x", [wanted, "v2.users.v?presence&x"])
    assert found.permitted == (wanted,)
    assert set(found.rejected) == {"v2.users.u.x", "v2.users.v?presence&x"}


@pytest.mark.usefixtures("quick")
def test_a_subscription_that_cannot_be_read_is_not_lost(server: Server) -> None:
    """Its topic may be set: the comparison fails, and changes nothing."""
    body = b'{"entities":[{"id":"a","state":"Permitted"},{"id":"b","state":null}]}'
    server.answer = lambda sock: sock.sendall(whole(body))
    with pytest.raises(GenesysUnavailable, match="with the documented JSON"):
        client_of(server).get_subscriptions("streaming-1-x")


def test_an_odd_conversation_costs_only_itself(server: Server) -> None:
    """A time that cannot be read is no time. Without its id, it may be any that is not shown, so
    none of those is unknown to analytics."""
    body = b"""{"conversations":[{"conversationId":"a","conversationStart":null,
        "conversationEnd":7,"participants":[{"purpose":"agent"}]},{"conversationId":null},
        {"conversationId":"b","conversationStart":"2026-11-27T10:00:00.000Z"}],"totalHits":3}"""
    server.answer = lambda sock: sock.sendall(whole(body))
    client = client_of(server)
    page = client.query_details({})
    assert [shown.conversation_id for shown in page.conversations or ()] == ["a", "b"]
    assert (page.total_hits, page.left_out) == (3, 1)
    first = (page.conversations or [])[0]
    assert (first.conversation_start, first.conversation_end) == ("", None)
    assert bytes(first.participants) == b'[{"purpose":"agent"}]'
    found = {shown.conversation_id: shown.is_unread for shown in client.details(["a", "b", "z"])}
    assert found == {"a": False, "b": False, "z": True}


def test_a_channel_without_topics_may_be_an_empty_object(server: Server) -> None:
    """Wiped by somebody else, it gets its topics again."""
    client = client_of(server)
    for body in (b"{}", b'{"entities":[]}'):
        server.answer = lambda sock, body=body: sock.sendall(whole(body))  # type: ignore[misc]
        assert client.get_subscriptions("streaming-1-x") == frozenset()


@pytest.mark.parametrize(
    ("body", "says_nothing"),
    [
        (b'{"totalHits":0}', False),
        (b'{"conversations":[]}', False),
        (b'{"conversations":[],"totalHits":0,"aggregations":[]}', False),
        (b" {\n}\n", True),
    ],
)
def test_analytics_may_find_nothing(server: Server, body: bytes, says_nothing: bool) -> None:
    """However Genesys says so; `{}` is known as what says nothing."""
    server.answer = lambda sock: sock.sendall(whole(body))
    client = client_of(server)
    page = client.query_details({})
    assert not page.conversations
    assert page.says_nothing is says_nothing
    assert client.details(["c"]) == []


@pytest.mark.usefixtures("quick")
def test_a_channel_is_gone_only_by_genesys_own_word(server: Server) -> None:
    """A gateway's 404 leaves it open what became of the channel."""
    client = client_of(server)
    bare = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n%b\r\n"
    server.answer = lambda sock: sock.sendall(bare % b"")
    with pytest.raises(GenesysUnavailable) as foreign:
        client.get_subscriptions("streaming-1-x")
    assert not foreign.value.is_genesys
    server.answer = lambda sock: sock.sendall(bare % b"ININ-Correlation-Id: c\r\n")
    with pytest.raises(GenesysError) as own:
        client.get_subscriptions("streaming-1-x")
    assert (own.value.status, own.value.is_genesys) == (404, True)


@pytest.mark.parametrize(
    ("expires_in", "least", "most"),
    [
        (b"3600", 3590, 3600),
        (b'"3600"', 3590, 3600),
        (b"1e15", 86_400, 31 * 86_400),
        (b"-5", -1, 1),
    ],
)
def test_a_token_s_life_is_bounded(
    server: Server, expires_in: bytes, least: float, most: float
) -> None:
    """Whatever the login host says, as number or as text."""
    server.login = b'{"access_token":"t","expires_in":%b}' % expires_in
    asking = transport(server)
    asking.sign_in()
    assert least <= (asking.token_expires_in() or 0) <= most


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "token",
    ["", "a\nX-Evil: 1", "a\r", "a b", "ä", "€", "a\0b", "\x7f", "a" * 10_000],
    ids=["empty", "LF", "CR", "space", "Latin-1", "euro", "NUL", "DEL", "long"],
)
def test_a_token_that_is_no_word_is_no_answer(server: Server, token: str) -> None:
    """It would go into a header as it is; the error holds none of it."""
    server.login = msgspec.json.encode({"access_token": token, "expires_in": 3600})
    with pytest.raises(GenesysUnavailable, match="POST /oauth/token with the documented") as caught:
        client_of(server).queues(1)
    assert not caught.value.is_genesys
    assert server.asked == ["/oauth/token"]
    assert len(str(caught.value)) < 300


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("channel", ["", "a\nb", "€"])
def test_a_channel_without_a_proper_id_is_no_answer(server: Server, channel: str) -> None:
    """Its topics could not be set."""
    made = {"id": channel, "connectUri": f"ws://127.0.0.1:{server.port}/channels/x"}
    server.answer = lambda sock: sock.sendall(whole(msgspec.json.encode(made)))
    with pytest.raises(GenesysUnavailable, match="with the documented JSON"):
        client_of(server).create_channel()


@pytest.mark.parametrize("name", ["a/../../users", "a?b=c#d", "a b\r\nX-Evil: 1", "€", "{}"])
def test_an_odd_id_stays_one_part_of_the_path(server: Server, name: str) -> None:
    """Ids of conversations come from frames: no other path is asked, and nothing fails here."""
    client_of(server).conversation(name)
    path = server.asked[-1].removeprefix("/api/v2/conversations/")
    assert unquote(path) == name
    assert "/" not in path


def test_credentials_of_any_text_can_be_sent(server: Server) -> None:
    """Whoever typed them: Genesys refuses them, and no error of Python's ends the process."""
    settings = msgspec.structs.replace(server.settings(), clients=(OAuthClient("ä", "€"),))
    budget = RateBudget(None, Keys("default"), "a")
    GenesysClient(settings, settings.clients[0], budget).sign_in()


def test_a_token_of_a_second_makes_no_channel_a_second(server: Server) -> None:
    """A channel made with it is planned to live ten minutes at least."""
    server.login = b'{"access_token":"t","expires_in":1}'
    uri = f"ws://127.0.0.1:{server.port}/channels/x"
    body = b'{"id":"x","connectUri":"%b","expires":"2020-01-01T00:00:00Z"}' % uri.encode()
    server.answer = lambda sock: sock.sendall(whole(body))
    made = client_of(server).create_channel()
    assert (made.token_expires_in or 0) >= 600
    assert (made.expires_in or 0) >= 600
