"""Sends each message to many browsers; a message is encoded once.

A message is the bytes of a server-sent event. A new browser first gets a full message, then
changes. Each browser has a bounded queue. A browser that does not keep up is cut. It reconnects by
itself and begins again with a full message. So a slow browser costs neither memory nor the time of
others.

`publish` and `stop` may be called from any thread. Only the event loop's thread changes streams.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

MOST_STREAMS: Final = 1_000
QUEUE_LENGTH: Final = 64  # messages; about eight seconds of a view

_encode = msgspec.json.encode


def message(kind: str, document: Any) -> bytes:
    """A server-sent event of `kind`; msgspec writes JSON without line breaks."""
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), _encode(document))


class Listener:
    """One browser's stream. `cut` is called if the browser does not keep up."""

    def __init__(self, kinds: frozenset[str], cut: Callable[[], Any]) -> None:
        self.kinds = kinds
        self.cut = cut
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE_LENGTH)
        self.waiting = set(kinds)  # kinds without a full message so far


class Hub:
    """All streams of this process."""

    def __init__(self) -> None:
        self.cut = 0  # streams that were cut
        self.sent = 0  # messages handed to a stream
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: set[Listener] = set()
        self._latest: dict[str, bytes] = {}
        self._closed = False

    @property
    def streams(self) -> int:
        """The number of connected browsers."""
        return len(self._listeners)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the event loop that serves the streams."""
        self._loop = loop

    def is_awaited(self, kind: str) -> bool:
        """Whether a stream waits for a full message of `kind`."""
        return any(kind in listener.waiting for listener in tuple(self._listeners))

    def is_heard(self, kind: str) -> bool:
        """Whether any stream is of `kind`."""
        return any(kind in listener.kinds for listener in tuple(self._listeners))

    def publish(self, kind: str, full: bytes | None, change: bytes | None = None) -> None:
        """Send `full` to new streams, and `change` to the others.

        Without `change`, all streams get the full message, and later streams get it when they
        begin.
        """
        self._in_loop(self._publish, kind, full, change)

    def stop(self) -> None:
        """End all streams. Browsers reconnect to another process, or to this one after a
        restart."""
        self._in_loop(self._close)

    def join(self, kinds: frozenset[str], cut: Callable[[], Any]) -> Listener | None:
        """A new stream of these kinds. None if there are too many, or the process stops."""
        if self._closed or len(self._listeners) >= MOST_STREAMS:
            return None
        listener = Listener(kinds, cut)
        for kind in sorted(kinds & self._latest.keys()):
            listener.queue.put_nowait(self._latest[kind])
            listener.waiting.discard(kind)
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """Remove a stream. Safe to repeat."""
        self._listeners.discard(listener)

    def _in_loop(self, work: Callable[..., None], *arguments: Any) -> None:
        if self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(work, *arguments)
        except RuntimeError:  # the loop is closed, and so are all streams
            return

    def _close(self) -> None:
        self._closed = True
        for listener in list(self._listeners):
            self._hand(listener, None)
        self._listeners.clear()

    def _publish(self, kind: str, full: bytes | None, change: bytes | None) -> None:
        if change is None and full is not None:
            self._latest[kind] = full
        for listener in list(self._listeners):
            if kind not in listener.kinds:
                continue
            if kind in listener.waiting:
                if full is not None:
                    listener.waiting.discard(kind)
                    self._hand(listener, full)
            elif (data := change if change is not None else full) is not None:
                self._hand(listener, data)

    def _hand(self, listener: Listener, data: bytes | None) -> None:
        try:
            listener.queue.put_nowait(data)
            self.sent += 1
        except asyncio.QueueFull:
            self.cut += 1
            self.leave(listener)
            listener.cut()
