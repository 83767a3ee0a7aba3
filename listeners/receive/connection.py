"""One open WebSocket: a non-blocking socket with its frame parser. Belongs to the loop's thread.

A worker did the blocking handshake (`mirror.genesys.sockets.open_socket`). From then on
`listeners.receive.frames` parses the bytes of the socket.
"""

from __future__ import annotations

import socket
import ssl
from typing import Final

from listeners.receive.frames import FrameParser, Item, encode

MAX_OUTGOING_BYTES: Final = 64 * 1024
# A TLS record holds 16 KiB: reading goes on while the shared buffer has room for one more.
_TLS_RECORD_BYTES: Final = 16 * 1024 + 64

WOULD_BLOCK: Final = (
    BlockingIOError,
    InterruptedError,
    ssl.SSLWantReadError,
    ssl.SSLWantWriteError,
)


class Connection:
    """The open socket of a channel."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.parser = FrameParser()
        self.closing = False
        self._tls = isinstance(sock, ssl.SSLSocket)
        self._outgoing = bytearray()

    def fileno(self) -> int:
        """For selectors."""
        return self.sock.fileno()

    def read(self, view: memoryview) -> tuple[list[Item], int, bool]:
        """Read: (items, bytes read, whether more bytes may wait that select cannot see).

        `view` is the loop's read buffer, shared by all connections. Raises `OSError` if the socket
        is broken, and `EOFError` if the server closed it without a close frame.
        """
        parser = self.parser
        start = end = parser.restore(view)
        size = len(view)
        more = False
        try:
            while True:
                count = self.sock.recv_into(view[end:])
                if not count:
                    if end == start:
                        raise EOFError
                    break
                end += count
                if not self._tls:
                    break
                if size - end < _TLS_RECORD_BYTES:
                    more = True
                    break
        except WOULD_BLOCK:
            if end == start:
                return [], 0, False
        except OSError:
            if end == start:
                raise
            more = True  # what came before the fault counts; the next read meets the fault again
        return parser.cut(view, end), end - start, more

    def send(self, opcode: int, payload: bytes) -> None:
        """Send a frame, or keep it until the socket takes it. `OSError` if the socket is broken."""
        self._outgoing += encode(opcode, payload)
        if len(self._outgoing) > MAX_OUTGOING_BYTES:
            raise OSError("the server does not read what is sent")
        self.flush()

    def send_raw(self, frame: bytes) -> None:
        """Like `send`, for a frame that is encoded already."""
        self._outgoing += frame
        self.flush()

    def flush(self) -> None:
        """Send waiting bytes. Raises `OSError` if the socket is broken."""
        while self._outgoing:
            try:
                sent = self.sock.send(self._outgoing)
            except WOULD_BLOCK:
                return
            del self._outgoing[:sent]

    @property
    def wants_to_write(self) -> bool:
        """Whether bytes wait to be sent."""
        return bool(self._outgoing)

    def close(self) -> None:
        """Close the socket; drop waiting bytes."""
        self.sock.close()
