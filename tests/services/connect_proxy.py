"""A proxy that gives tunnels (`CONNECT`), as companies have between themselves and the world.

It knows hosts by names of its own, which nobody else can resolve, may want a login, and notes what
it was asked for.
"""

from __future__ import annotations

import base64
import socket
from collections.abc import Mapping

from tests.services.relay import CHUNK, Relay

MOST_HEAD = 64 * 1024


class ConnectProxy(Relay):
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
        super().__init__(self._tunnel)
        self.asked: list[str] = []  # targets, in order
        self._hosts = dict(hosts or {})
        self._login = base64.b64encode(login.encode()).decode() if login else ""
        self._answer = answer

    def url(self, login: str = "") -> str:
        """What `HTTPS_PROXY` takes."""
        return f"http://{f'{login}@' if login else ''}127.0.0.1:{self.port}"

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
        far = self.dial(self._hosts[host])
        near.sendall(b"HTTP/1.1 200 Connection established\r\nVia: corp\r\n\r\n")
        self.join(near, far)
