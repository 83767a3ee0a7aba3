"""Connections to Genesys' hosts: through the proxy if there is one, bounded in time and size.

`dial` opens a connection, for REST and WebSockets alike. `pool_manager` makes urllib3's pools with
such connections and bounded answers. The status line, the headers and all `1xx` answers before them
share one deadline and `MAX_HEAD_BYTES`; a body and its trailers have `ANSWER_SECONDS` and
`MAX_WIRE_BYTES`. http.client's own limits are per read and per line, so a server could make it wait
for ever with a byte now and then.
"""

from __future__ import annotations

import errno
import io
import math
import os
import re
import socket
import time
from typing import Any, Final

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from mirror.base.printable import printable
from mirror.genesys.proxy import Proxy, bracketed, check_proxy, proxy_for

MAX_HEAD_BYTES: Final = 128 * 1024
ANSWER_SECONDS: Final = 30.0
# The largest body (`mirror.genesys.http`) plus the framing of small chunks around it.
MAX_WIRE_BYTES: Final = 64 * 1024 * 1024
MAX_PROXY_ANSWER_BYTES: Final = 16 * 1024
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: ([^\r\n]*))?\r?\n")
_OFFERED: Final = re.compile(
    rb"^proxy-authenticate:[ \t]*([A-Za-z]+)", re.IGNORECASE | re.MULTILINE
)
_SHORTEST: Final = len(b"HTTP/1.1 200")
_LOGIN_WANTED: Final = 407
_FORBIDDEN: Final = 403


class ProxyFailed(OSError):
    """The proxy does not answer, or refuses the tunnel. The text names proxy, failure and fix."""

    def __init__(self, text: str) -> None:
        super().__init__(errno.ECONNREFUSED, text)


def dial(host: str, port: int, *, secure: bool, seconds: float) -> socket.socket:
    """A connection to `host:port`, through the proxy if `secure` and the environment names one.

    Raises `OSError`, or `ProxyFailed` for a failure of the proxy. The connection's time-out is the
    rest of `seconds`.
    """
    deadline = time.monotonic() + seconds
    proxy = proxy_for(host, port, os.environ) if secure else None
    if proxy is None:
        sock = socket.create_connection((host, port), seconds)
    else:
        sock = _tunnel(proxy, host, port, deadline)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(max(0.001, deadline - time.monotonic()))
    return sock


def _tunnel(proxy: Proxy, host: str, port: int, deadline: float) -> socket.socket:
    named = f"the proxy {proxy.name} of HTTPS_PROXY"
    try:
        sock = socket.create_connection(
            (proxy.host, proxy.port), max(0.001, deadline - time.monotonic())
        )
    except OSError as error:
        reason = error.strerror or "no answer in time"
        raise ProxyFailed(
            f"{named} does not answer ({reason}): check it, or name hosts in NO_PROXY"
        ) from error
    name = host if host.isascii() else host.encode("idna").decode("ascii")
    target = f"{bracketed(name)}:{port}"
    order = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
    if proxy.authorization:
        order += f"Proxy-Authorization: {proxy.authorization}\r\n"
    try:
        sock.sendall(f"{order}\r\n".encode("ascii"))
        _judge(_proxy_answer(sock, deadline), proxy, named, target)
    except ProxyFailed:
        sock.close()
        raise
    except OSError as error:
        sock.close()
        reason = error.strerror or "no answer in time"
        raise ProxyFailed(f"{named} gives no tunnel to {target} ({reason}): check it") from error
    return sock


def _proxy_answer(sock: socket.socket, deadline: float) -> bytes:
    """The head of the proxy's answer, with any status."""
    head = b""
    while b"\r\n\r\n" not in head and b"\n\n" not in head:
        seconds = deadline - time.monotonic()
        if seconds <= 0:
            raise OSError(errno.ETIMEDOUT, "its answer takes too long")
        if len(head) > MAX_PROXY_ANSWER_BYTES:
            raise OSError(errno.EMSGSIZE, "its answer is too large")
        sock.settimeout(seconds)
        # Byte by byte after the shortest answer: bytes after the head belong to the tunnel.
        data = sock.recv(1 if head else _SHORTEST)
        if not data:
            raise OSError(errno.ECONNRESET, "it closes the connection")
        head += data
    return head


