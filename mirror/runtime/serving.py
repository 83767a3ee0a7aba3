"""A small HTTP server for `/metrics` and `/healthz`: one thread, few connections, short deadlines.

Anybody who reaches the port may open connections, so the server takes little from the data path:
one thread, at most `MOST_CONNECTIONS` descriptors, `HEAD_SECONDS` for a request and
`ANSWER_SECONDS` for its answer. Idle connections do not block others: when all places are taken, a
new connection replaces the oldest that has not sent a request yet. Requests have no body, and each
connection ends after its answer.
"""

from __future__ import annotations

import errno
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import msgspec

from mirror.base import log

MOST_CONNECTIONS: Final = 32
HEAD_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 10.0
LONGEST_HEAD: Final = 16_384
BACKLOG: Final = 128
# Without a free descriptor the server accepts nobody for this long; the backlog keeps connections.
REST_SECONDS: Final = 1.0
_READ: Final = 8_192
_JOIN_SECONDS: Final = 2.0
_WILDCARDS: Final = frozenset({"::", "0.0.0.0"})  # noqa: S104 - named here to be told apart
# Errors for an address, or a family of addresses, that this machine does not have.
_NOT_HERE: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


class Request(msgspec.Struct, frozen=True):
    """An HTTP request. Names of `headers` are in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/plain; charset=utf-8"),)


Handler = Callable[[Request], Answer]


def parse(head: bytes) -> Request | None:
    """The request in a head, None if it is no valid request."""
    first, *lines = head.decode("latin-1").replace("\r\n", "\n").split("\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return None
    try:
        target = urlsplit(words[1])
    except ValueError:
        return None
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return Request(words[0], target.path, target.query, headers)


def render(answer: Answer, *, with_body: bool = True) -> bytes:
    """`answer` as bytes of HTTP/1.1, after which the connection ends."""
    status = HTTPStatus(answer.status)
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        *(f"{name}: {value}" for name, value in answer.headers),
        f"Content-Length: {len(answer.body)}",
        "Connection: close",
    ]
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head + answer.body if with_body else head


def respond(head: bytes, handler: Handler) -> bytes:
    """The bytes that answer a head."""
    request = parse(head)
    if request is None:
        return render(Answer(HTTPStatus.BAD_REQUEST, b"that is no HTTP request\n"))
    if request.method not in {"GET", "HEAD"}:
        return render(Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"GET or HEAD\n"))
    return render(handler(request), with_body=request.method == "GET")


def listen(hosts: Iterable[str], port: int, backlog: int = BACKLOG) -> list[socket.socket]:
    """Listening sockets for all addresses of `hosts`. Raises `OSError` if one is not available.

    "All addresses" (`::`, `0.0.0.0`) leaves out a family that this machine does not have, if it
    has the other.
    """
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for host in hosts:
            for family, _, _, _, address in dict.fromkeys(
                socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            ):
                try:
                    sockets.append(_listening(family, address, backlog))
                    port = port or sockets[0].getsockname()[1]
                except OSError as error:
                    if host not in _WILDCARDS or error.errno not in _NOT_HERE:
                        raise
                    missing = error
    except OSError:
        for listening in sockets:
            listening.close()
        raise
    if missing is not None and not sockets:
        raise missing
    return sockets


def is_of_another_machine(error: OSError) -> bool:
    """Whether `listen` failed because of a host: its name does not resolve, or its address is not
    of this machine. Otherwise it is the port that cannot be had."""
    return isinstance(error, socket.gaierror) or error.errno in _NOT_HERE


def _listening(family: int, address: object, backlog: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # IPv4 has its own socket, whatever the machine's default is.
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)  # type: ignore[arg-type] # its form follows from the family
        made.listen(backlog)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made


class _Connection:
    """One connection: first the head that was read, then the rest of the answer."""

    def __init__(self, made: socket.socket, due: float) -> None:
        self.socket = made
        self.due = due
        self.head = b""
        self.answer: memoryview | None = None


class Server:
    """Answers requests on listening sockets until `close`."""

    def __init__(
        self,
        listening: list[socket.socket],
        handler: Handler,
        *,
        most: int = MOST_CONNECTIONS,
        head_seconds: float = HEAD_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._listening = listening
        self._handler = handler
        self._most = most
        self._head_seconds = head_seconds
        self._answer_seconds = answer_seconds
        self._connections: dict[int, _Connection] = {}  # by descriptor, the oldest first
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._resting_until = 0.0
        self._closing = False
        self._log = log.logger("telemetry")
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)

    def start(self) -> None:
        """Answer from now on."""
        self._selector.register(self._woken, selectors.EVENT_READ)
        for listening in self._listening:
            self._selector.register(listening, selectors.EVENT_READ)
        self._thread.start()

    def close(self) -> None:
        """Stop answering and listening."""
        self._closing = True
        with suppress(OSError):  # the thread has seen it already, and closed its end
            self._wake.send(b"x")
        self._thread.join(_JOIN_SECONDS)
        self._wake.close()

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._connections)

    def _run(self) -> None:
        try:
            while not self._closing:
                self._turn()
        finally:
            for made in [
                *self._listening,
                *(connection.socket for connection in self._connections.values()),
                self._woken,
            ]:
                made.close()
            self._selector.close()

    def _turn(self) -> None:
        for key, events in self._selector.select(self._patience()):
            descriptor = key.fd
            if key.fileobj in self._listening:
                self._accept(key.fileobj)
            elif current := self._connections.get(descriptor):
                try:
                    self._go_on(current, events)
                except OSError:  # the other side is gone
                    self._drop(current)
        now = time.monotonic()
        for overdue in [
            connection for connection in self._connections.values() if connection.due <= now
        ]:
            self._drop(overdue)
        if self._resting_until and now >= self._resting_until:
            self._resting_until = 0.0
            for listening in self._listening:
                self._selector.register(listening, selectors.EVENT_READ)

    def _patience(self) -> float | None:
        moments = [connection.due for connection in self._connections.values()]
        if self._resting_until:
            moments.append(self._resting_until)
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _accept(self, listening: socket.socket) -> None:
        try:
            made, _ = listening.accept()
        except (BlockingIOError, ConnectionError):  # the client gave up meanwhile
            return
        except OSError as error:  # no descriptor is left: do not try again at once
            self._log.warning("accept_failed", error=error)
            self._rest()
            return
        made.setblocking(False)
        if len(self._connections) >= self._most:
            known = self._connections.values()
            self._drop(
                next(
                    (connection for connection in known if connection.answer is None),
                    next(iter(known)),
                )
            )
        connection = _Connection(made, time.monotonic() + self._head_seconds)
        self._connections[made.fileno()] = connection
        self._selector.register(made, selectors.EVENT_READ)

    def _rest(self) -> None:
        if not self._resting_until:
            self._resting_until = time.monotonic() + REST_SECONDS
            for listening in self._listening:
                self._selector.unregister(listening)

    def _go_on(self, connection: _Connection, events: int) -> None:
        if connection.answer is None and events & selectors.EVENT_READ:
            try:
                data = connection.socket.recv(_READ)
            except BlockingIOError:
                return
            connection.head += data
            end = _end(connection.head)
            if not data or (end < 0 and len(connection.head) > LONGEST_HEAD):
                self._drop(connection)
                return
            if end < 0:
                return
            connection.answer = memoryview(self._answered(connection.head[:end]))
            connection.due = time.monotonic() + self._answer_seconds
            self._selector.modify(connection.socket, selectors.EVENT_WRITE)
        if connection.answer is not None:
            try:
                connection.answer = connection.answer[connection.socket.send(connection.answer) :]
            except BlockingIOError:
                return
            if not connection.answer:
                self._drop(connection)

    def _answered(self, head: bytes) -> bytes:
        try:
            return respond(head, self._handler)
        except Exception as error:  # noqa: BLE001 - a bug of one page must not end the other
            self._log.error("request_failed", error=error, exc_info=True)
            return render(Answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"failed: see the log\n"))

    def _drop(self, connection: _Connection) -> None:
        self._selector.unregister(connection.socket)
        del self._connections[connection.socket.fileno()]
        connection.socket.close()


def _end(head: bytes) -> int:
    """The position of the head's end; -1 if the head is incomplete."""
    ends = [at for at in (head.find(b"\r\n\r\n"), head.find(b"\n\n")) if at >= 0]
    return min(ends, default=-1)
