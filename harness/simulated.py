"""Starts a simulator for a test, with a small client that does not use the mirror's code."""

from __future__ import annotations

import base64
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import websocket

from harness.process import ManagedProcess

READY_SECONDS = 20.0
ANSWER_SECONDS = 10.0


@dataclass
class Answer:
    """The answer to one request."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Simulated:
    """A running simulator and a token of one of its clients."""

    url: str
    process: ManagedProcess
    client: str = "sandbox"
    secret: str = "sandbox"
    token: str = ""
    sockets: list[websocket.WebSocket] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    answer_seconds: float = ANSWER_SECONDS

    @property
    def env(self) -> dict[str, str]:
        """The settings of a mirror of it."""
        return {
            "GENESYS_API_URL": self.url,
            "GENESYS_CLIENT_ID": self.client,
            "GENESYS_CLIENT_SECRET": self.secret,
        }

    def open(self, request: urllib.request.Request) -> Any:
        """Send a request; raises what urllib raises."""
        return urllib.request.urlopen(request, timeout=self.answer_seconds, context=self.tls)

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send a request, with the token if there is one. Never raises for a status."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with self.open(request) as response:
                return _answer(response.status, response.headers.items(), response.read())
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.code, error.headers.items(), error.read())

    def get(self, path: str) -> Any:
        """The body of a GET that must succeed."""
        answer = self.call("GET", path)
        assert answer.status == 200, answer
        return answer.body

    def post(self, path: str, body: Any) -> Any:
        """The body of a POST that must succeed."""
        answer = self.call("POST", path, body)
        assert answer.status == 200, answer
        return answer.body

    def login(self, client: str | None = None, secret: str | None = None) -> Answer:
        """Get a token and keep it."""
        pair = f"{client or self.client}:{secret or self.secret}".encode()
        request = urllib.request.Request(
            self.url + "/oauth/token", data=b"grant_type=client_credentials"
        )
        request.add_header("Authorization", "Basic " + base64.b64encode(pair).decode())
        try:
            with self.open(request) as response:
                answer = _answer(response.status, response.headers.items(), response.read())
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.code, error.headers.items(), error.read())
        self.token = answer.body["access_token"]
        return answer

    def channel(self) -> dict[str, Any]:
        """A new channel."""
        body: dict[str, Any] = self.post("/api/v2/notifications/channels", {})
        return body

    def subscribe(self, channel: str, topics: list[str], query: str = "") -> Answer:
        """PUT these topics."""
        path = f"/api/v2/notifications/channels/{channel}/subscriptions{query}"
        return self.call("PUT", path, [{"id": topic} for topic in topics])

    def connect(self, channel: dict[str, Any]) -> websocket.WebSocket:
        """Open the socket of a channel. It is closed with the simulator."""
        socket = websocket.WebSocket(skip_utf8_validation=True)  # garbage must get through
        self.sockets.append(socket)
        socket.settimeout(ANSWER_SECONDS)
        socket.connect(channel["connectUri"])  # type: ignore[no-untyped-call]  # ships half its types
        return socket

    def topics(self) -> list[str]:
        """The conversation topics of every user and queue."""
        users = self.get("/api/v2/users?pageSize=500")["entities"]
        queues = self.get("/api/v2/routing/queues?pageSize=500")["entities"]
        return [
            *(f"v2.users.{user['id']}.conversations" for user in users),
            *(f"v2.routing.queues.{queue['id']}.conversations" for queue in queues),
        ]

    def listen(self) -> websocket.WebSocket:
        """A socket on a channel that is subscribed to every user and queue."""
        channel = self.channel()
        socket = self.connect(channel)
        assert self.subscribe(channel["id"], self.topics()).status == 200
        return socket

    def fault(self, **fields: Any) -> dict[str, Any]:
        """Switch a fault on."""
        body: dict[str, Any] = self.post("/_sim/faults", fields)
        return body

    def drain(self, deadline: float = 20.0) -> None:
        """Bring every conversation to its end."""
        self.post("/_sim/control", {"action": "stop"})
        end = time.monotonic() + deadline
        while self.get("/_sim/stats")["conversations"]["active"]:
            assert time.monotonic() < end, "conversations do not end"
            time.sleep(0.05)

    def ledger(self) -> list[dict[str, Any]]:
        """Every record."""
        records: list[dict[str, Any]] = self.get("/_sim/ledger?limit=100000")["records"]
        return records


@contextmanager
def simulated(
    folder: Path, *options: str, login: bool = True, tls: ssl.SSLContext | None = None
) -> Iterator[Simulated]:
    """A simulator with these options, ended with the block. `tls` says how to trust it."""
    with ManagedProcess.python_module(
        "simulator", "--port", "0", *options, folder=folder, env={"PYTHONPATH": _root()}
    ) as process:
        process.wait_for(lambda: "\n" in process.stdout, READY_SECONDS, "the ready line")
        org = Simulated(json.loads(process.stdout.splitlines()[0])["url"], process, tls=tls)
        if login:
            assert org.login().status == 200
        try:
            yield org
        finally:
            for socket in org.sockets:
                socket.shutdown()  # type: ignore[no-untyped-call]  # ships half its types


def frames(socket: websocket.WebSocket, seconds: float) -> list[dict[str, Any]]:
    """Every JSON frame of the next `seconds`."""
    found = []
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        socket.settimeout(left)
        try:
            found.append(json.loads(socket.recv()))
        except websocket.WebSocketTimeoutException:
            break
    return found


def next_frame(socket: websocket.WebSocket, topic: str, seconds: float = 10.0) -> dict[str, Any]:
    """The next frame whose topic name starts with `topic`."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        socket.settimeout(left)
        frame: dict[str, Any] = json.loads(socket.recv())
        if str(frame.get("topicName", "")).startswith(topic):
            return frame
    raise AssertionError(f"no frame of {topic} within {seconds} s")


def read_until_lost(socket: websocket.WebSocket) -> None:
    """Read on. Raises the error of a lost connection, and fails after a close frame."""
    while True:
        opcode, _ = socket.recv_data(control_frame=True)
        assert opcode != websocket.ABNF.OPCODE_CLOSE, "a close frame came"


def close_code(socket: websocket.WebSocket) -> int:
    """The code of the close frame that ends this socket."""
    while True:
        opcode, data = socket.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return int.from_bytes(data[:2], "big")


def _root() -> str:
    return str(Path(__file__).parents[1])


def _answer(status: int, headers: Any, data: bytes) -> Answer:
    return Answer(status, dict(headers), json.loads(data) if data else None)
