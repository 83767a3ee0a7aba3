"""What a switch and a proxy on loopback share: a port, its connections, and bytes both ways."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Self

CHUNK = 64 * 1024


class Relay:
    """Gives each connection to `serve`, in a thread of its own.

    A context manager that ends every connection when it is left.
    """

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            sockets, threads = list(self._sockets), list(self._threads)
        for end in sockets:
            _end(end)
        for thread in threads:
            thread.join(5)
        for end in sockets:
            end.close()

    def dial(self, port: int) -> socket.socket:
        """A connection to a port of this machine, ended with the others. Raises `OSError`."""
        far = socket.create_connection(("127.0.0.1", port), 5)
        far.settimeout(None)
        self._keep(far)
        return far

    def join(self, near: socket.socket, far: socket.socket) -> None:
        """Pass bytes both ways until one end is gone."""
        back = self._start(lambda: _pump(far, near))
        _pump(near, far)
        back.join(5)

    def _keep(self, kept: socket.socket) -> None:
        with self._lock:
            self._sockets.append(kept)

    def _start(self, run: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=run, daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return  # closed
            self._keep(near)
            self._start(partial(self._give, near))

    def _give(self, near: socket.socket) -> None:
        with suppress(OSError):  # whoever connected has left, or there is nobody to lead to
            self._serve(near)
        _end(near)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):  # one of the two ends is gone: so goes the other
        while data := source.recv(CHUNK):
            sink.sendall(data)
    _end(sink)
    _end(source)


def _end(ended: socket.socket) -> None:
    with suppress(OSError):  # it may have ended by itself
        ended.shutdown(socket.SHUT_RDWR)
