"""A TCP switch: one address in front of several servers, as a Kubernetes Service or a VIP is.

New connections lead to the server that was chosen last; those that are open stay where they are.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

CHUNK = 64 * 1024


class Switch:
    """Listens on a port of its own; a context manager that ends every connection with it."""

    def __init__(self, target: int) -> None:
        """`target` is a port of this machine."""
        self.target = target
        self.opened: list[int] = []  # where each connection was led to, in order
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            sockets, threads = list(self._sockets), list(self._threads)
        for one in sockets:
            _end(one)
        for thread in threads:
            thread.join(5)
        for one in sockets:
            one.close()

    def _start(self, run: object, *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)  # type: ignore[arg-type]  # one of our methods
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return  # closed
            try:
                far = socket.create_connection(("127.0.0.1", self.target), 5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self.opened.append(self.target)
                self._sockets += [near, far]
            self._start(self._pump, near, far)
            self._start(self._pump, far, near)

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):  # one of the two ends is gone: so goes the other
            while data := source.recv(CHUNK):
                sink.sendall(data)
        _end(sink)
        _end(source)


def _end(one: socket.socket) -> None:
    with suppress(OSError):  # it may have ended by itself
        one.shutdown(socket.SHUT_RDWR)
