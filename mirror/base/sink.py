"""Takes lines to a file descriptor that may block, fail or be gone, on a thread of its own.

`put` never waits for the descriptor and never raises. Lines are dropped and counted when the disk
is full (ENOSPC), the reader went away (EPIPE) or nobody reads the pipe. The waiting lines are
bounded in number and bytes. Beyond the bound the newest lines are dropped, so the log keeps the
lines that led to the trouble. When the descriptor takes lines again, a notice says how many are
missing.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, TextIO

MOST_LINES: Final = 10_000
MOST_BYTES: Final = 4 << 20
_LOOK_MS: Final = 1_000


class Sink:
    """Lines on their way to one stream."""

    def __init__(
        self,
        stream: TextIO | None,
        notice: Callable[[int], str],
        *,
        most_lines: int = MOST_LINES,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """`notice` makes the line that says how many were dropped since the last notice.

        Without a stream (a process whose stderr was closed before it started) every line is
        dropped: its descriptor may be a socket by now.
        """
        self.stream = stream
        self.dropped = 0
        self._notice = notice
        self._told = 0
        self._most_lines = most_lines
        self._most_bytes = most_bytes
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._under_way = False
        self._torn = False  # the last line was written in part
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._descriptor = _descriptor(stream)

    def put(self, line: str) -> None:
        """Queue `line` for writing. Returns at once."""
        data = f"{line}\n".encode(errors="backslashreplace")
        with self._changed:
            full = len(self._lines) >= self._most_lines
            if self.stream is None or full or self._bytes + len(data) > self._most_bytes:
                self.dropped += 1
                return
            self._lines.append(data)
            self._bytes += len(data)
            if self._thread is None or not self._thread.is_alive():
                self._thread = _started(self._run)
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait at most `seconds` until all lines are written or dropped; whether they are."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._lines and not self._under_way, timeout=seconds
            )

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._lines))
                data = self._lines.popleft()
                self._under_way = True
                missing = self.dropped - self._told
            written = self._write(data)
            if written and missing:
                written_notice = self._write(f"{self._notice(missing)}\n".encode())
                self._told += missing if written_notice else 0
            with self._changed:
                self._bytes -= len(data)
                self._under_way = False
                self.dropped += not written
                self._changed.notify_all()

    def _write(self, data: bytes) -> bool:
        """Whether all of `data` was written. Blocks for as long as nobody reads a pipe."""
        if self._torn:
            data = b"\n" + data
        try:
            if self._descriptor is None:
                return self._to_stream(data)
            while data:
                try:
                    data = data[os.write(self._descriptor, data) :]
                    self._torn = bool(data)
                except BlockingIOError:  # another process made the shared descriptor non-blocking
                    self._await_room(self._descriptor)
        except (OSError, ValueError):  # a stream that is closed raises ValueError
            return False
        return True

    def _to_stream(self, data: bytes) -> bool:
        assert self.stream is not None
        self.stream.write(data.decode())
        self.stream.flush()
        return True

    @staticmethod
    def _await_room(descriptor: int) -> None:
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        poll.poll(_LOOK_MS)


def _started(work: Callable[[], None]) -> threading.Thread:
    """A thread that takes no signal: the first line may come before a process blocks its own.

    The kernel gives a signal to any thread that does not block it, and it would then end the
    process instead of being waited for (`mirror.runtime.signals`).
    """
    thread = threading.Thread(target=work, name="log", daemon=True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        thread.start()  # inherits what is blocked
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return thread


def _descriptor(stream: TextIO | None) -> int | None:
    """A descriptor of our own. Nobody can close it, so no socket can get its number. None for a
    stream in memory."""
    try:
        return None if stream is None else os.dup(stream.fileno())
    except (OSError, ValueError):
        return None
