"""A WebSocket server that pushes pre-built frames as fast as they are read: for `bench.listener`.

Each conversation is a call of nine snapshots (ringing, answered, held, resumed, and so on to its
wrap-up) in the nested shape, filled up to the size asked for with participant data, as real ones
are. Ids change with every lap, so that every frame causes the transitions that it would in life.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
import sys
from struct import pack
from typing import Any

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
LAP = b"llllllll"  # a hole in every id, filled with the number of the lap
CONVERSATIONS = 250
BLOCK = 128 * 1024
STEPS = 9
# How many events the nine snapshots of one conversation hold, as the contract defines them.
EVENTS = 17


def main() -> None:
    """`python -m bench.listener_source PORT SIZE FRAMES [CERT KEY]`: serves every connection."""
    port, size, frames = (int(value) for value in sys.argv[1:4])
    context = None
    if len(sys.argv) > 4:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[4], sys.argv[5])
    lap = build(size)
    with socket.create_server(("127.0.0.1", port)) as server:
        print("ready", flush=True)
        connection, _ = server.accept()
        if context is not None:
            connection = context.wrap_socket(connection, server_side=True)
        with connection:
            shake_hands(connection)
            connection.recv(1)  # the reader's ping: it is set up
            send(connection, lap, frames)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):
                pass


def shake_hands(connection: socket.socket) -> None:
    """Answer the upgrade."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(4096)
    (key,) = (
        line.partition(b":")[2].strip()
        for line in request.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    )
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def send(connection: socket.socket, lap: list[bytes], frames: int) -> None:
    """Send so many frames, lap after lap."""
    connection.sendall(frame(b'{"topicName":"channel.metadata","eventBody":{"message":"pong"}}'))
    number = sent = 0
    while sent < frames:
        filled = b"%08x" % number
        number += 1
        some = lap[: frames - sent]
        sent += len(some)
        joined = b"".join(some).replace(LAP, filled)
        for start in range(0, len(joined), BLOCK):
            connection.sendall(joined[start : start + BLOCK])


def frame(payload: bytes) -> bytes:
    """A server's text frame."""
    if len(payload) < 126:
        return bytes((0x81, len(payload))) + payload
    if len(payload) <= 0xFFFF:
        return b"\x81\x7e" + pack("!H", len(payload)) + payload
    return b"\x81\x7f" + pack("!Q", len(payload)) + payload


def build(size: int) -> list[bytes]:
    """The frames of one lap: conversations interleaved, as they are in life."""
    columns = [conversation(number, size) for number in range(CONVERSATIONS)]
    return [frame(column[step]) for step in range(STEPS) for column in columns]


def conversation(number: int, size: int) -> list[bytes]:
    """Nine snapshots of one call."""
    name = f"{LAP.decode()}-0000-4000-8000-{number:012d}"
    user = f"00000000-0000-4000-9000-{number % 100:012d}"
    queue = "11111111-0000-4000-a000-000000000001"
    customer: dict[str, Any] = {
        "id": f"{LAP.decode()}-0000-4000-8001-{number:012d}",
        "purpose": "customer",
        "connectedTime": "2026-11-23T10:00:00.000Z",
        "attributes": {},
    }
    call: dict[str, Any] = {
        "id": f"{LAP.decode()}-0000-4000-8002-{number:012d}",
        "state": "connected",
        "initialState": "alerting",
        "direction": "inbound",
        "held": False,
        "connectedTime": "2026-11-23T10:00:00.000Z",
        "provider": "Edge",
        "self": {
            "nameRaw": "",
            "addressNormalized": "tel:+15550001",
            "addressRaw": "tel:+15550001",
        },
    }
    agent: dict[str, Any] = {
        "id": f"{LAP.decode()}-0000-4000-8003-{number:012d}",
        "purpose": "agent",
        "userId": user,
        "queueId": queue,
        "wrapupRequired": True,
    }
    leg: dict[str, Any] = {**call, "id": f"{LAP.decode()}-0000-4000-8004-{number:012d}"}
    del leg["connectedTime"]
    steps: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
        ({"state": "alerting"}, {}, {}),
        ({"state": "connected", "connectedTime": "2026-11-23T10:00:05.000Z"}, {}, {}),
        ({}, {}, {}),  # nothing new, as half of what Genesys sends
        ({"held": True, "startHoldTime": "2026-11-23T10:00:10.000Z"}, {}, {}),
        ({"held": False, "startHoldTime": None}, {}, {}),
        (
            {
                "state": "disconnected",
                "disconnectType": "client",
                "disconnectedTime": "2026-11-23T10:01:00.000Z",
            },
            {"endTime": "2026-11-23T10:01:00.000Z", "startAcwTime": "2026-11-23T10:01:00.000Z"},
            {},
        ),
        (
            {},
            {},
            {
                "state": "disconnected",
                "disconnectType": "peer",
                "disconnectedTime": "2026-11-23T10:01:00.100Z",
            },
        ),
        ({"state": "terminated"}, {}, {"state": "terminated"}),
        ({}, {"wrapup": {"code": "done", "endTime": "2026-11-23T10:01:20.000Z"}}, {}),
    ]
    frames = []
    for of_leg, of_agent, of_call in steps:
        leg.update(of_leg)
        agent.update(of_agent)
        call.update(of_call)
        shown = {key: value for key, value in leg.items() if value is not None}
        body = {
            "id": name,
            "participants": [{**customer, "calls": [call]}, {**agent, "calls": [shown]}],
            "recordingState": "none",
        }
        message = {
            "topicName": f"v2.users.{user}.conversations",
            "version": "2",
            "eventBody": body,
            "metadata": {"CorrelationId": f"22222222-0000-4000-b000-{number:012d}"},
        }
        customer["attributes"] = {}
        missing = size - len(json.dumps(message, separators=(",", ":")))
        customer["attributes"] = {
            f"ivr.step.{index}": "x" * min(80, missing) for index in range(max(0, missing) // 97)
        }
        body["participants"] = [{**customer, "calls": [call]}, {**agent, "calls": [shown]}]
        frames.append(json.dumps(message, separators=(",", ":")).encode())
    return frames


if __name__ == "__main__":
    main()
