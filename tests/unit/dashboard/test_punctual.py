"""Requests at the dashboard's server have a deadline, their answers have none."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest
import uvicorn

from dashboard.pages.punctual import Punctual

SECONDS = 10.0


class Hurried(Punctual):
    """A deadline that a test can wait for."""

    request_seconds = 0.2


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers when the body is there; at once, and slowly, at other paths."""
    if scope["path"] != "/early":
        while (message := await receive()).get("more_body"):
            pass
        if message["type"] == "http.disconnect":
            return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/slow":
        await send({"type": "http.response.body", "body": b"be", "more_body": True})
        await asyncio.sleep(3 * Hurried.request_seconds)
    await send({"type": "http.response.body", "body": b"yes"})


async def ended(data: bytes, port: int, later: bytes = b"") -> bytes:
    """What comes until the server closes; `later` is sent meanwhile, byte by byte."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    reading = asyncio.create_task(reader.read())
    try:
        for byte in later:
            await asyncio.sleep(Hurried.request_seconds / 4)
            if reading.done():
                break
            writer.write(bytes([byte]))
        return await asyncio.wait_for(reading, SECONDS)
    finally:
        writer.close()
        reading.cancel()


def answers(*requests: tuple[bytes, bytes]) -> list[bytes]:
    """What comes for each of these requests, sent at once and later, until the server closes."""

    async def trial() -> list[bytes]:
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        config = uvicorn.Config(app, http=Hurried, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup([listening])
        found = await asyncio.gather(*(ended(data, port, later) for data, later in requests))
        await server.shutdown([listening])
        listening.close()
        return list(found)

    return asyncio.run(trial())


WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST %b HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n%b"
LENGTH = b"Content-Length: 100"
CHUNKED = b"Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("request_", "later", "answer"),
    [
        (b"", b"", b""),
        (b"GET / HT", b"", b""),
        (b"GET / HT", b"TP/1.1\r\nHost: " + b"x" * 20, b""),
        (POST % (b"/", LENGTH, b"ab"), b"", b""),
        (POST % (b"/", LENGTH, b"ab"), b"c" * 20, b""),
        (POST % (b"/", CHUNKED, b"5\r\nab"), b"", b""),
        (POST % (b"/", CHUNKED, b"2\r\nab\r\n"), b"1\r\nc\r\n" * 4, b""),
        (POST % (b"/early", LENGTH, b"ab"), b"", b"HTTP/1.1 200 OK"),
        (WHOLE + b"GET / HT", b"", b"HTTP/1.1 200 OK"),
        (WHOLE + POST % (b"/", LENGTH, b"ab"), b"", b"HTTP/1.1 200 OK"),
    ],
)
def test_silence_and_half_requests_are_closed(request_: bytes, later: bytes, answer: bytes) -> None:
    """Half a head or half a body, at once or byte by byte, of the first request or a later one."""
    started = time.monotonic()
    (found,) = answers((request_, later))
    assert found[: len(answer)] == answer
    assert bool(found) == bool(answer)
    assert time.monotonic() - started < SECONDS / 2, "uvicorn's own time-out is not waited for"


def test_a_whole_request_is_answered_however_long_the_answer_takes() -> None:
    """A body that comes within the deadline, and an answer that lasts longer than it."""
    close = b"Content-Length: 2\r\nConnection: close"
    found = answers(
        (POST % (b"/", close, b"a"), b"b"),
        (POST % (b"/slow", close, b""), b"ab"),
        (b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b""),
    )
    assert all(answer.startswith(b"HTTP/1.1 200 OK") for answer in found)
    assert all(b"yes" in answer for answer in found)
