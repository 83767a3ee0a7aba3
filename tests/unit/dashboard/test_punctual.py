"""Requests at the dashboard's server have a deadline, those under way have none."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn

from dashboard.pages.punctual import Punctual

SECONDS = 10.0


class Hurried(Punctual):
    """A deadline that a test can wait for."""

    head_seconds = 0.2


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers when the body is there."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"yes"})


async def ended(data: bytes, port: int) -> bytes:
    """What comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), SECONDS)
    finally:
        writer.close()


def test_silence_and_half_requests_are_closed() -> None:
    """At once, after a first request, and while a slow body is waited for by who reads it."""

    async def trial() -> tuple[tuple[bytes, ...], bytes]:
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        config = uvicorn.Config(app, http=Hurried, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup([listening])
        whole = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        closed = await asyncio.gather(
            ended(b"", port), ended(b"GET / HT", port), ended(whole + b"GET / HT", port)
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
        await ended(b"", port)  # a deadline passes meanwhile
        writer.write(b"b")
        answer = await asyncio.wait_for(reader.readline(), SECONDS)
        writer.close()
        await server.shutdown([listening])
        return tuple(closed), answer

    closed, answer = asyncio.run(trial())
    assert closed[:2] == (b"", b"")
    assert closed[2].startswith(b"HTTP/1.1 200 OK")
    assert answer.startswith(b"HTTP/1.1 200 OK")
