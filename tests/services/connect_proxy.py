"""A proxy that gives tunnels (`CONNECT`), as companies have between themselves and the world.

It knows hosts by names of its own, which nobody else can resolve, may want a login, and notes what
it was asked for.
"""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

CHUNK = 64 * 1024
MOST_HEAD = 64 * 1024


class ConnectProxy:
    """Listens on a port of its own; a context manager that ends every tunnel with it."""

    def __init__(
        self,
        hosts: Mapping[str, int] | None = None,
        *,
        login: str = "",
        answer: bytes = b"",
    ) -> None:
        """`hosts` is name → port of this machine, `login` is `user:password`.

        With `answer` it says that to every order, and nothing else.
        """
        self.asked: list[str] = []  # targets, in order
        self._hosts = dict(hosts or {})
        self._login = base64.b64encode(login.encode()).decode() if login else ""
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def url(self, login: str = "") -> str:
        """What `HTTPS_PROXY` takes."""
        return f"http://{f'{login}@' if login else ''}127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._start(threading.Thread(target=self._accept, daemon=True))
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

    def _start(self, thread: threading.Thread) -> None:
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return  # closed
            with self._lock:
                self._sockets.append(near)
            self._start(threading.Thread(target=self._serve, args=(near,), daemon=True))

    def _serve(self, near: socket.socket) -> None:
        with suppress(OSError):  # whoever asked has left
            self._tunnel(near)
        _end(near)

    def _tunnel(self, near: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head and len(head) < MOST_HEAD:
            if not (data := near.recv(CHUNK)):
                return
            head += data
        order, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = order.split(" ")
        self.asked.append(target)
        if self._answer:
            near.sendall(self._answer)
            return
        said = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
        given = {line.partition(": ")[2] for line in lines if line.startswith("Proxy-Auth")}
        if self._login and given != {f"Basic {self._login}"}:
            near.sendall(
                b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                b'Proxy-Authenticate: Basic realm="corp"\r\nContent-Length: 0\r\n\r\n'
            )
            return
        host = target.rpartition(":")[0]
        if method != "CONNECT" or host not in self._hosts or said.get("host") != target.lower():
            near.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        far = socket.create_connection(("127.0.0.1", self._hosts[host]), 5)
        far.settimeout(None)
        with self._lock:
            self._sockets.append(far)
        near.sendall(b"HTTP/1.1 200 Connection established\r\nVia: corp\r\n\r\n")
        back = threading.Thread(target=self._pump, args=(far, near), daemon=True)
        self._start(back)
        self._pump(near, far)
        back.join(5)

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
