"""Parses WebSocket frames (RFC 6455, the client's side) from a stream of bytes. No I/O.

`FrameParser.cut` takes the bytes that have arrived. It returns complete messages as `bytes`, and
`Ping`, `Pong`, `Closed`, `Oversized` and `Failure`. The items are the same however the stream is
cut into reads. websocket-client does the handshake, without extensions.

Decisions:

- Text is not checked for UTF-8 here. RFC 6455 wants the connection closed (1007). Here a message
  with bad text becomes a dead letter, and the channel goes on.
- A binary message is returned like text. Genesys sends none; if it does, the reader judges it.
- A message over the size limit is skipped as it arrives, and its beginning is returned as
  `Oversized`. The connection goes on: the length in its header says where the next frame begins.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from struct import Struct
from typing import Final

import msgspec

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
# Bytes of an oversized message that are kept for the dead letter.
KEPT_OF_OVERSIZED_BYTES: Final = 64 * 1024
# A larger unfinished frame is collected in a buffer of its own, so the shared read buffer stays
# small.
MAX_TAIL_BYTES: Final = 64 * 1024
# RFC 6455 sets no number of fragments, and each costs memory however small it is.
MAX_FRAGMENTS: Final = 65_536

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
NO_CODE: Final = 1005
BAD_DATA: Final = 1007
TOO_BIG: Final = 1009

_FIN: Final = 0x80
_RSV: Final = 0x70
_FINAL_TEXT: Final = _FIN | TEXT
_MASKED: Final = 0x80
_MAX_CONTROL_BYTES: Final = 125
_U16: Final = Struct("!H")
_U64: Final = Struct("!Q")


class Ping(msgspec.Struct, frozen=True):
    """The server asks for a pong with the same payload."""

    payload: bytes


class Pong(msgspec.Struct, frozen=True):
    """The server answers a ping."""

    payload: bytes


class Closed(msgspec.Struct, frozen=True):
    """The server closes; `code` is 1005 if its frame had none."""

    code: int
    reason: str


class Oversized(msgspec.Struct, frozen=True):
    """A message over the limit was skipped: its beginning, and its whole size in bytes."""

    head: bytes
    size: int


class Failure(msgspec.Struct, frozen=True):
    """The server violated the protocol. Close with `code`; the parser takes nothing more."""

    code: int
    reason: str


Item = bytes | Ping | Pong | Closed | Oversized | Failure

# Of the native reader, called with a view, a position, an end, a size limit and the items: adds the
# texts that stand from there on, each in one frame. Returns the position of the first other frame.
Texts = Callable[[memoryview, int, int, int, list[Item]], int]


class FrameParser:
    """The receiving side of one connection.

    Either pass bytes to `feed`, or, without copying, use a buffer shared by many connections, of
    more than `MAX_TAIL_BYTES` + 14 bytes:

        start = parser.restore(view)             # puts back the unfinished frame
        count = sock.recv_into(view[start:])
        items = parser.cut(view, start + count)
    """

    def __init__(self, limit: int = MAX_MESSAGE_BYTES) -> None:
        self.tail = b""  # an unfinished frame, header first
        self.closed = False
        self.texts: Texts | None = None  # faster than Python's loop, if it is there
        self._limit = limit
        self._message = False  # a fragmented message is under way
        self._parts: list[bytes] = []
        self._size = 0  # of the message under way, skipped bytes included
        self._oversized = False
        # A large frame in progress: its first byte, the missing number of bytes, the bytes so far.
        self._first = 0
        self._left = 0
        self._body = bytearray()

    def restore(self, view: memoryview) -> int:
        """Put the unfinished frame at the start of `view`. Returns its size in bytes."""
        size = len(self.tail)
        if size:
            view[:size] = self.tail
        return size

    def feed(self, data: bytes) -> list[Item]:
        """The items that `data` completes."""
        joined = self.tail + data if self.tail else data
        return self.cut(memoryview(joined), len(joined))

    def cut(self, view: memoryview, end: int) -> list[Item]:
        """The items in `view[:end]`, which begins with the bytes from `restore`."""
        items: list[Item] = []
        position = self._continue(view, end, items) if self._left else 0
        if self.texts is not None and not self._message and not self.closed:
            position = self.texts(view, position, end, self._limit, items)
        while not self.closed and end - position >= 2:
            first = view[position]
            length = view[position + 1]
            if length < 126:
                start = position + 2
                size = length
            elif length == 126:
                start = position + 4
                if start > end:
                    break
                size = (view[position + 2] << 8) | view[position + 3]
            elif length == 127:
                start = position + 10
                if start > end:
                    break
                size = _U64.unpack_from(view, position + 2)[0]
            else:
                start = size = 0
            stop = start + size
            if (
                first == _FINAL_TEXT
                and stop <= end
                and (length < 126 or (length == 126 and size > 125))
                and size <= self._limit
                and not self._message
            ):
                items.append(bytes(view[start:stop]))
                position = stop
                continue
            consumed = self._other(view, first, length, start, size, end, items)
            if not consumed:
                break
            position = consumed
        self.tail = b"" if self.closed or position >= end else bytes(view[position:end])
        return items

    def _other(
        self,
        view: memoryview,
        first: int,
        length: int,
        start: int,
        size: int,
        end: int,
        items: list[Item],
    ) -> int:
        """Parse any frame but a whole, unfragmented text. Returns the position after it, or 0 to
        wait for more bytes."""
        opcode = first & 0x0F
        wrong = self._wrong(first, length, size, opcode)
        if wrong:
            self._fail(items, PROTOCOL_ERROR, wrong)
            return 0
        stop = start + size
        if opcode >= CLOSE:
            if stop > end:
                return 0
            self._control(opcode, bytes(view[start:stop]), items)
            return stop
        fits = not self._oversized and self._size + size <= self._limit
        if stop > end and fits and size <= MAX_TAIL_BYTES:
            return 0
        if not fits and not self._oversized:
            self._oversized = True
            self._parts = [b"".join(self._parts)[:KEPT_OF_OVERSIZED_BYTES]]
        self._first = first
        self._left = size
        self._size += size
        return self._continue(view, end, items, start)

    def _wrong(self, first: int, length: int, size: int, opcode: int) -> str:
        if first & _RSV:
            return "reserved bits set without an extension"
        if length & _MASKED:
            return "masked frame from a server"
        if opcode >= CLOSE:
            if opcode > PONG:
                return "unknown control opcode"
            if not first & _FIN or length > _MAX_CONTROL_BYTES:
                return "control frame fragmented or too long"
            return ""
        if opcode > BINARY:
            return "unknown opcode"
        if (length == 126 and size < 126) or (length == 127 and not 0xFFFF < size < 1 << 63):
            return "length not in its shortest form"
        if (opcode == CONTINUATION) != self._message:
            return "continuation without a message, or a message within a message"
        return ""

    def _continue(self, view: memoryview, end: int, items: list[Item], start: int = 0) -> int:
        """Take the available bytes of the data frame in progress. Returns the position after
        them."""
        taken = min(self._left, end - start)
        stop = start + taken
        self._left -= taken
        room = KEPT_OF_OVERSIZED_BYTES - len(self._body) if self._oversized else taken
        self._body += view[start : start + min(taken, max(room, 0))]
        if self._left:
            return stop
        payload = bytes(self._body)
        self._body = bytearray()
        self._parts.append(payload)
        if self._first & _FIN:
            whole = b"".join(self._parts) if len(self._parts) > 1 else payload
            if self._oversized:
                items.append(Oversized(whole[:KEPT_OF_OVERSIZED_BYTES], self._size))
            else:
                items.append(whole)
            self._parts = []
            self._size = 0
            self._message = self._oversized = False
            return stop
        self._message = True
        if self._oversized:
            self._parts = [b"".join(self._parts)[:KEPT_OF_OVERSIZED_BYTES]]
        elif len(self._parts) > MAX_FRAGMENTS:
            self._fail(items, TOO_BIG, "too many fragments")
        return stop

    def _control(self, opcode: int, payload: bytes, items: list[Item]) -> None:
        if opcode == PING:
            items.append(Ping(payload))
        elif opcode == PONG:
            items.append(Pong(payload))
        elif not payload:
            self.closed = True
            items.append(Closed(NO_CODE, ""))
        else:
            self._close(payload, items)

    def _close(self, payload: bytes, items: list[Item]) -> None:
        if len(payload) < 2:
            self._fail(items, PROTOCOL_ERROR, "close frame with half a code")
            return
        code = _U16.unpack_from(payload)[0]
        if not (1000 <= code <= 1014 and code not in {1004, 1005, 1006}) and not (
            3000 <= code <= 4999
        ):
            self._fail(items, PROTOCOL_ERROR, f"close code {code} must not be sent")
            return
        try:
            reason = payload[2:].decode()
        except UnicodeDecodeError:
            self._fail(items, BAD_DATA, "close reason is not UTF-8")
            return
        self.closed = True
        items.append(Closed(code, reason))

    def _fail(self, items: list[Item], code: int, reason: str) -> None:
        self.closed = True
        self._parts = []
        self._body = bytearray()
        items.append(Failure(code, reason))


def encode(opcode: int, payload: bytes, mask: bytes | None = None) -> bytes:
    """One whole, masked client frame. `mask` defaults to four random bytes."""
    mask = os.urandom(4) if mask is None else mask
    size = len(payload)
    if size < 126:
        head = bytes((_FIN | opcode, _MASKED | size))
    elif size <= 0xFFFF:
        head = bytes((_FIN | opcode, _MASKED | 126)) + _U16.pack(size)
    else:
        head = bytes((_FIN | opcode, _MASKED | 127)) + _U64.pack(size)
    key = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
    return head + mask + masked.to_bytes(size, "big")


def encode_close(code: int, reason: str = "", mask: bytes | None = None) -> bytes:
    """A masked close frame; `reason` is cut to the size of a control frame."""
    text = reason.encode()[: _MAX_CONTROL_BYTES - 2].decode(errors="ignore").encode()
    return encode(CLOSE, _U16.pack(code) + text, mask)
