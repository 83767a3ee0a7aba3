"""Answers of a server that means harm: too large, endless, a bomb, nested without end.

A real server on loopback speaks HTTP as badly as it wants.
"""

from __future__ import annotations

import gzip
import resource
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from mirror.base.errors import GenesysError, GenesysUnavailable
from mirror.genesys import http
from mirror.genesys.http import MAX_ANSWER_BYTES, Transport, decode
from mirror.genesys.shapes import EntityPage
from mirror.redis.keys import Keys
from mirror.redis.rate import RateBudget
from mirror.settings import load

TOKEN = msgspec.json.encode({"access_token": "t0ken-S3cret", "expires_in": 3600})
DEEP = 200_000
DRIPS, DRIP_SECONDS = 1_000, 0.01


class Server(ThreadingHTTPServer):
    """Answers the login, and every GET as `answer` does."""

    answer: Callable[[BaseHTTPRequestHandler], None]


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(TOKEN)))
        self.end_headers()
        self.wfile.write(TOKEN)

    def do_GET(self) -> None:
        self.close_connection = True
        try:
            self.server.answer(self)
        except OSError:
            return  # the client has hung up, which is what is wanted of it

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that has no answer yet."""
    with Server(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def transport(server: Server) -> Transport:
    """A client of that server."""
    settings = load(
        {
            "GENESYS_API_URL": f"http://127.0.0.1:{server.server_port}",
            "GENESYS_CLIENT_ID": "a",
            "GENESYS_CLIENT_SECRET": "b",
        }
    )
    budget = RateBudget(None, Keys("default"), "a")
    return Transport(settings, settings.clients[0], budget)


def answer_with(
    body: bytes, *headers: tuple[str, str], times: int = 1
) -> Callable[[BaseHTTPRequestHandler], None]:
    """Sends these headers, and the body so many times."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        for name, value in headers:
            handler.send_header(name, value)
        handler.end_headers()
        for _ in range(times):
            handler.wfile.write(body)

    return answer


def test_an_answer_announced_as_too_large_is_not_read(server: Server) -> None:
    """Content-Length alone is enough."""
    server.answer = answer_with(b"{", ("Content-Length", str(MAX_ANSWER_BYTES + 1)))
    with pytest.raises(GenesysError, match=f"{MAX_ANSWER_BYTES + 1} bytes"):
        transport(server).call("GET", "/api/v2/users")


def test_an_answer_that_goes_on_and_on_is_left(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No length is announced; reading stops at the limit."""
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 1 << 20)
    server.answer = answer_with(b" " * 65_536, times=1000)
    with pytest.raises(GenesysError, match="does not end"):
        transport(server).call("GET", "/api/v2/users")


def test_an_answer_that_trickles_is_left(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then resets every time-out of the socket, but not the deadline."""
    monkeypatch.setattr(http, "ANSWER_SECONDS", 0.2)
    sent: list[bytes] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while len(sent) < DRIPS:
            handler.wfile.write(b" ")
            sent.append(b" ")
            threading.Event().wait(DRIP_SECONDS)

    server.answer = answer
    with pytest.raises(GenesysError, match="does not end"):
        transport(server).call("GET", "/api/v2/users")
    assert len(sent) < DRIPS


def test_a_compressed_bomb_is_not_unpacked(server: Server) -> None:
    """A gigabyte in a megabyte: memory grows by no more than a few times the limit."""
    bomb = gzip.compress(bytes(1 << 20), 9) * 1024  # members that follow each other
    server.answer = answer_with(
        bomb, ("Content-Encoding", "gzip"), ("Content-Length", str(len(bomb)))
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(GenesysError, match="does not end"):
        transport(server).call("GET", "/api/v2/users")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    assert grown < 4 * MAX_ANSWER_BYTES


@pytest.mark.parametrize("body", [b"[" * DEEP, b'{"x":' * DEEP, b'{"entities":' + b"[" * DEEP])
def test_nesting_without_end_is_an_answer_that_cannot_be_read(body: bytes) -> None:
    """One line, not the end of the process."""
    with pytest.raises(GenesysUnavailable, match="with the documented JSON"):
        decode(body, EntityPage, "GET users", "host")


def test_a_nested_error_body_is_not_genesys_own(server: Server) -> None:
    """An error status with such a body says nothing of what was asked for."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(400)
        handler.end_headers()
        handler.wfile.write(b"[" * DEEP)

    server.answer = answer
    with pytest.raises(GenesysError, match="with 400 and other JSON") as caught:
        transport(server).call("GET", "/api/v2/users")
    assert (caught.value.status, caught.value.code) == (0, "")
    assert not caught.value.is_genesys


def test_a_redirect_is_not_followed(server: Server) -> None:
    """It would carry the token to another host."""
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        handler.send_response(302)
        handler.send_header("Location", "/elsewhere")
        handler.end_headers()

    server.answer = answer
    with pytest.raises(GenesysError, match="with 302") as caught:
        transport(server).call("GET", "/api/v2/users")
    assert not caught.value.is_genesys
    assert asked == ["/api/v2/users"]
