"""`mirror doctor` waits for a channel's frames as long as it says, whatever the other end sends."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from mirror.checks import channel
from mirror.checks.channel import MAX_BYTES

SECONDS = 0.6
EVERY = 0.05
PING, EMPTY = b"\x89\x00", b"\x81\x02{}"
PONG_TEXT = b'{"topicName":"channel.metadata","eventBody":{"message":"pong"}}'
#: A frame of text that would take a terabyte.
ENDLESS = b"\x81\x7f" + (1 << 40).to_bytes(8, "big")

Feed = Callable[[socket.socket], None]


@contextmanager
def fed(first: bytes, again: bytes) -> Iterator[socket.socket]:
    """A connection whose other end sends `first`, then `again` and again."""
    ours, theirs = socket.socketpair()
    over = threading.Event()

    def feed() -> None:
        try:
            theirs.sendall(first)
            while not over.wait(EVERY):
                theirs.sendall(again)
        except OSError:
            pass

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    try:
        with ours, theirs:
            yield ours
            over.set()
            theirs.shutdown(socket.SHUT_RDWR)
    finally:
        over.set()
        thread.join(5)


def heard(ours: socket.socket, seconds: float = SECONDS) -> tuple[float | None, int]:
    """What the check hears, and how often it renewed its reservation."""
    renewed: list[float] = []
    reader = channel._reader(ours)
    return channel._heard(reader, lambda: renewed.append(0.0), seconds, ""), len(renewed)


@pytest.mark.parametrize(
    ("first", "again"),
    [(ENDLESS, b"x"), (b"", PING), (b"", EMPTY), (b"\x81", b"")],
    ids=["a frame that trickles", "pings", "other frames", "half a head"],
)
def test_it_ends_in_time(monkeypatch: pytest.MonkeyPatch, first: bytes, again: bytes) -> None:
    """No byte and no ping makes it wait longer, and it renews its reservation meanwhile."""
    monkeypatch.setattr(channel, "_LOOK_SECONDS", SECONDS / 3)
    began = time.monotonic()
    with fed(first, again) as ours:
        found, renewed = heard(ours)
    assert found is None
    assert time.monotonic() - began < SECONDS + 2
    assert renewed >= 2


def test_an_answer_in_pieces_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though a look ended between two of its bytes."""
    monkeypatch.setattr(channel, "_LOOK_SECONDS", EVERY)
    ours, theirs = socket.socketpair()
    frame = b"\x81" + bytes([len(PONG_TEXT)]) + PONG_TEXT
    with ours, theirs:
        theirs.sendall(frame[:20])
        rest = threading.Timer(4 * EVERY, theirs.sendall, (frame[20:],))
        rest.start()
        found, _ = heard(ours, 10.0)
        rest.join()
    assert found is not None


def test_more_than_a_channel_without_topics_sends_is_refused() -> None:
    """What floods the check is no channel of Genesys."""
    with fed(ENDLESS, b"x" * (MAX_BYTES // 8)) as ours, pytest.raises(OSError, match="too large"):
        heard(ours, 30.0)
