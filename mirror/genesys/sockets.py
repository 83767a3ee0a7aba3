"""Opens a channel's socket: connects like REST, over verified TLS, and makes the handshake.

Promises: sockets use the same proxy and the same error messages as REST (`mirror.genesys.wire`).
The server's bytes until the channel is open are bounded in time and size. Redirects are not
followed. The URI, which is the channel's secret, never appears in a message.
"""

from __future__ import annotations

import errno
import socket
import ssl
import time
from typing import Any, Final
from urllib.parse import urlsplit

import websocket

from mirror.base import tls
from mirror.base.errors import GenesysError, GenesysUnavailable
from mirror.genesys.refusals import Answer, refusal
from mirror.genesys.wire import dial

CONNECT_TIMEOUT_SECONDS: Final = 10.0
# Most bytes that a server may send until the channel is open, and the time that it has for them.
MAX_HANDSHAKE_BYTES: Final = 64 * 1024
HANDSHAKE_SECONDS: Final = 20.0
# Handshake answers that mean the channel is gone, if they are Genesys' own.
GONE: Final = frozenset({401, 403, 404, 410})
_PORTS: Final = {"ws": 80, "wss": 443}
# Network devices on the way may forget a connection that is silent between two heartbeats.
_KEPT_ALIVE: Final = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)] + [
    (socket.IPPROTO_TCP, getattr(socket, name), value)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
]


def tls_context() -> ssl.SSLContext:
    """The TLS context of all sockets: verifies certificates and host names.

    `SSL_CERT_FILE` and `SSL_CERT_DIR` add a private CA, as OpenSSL reads them.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class BoundedSocket:
    """A socket that is read by websocket-client, bounded in bytes and in time.

    websocket-client bounds neither the head of an answer, which it reads byte by byte, nor the body
    of a refusal, nor a frame, and its time-out starts again with each byte.
    """

    def __init__(
        self,
        sock: socket.socket,
        most_bytes: int = MAX_HANDSHAKE_BYTES,
        seconds: float = HANDSHAKE_SECONDS,
    ) -> None:
        self.inner = sock
        self._left = most_bytes
        self.allow(seconds)

    def allow(self, seconds: float) -> None:
        """Let what is received take `seconds` from now."""
        self._deadline = time.monotonic() + seconds

    def recv(self, size: int) -> bytes:
        """Like `socket.recv`; raises `OSError` if the server sends too much or takes too long."""
        if self._left <= 0:
            raise OSError(errno.EMSGSIZE, "its answer is too large")
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise OSError(errno.ETIMEDOUT, "its answer takes too long")
        self.inner.settimeout(min(CONNECT_TIMEOUT_SECONDS, seconds))
        data = self.inner.recv(min(size, self._left))
        self._left -= len(data)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class _Client(websocket.WebSocket):
    """websocket-client's, whose handshake reads through a `BoundedSocket`."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "sock" and value is not None:
            value = BoundedSocket(value)  # type: ignore[arg-type]  # a socket is all it sets there
        super().__setattr__(name, value)


def open_socket(uri: str, context: ssl.SSLContext, user_agent: str) -> socket.socket:
    """Connect and shake hands; blocks up to the time-out of each step.

    Raises `GenesysError`. Its `status` is the handshake's answer, 0 without one; `is_genesys` is
    false if a gateway answered in Genesys' place. Its text never holds the URI, which is the
    channel's secret.
    """
    try:
        sock = _connected(uri, context)
        client = websocket.create_connection(
            uri,
            socket=sock,
            timeout=CONNECT_TIMEOUT_SECONDS,
            class_=_Client,
            header=[f"User-Agent: {user_agent}"],
            suppress_origin=True,
            redirect_limit=0,  # a redirect would carry the secret to another host
            enable_multithread=False,
            skip_utf8_validation=True,
        )
    except websocket.WebSocketBadStatusException as error:
        raise _refused(error) from None
    except ssl.SSLCertVerificationError as error:
        raise GenesysUnavailable(f"the channel's certificate: {error.verify_message}") from None
    except (OSError, websocket.WebSocketException, ValueError) as error:
        reason = tls.reason(error) or getattr(error, "strerror", None) or type(error).__name__
        raise GenesysUnavailable(f"the channel's socket cannot be opened: {reason}") from None
    bounded: Any = client.sock
    client.sock = None
    opened: socket.socket = bounded.inner
    opened.setblocking(False)
    return opened


def _refused(error: websocket.WebSocketBadStatusException) -> GenesysError:
    """The error of a refused handshake, with its source (`mirror.genesys.refusals`)."""
    status = error.status_code
    headers = {str(k).lower(): str(v) for k, v in (error.resp_headers or {}).items()}
    found = refusal(Answer(status, headers, error.resp_body or b""))
    sender = "" if found.is_genesys else ", and not as Genesys does: a proxy or gateway, it seems"
    return GenesysError(
        f"the channel's socket answered {status}{sender}",
        status=status,
        code=found.code,
        correlation_id=found.correlation_id,
        is_genesys=found.is_genesys,
    )


def _connected(uri: str, context: ssl.SSLContext) -> socket.socket:
    """A connection to the host of `uri`: with TLS for `wss`, through the proxy if one is set.

    Raises `OSError`, or `ValueError` if `uri` is no URI of a socket.
    """
    parts = urlsplit(uri)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("not the URI of a WebSocket")
    secure = parts.scheme == "wss"
    port = parts.port or _PORTS[parts.scheme]
    sock = dial(parts.hostname, port, secure=secure, seconds=CONNECT_TIMEOUT_SECONDS)
    try:
        for level, option, value in _KEPT_ALIVE:
            sock.setsockopt(level, option, value)
        if secure:
            return context.wrap_socket(sock, server_hostname=parts.hostname)
    except BaseException:
        sock.close()
        raise
    return sock
