"""One message, many browsers: what is published is encoded once and handed to all who listen.

A message is bytes of a server-sent event. A newcomer first gets a full one and then what changes.
Each browser has a bounded queue; one that does not keep up is cut, reconnects by itself, and begins
anew with a full message. So a slow browser costs neither memory nor the others' time.

`publish` and `stop` may be called from any thread; what changes streams belongs to the loop's.
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
    """One browser's stream. `cut` is called where it does not keep up."""

    def __init__(self, kinds: frozenset[str], cut: Callable[[], Any]) -> None:
        self.kinds = kinds
        self.cut = cut
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE_LENGTH)
        self.waiting = set(kinds)  # kinds of which it has no full message yet


class Hub:
    """All streams of this process."""

    def __init__(self) -> None:
        self.cut = 0  # streams that did not keep up
        self.sent = 0  # messages handed to a stream
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: set[Listener] = set()
        self._latest: dict[str, bytes] = {}
        self._closed = False

    @property
    def streams(self) -> int:
        """How many browsers listen."""
        return len(self._listeners)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say which loop serves the streams."""
        self._loop = loop

    def is_awaited(self, kind: str) -> bool:
        """Whether somebody waits for a full message of `kind`."""
        return any(kind in listener.waiting for listener in tuple(self._listeners))

    def is_heard(self, kind: str) -> bool:
        """Whether anybody listens to `kind` at all."""
        return any(kind in listener.kinds for listener in tuple(self._listeners))

    def publish(self, kind: str, full: bytes | None, change: bytes | None = None) -> None:
        """Send `full` to those who have none yet, and `change` to the others.

        Without `change` the full message is for all, and is kept for those who come later.
        """
        self._in_loop(self._publish, kind, full, change)

    def stop(self) -> None:
        """End all streams; browsers reconnect, to another process or to the next one."""
        self._in_loop(self._close)

    def join(self, kinds: frozenset[str], cut: Callable[[], Any]) -> Listener | None:
        """A new stream of these kinds; None where there are too many or the process stops."""
        if self._closed or len(self._listeners) >= MOST_STREAMS:
            return None
        listener = Listener(kinds, cut)
        for kind in sorted(kinds & self._latest.keys()):
            listener.queue.put_nowait(self._latest[kind])
            listener.waiting.discard(kind)
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """A stream is over. Safe to repeat."""
        self._listeners.discard(listener)

    def _in_loop(self, work: Callable[..., None], *arguments: Any) -> None:
        if self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(work, *arguments)
        except RuntimeError:  # the loop is closed: nobody is left to hear it
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
