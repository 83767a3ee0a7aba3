"""The way of other threads to the loop: a bounded queue of calls, and a socket that wakes it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from queue import Full, Queue
from typing import Final

from listeners.channels.session import Step
from mirror.base.log import logger

INBOX: Final = 4_096
POST_TIMEOUT_SECONDS: Final = 10.0
_WAKING_BYTES: Final = 4_096

Message = Callable[[float], list[Step]]


class Inbox:
    """Calls of other threads to the loop, in their order."""

    def __init__(self) -> None:
        self._messages: Queue[Message] = Queue(INBOX)
        self._waker, self.woken = socket.socketpair()
        self._waker.setblocking(False)
        self.woken.setblocking(False)
        self._log = logger("listener")

    def put(self, message: Message) -> None:
        """Have the loop call `message` with `now`. Waits, with a deadline, while the inbox is
        full."""
        try:
            self._messages.put(message, timeout=POST_TIMEOUT_SECONDS)
        except Full:
            # The loop has hung for seconds; beats stop then too, and the leader acts.
            self._log.error("inbox_full")
        self.wake()

    def wake(self) -> None:
        """End the loop's wait."""
        try:
            self._waker.send(b"\0")
        except BlockingIOError:  # it is being woken already
            return
        except OSError:  # closed: the process is ending
            return

    def clear_wake(self) -> None:
        """Note that the loop is awake."""
        try:
            while self.woken.recv(_WAKING_BYTES):
                pass
        except BlockingIOError:
            return

    def take(self) -> Iterator[Message]:
        """The calls that have come by now."""
        for _ in range(self._messages.qsize()):  # the loop alone takes calls
            yield self._messages.get_nowait()

    def close(self) -> None:
        """Close the sockets: `wake` has no effect any more."""
        self._waker.close()
        self.woken.close()