def _judge(head: bytes, proxy: Proxy, named: str, target: str) -> None:
    found = _STATUS.match(head)
    status = int(found.group(1)) if found else 0
    if 200 <= status < 300:
        return
    if found is None:
        raise ProxyFailed(f"{named} does not speak HTTP there: check HTTPS_PROXY")
    said = printable((found.group(2) or b"").decode("latin-1"), 100)
    if status == _LOGIN_WANTED and not proxy.authorization:
        offered = {scheme.decode().lower() for scheme in _OFFERED.findall(head)}
        if offered and "basic" not in offered:
            raise ProxyFailed(
                f"{named} wants a login by {', '.join(sorted(offered))} (407), and the mirror "
                "speaks Basic alone: let it pass this machine without, or put a proxy between"
            )
        raise ProxyFailed(
            f"{named} wants a login (407): write HTTPS_PROXY=http://user:password@{proxy.name}"
        )
    if status == _LOGIN_WANTED:
        raise ProxyFailed(f"{named} refuses the user name or password of HTTPS_PROXY (407)")
    if status == _FORBIDDEN:
        raise ProxyFailed(f"{named} does not allow {target} (403 {said}): let it, or use NO_PROXY")
    raise ProxyFailed(f"{named} does not reach {target} ({status} {said}): check the proxy")


class Limits:
    """The bytes and the time that are left for an answer."""

    def __init__(self) -> None:
        self.deadline = math.inf
        self.left = MAX_HEAD_BYTES

    def head(self, seconds: float) -> None:
        """Set the limits for status line, headers and `1xx` answers."""
        self.deadline = time.monotonic() + seconds
        self.left = MAX_HEAD_BYTES

    def body(self) -> None:
        """Set the limits for the body."""
        self.deadline = time.monotonic() + ANSWER_SECONDS
        self.left = MAX_WIRE_BYTES


class BoundedReader(io.RawIOBase):
    """A socket's raw file that raises `OSError` when its limits are reached."""

    def __init__(self, raw: Any, sock: Any, limits: Limits) -> None:
        self._raw, self._sock, self._limits = raw, sock, limits
        self._most: float | None = sock.gettimeout()

    def readable(self) -> bool:
        """Always true: part of the interface of raw files."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into `buffer`; the number of bytes. Raises `OSError` at a limit."""
        limits = self._limits
        seconds = limits.deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError(errno.ETIMEDOUT, "the answer takes too long")
        if limits.left <= 0:
            raise OSError(errno.EMSGSIZE, "the head of the answer is too large, or does not end")
        self._sock.settimeout(seconds if self._most is None else min(seconds, self._most))
        count: int = self._raw.readinto(memoryview(buffer)[: limits.left])
        limits.left -= count
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _BoundedSocket:
    """A connected socket whose files read within limits; all else is unchanged."""

    def __init__(self, sock: Any, limits: Limits) -> None:
        self._sock, self._limits = sock, limits

    def makefile(self, *_: object, **__: object) -> io.BufferedReader:
        """For http.client, which reads answers from it."""
        raw = self._sock.makefile("rb", buffering=0)
        return io.BufferedReader(BoundedReader(raw, self._sock, self._limits))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class _Bounded:
    """Mixin of urllib3's connections: dials by `dial` and bounds answers."""

    sock: Any
    timeout: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._limits = Limits()
        super().__init__(*args, **kwargs)

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]  # that of the class mixed with
        self.sock = _BoundedSocket(self.sock, self._limits)

    def getresponse(self) -> Any:
        self._limits.head(float(self.timeout))
        response = super().getresponse()  # type: ignore[misc]  # as above
        self._limits.body()
        return response


class _Plain(_Bounded, HTTPConnection):
    """Without TLS, never through a proxy."""


class _Secure(_Bounded, HTTPSConnection):
    """With TLS, through the proxy if there is one."""

    def _new_conn(self) -> socket.socket:
        host, port = self._dns_host, int(self.port or self.default_port)
        if proxy_for(host, port, os.environ) is None:
            return super()._new_conn()
        return dial(host, port, secure=True, seconds=float(self.timeout))


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Secure


def pool_manager(size: int) -> urllib3.PoolManager:
    """A pool of bounded connections, `size` per host.

    Raises `SettingsError` if `HTTPS_PROXY` does not parse.
    """
    check_proxy(os.environ)
    pool = urllib3.PoolManager(num_pools=4, maxsize=size, retries=False)
    pool.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}
    return pool
