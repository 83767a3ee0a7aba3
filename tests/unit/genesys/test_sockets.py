"""The handshake of a socket, with servers that say more than they should."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from mirror.base.errors import GenesysError, GenesysUnavailable
from mirror.genesys import sockets
from mirror.genesys.sockets import (
    MAX_HANDSHAKE_BYTES,
    BoundedSocket,
    open_socket,
    tls_context,
)

FAR_MORE = 200 * MAX_HANDSHAKE_BYTES
WAIT_SECONDS = 20.0


@contextmanager
def answering(head: bytes, endless: bytes = b"") -> Iterator[tuple[str, list[int]]]:
    """A server that answers one client so: its URI, and at the end how much it could send."""
    sent: list[int] = []

    def serve() -> None:
        sock, _ = server.accept()
        with closing(sock):
            sock.settimeout(WAIT_SECONDS)
            while not sock.recv(65_536).endswith(b"\r\n\r\n"):
                pass
            total = 0
            try:
                sock.sendall(head)
                while endless and total < FAR_MORE:
                    total += sock.send(endless)
            except OSError:
                pass  # the client has left, as it should
            sent.append(total)

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(WAIT_SECONDS)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.getsockname()[1]}/channel-secret", sent
        finally:
            thread.join(2 * WAIT_SECONDS)


@pytest.mark.parametrize(
    ("head", "endless"),
    [
        (b"", b"x" * 4_096),
        (b"HTTP/1.1 101 Switching Protocols\r\n", b"x: y\r\n" * 512),
        (b"HTTP/1.1 503 No\r\nContent-Length: 999999999999\r\n\r\n", b"x" * 4_096),
    ],
    ids=["status line", "headers", "body of a refusal"],
)
def test_an_endless_answer_is_given_up(head: bytes, endless: bytes) -> None:
    """At a limit, in one line that does not name the channel."""
    with answering(head, endless) as (uri, sent), pytest.raises(GenesysUnavailable) as caught:
        open_socket(uri, tls_context(), "test")
    assert "too large" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert sent[0] < FAR_MORE, "the client left before the server was done"


@pytest.mark.parametrize(
    ("headers", "body", "is_genesys"),
    [
        (b"", b"gone", False),
        (b"Content-Type: text/html\r\n", b"<html>404</html>", False),
        (b"", b'{"message": "no such route"}', False),
        (b"", b'{"code": "not.found", "message": "no such channel"}', True),
        (b"ININ-Correlation-Id: 1-2-3\r\n", b"", True),
    ],
    ids=["text", "page", "JSON of a gateway", "Genesys' code", "correlation id"],
)
def test_a_refusal_keeps_its_status_and_says_whose_it_is(
    headers: bytes, body: bytes, is_genesys: bool
) -> None:
    """A gateway's 404 says nothing of the channel."""
    head = b"HTTP/1.1 404 Not Found\r\n%bContent-Length: %d\r\n\r\n%b"
    with (
        answering(head % (headers, len(body), body)) as (uri, _),
        pytest.raises(GenesysError) as caught,
    ):
        open_socket(uri, tls_context(), "test")
    assert (caught.value.status, caught.value.is_genesys) == (404, is_genesys)
    assert ("gateway" in str(caught.value)) != is_genesys


def test_bytes_that_drip_do_not_prolong_the_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline is that of all bytes together."""
    now = 100.0
    monkeypatch.setattr("mirror.genesys.sockets.time.monotonic", lambda: now)
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        theirs.sendall(b"abc")
        bounded = BoundedSocket(ours)
        assert bounded.recv(1) == b"a"
        now += sockets.HANDSHAKE_SECONDS - 1
        assert bounded.recv(1) == b"b"
        assert bounded.gettimeout() == 1.0
        now += 1
        with pytest.raises(OSError, match="too long"):
            bounded.recv(1)
