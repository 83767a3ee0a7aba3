"""A WebSocket server that pushes pre-built frames as fast as they are read.

    python -m bench.parts.source PORT LAP FRAMES CONNECTIONS [CERT KEY]

It waits for so many connections, and for one byte on each (whatever the reader sends first), then
sends `FRAMES` notifications of the lap in the file `LAP`, shared out over the connections, and
closes its side. Frames are built before; sending a lap is one replacement of the ids in it and
`sendall`, so that the source is never what is measured.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from harness.traffic import LAP, Lap
from simulator.frames import ws_frame

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
BLOCK = 64 * 1024


def main() -> None:
    """Serve once, and end when all readers have gone."""
    port, path, frames, connections = int(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:5])
    context = None
    if len(sys.argv) > 5:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[5], sys.argv[6])
    lap = Lap.read(Path(path))
    with ExitStack() as stack, socket.create_server(("127.0.0.1", port), backlog=512) as server:
        print("ready", flush=True)
        readers = []
        for _ in range(connections):
            reader, _ = server.accept()
            if context is not None:
                reader = context.wrap_socket(reader, server_side=True)
            readers.append(stack.enter_context(reader))
            shake_hands(reader)
        for reader in readers:
            reader.recv(1)
        send(readers, lap, frames)
        for reader in readers:
            reader.shutdown(socket.SHUT_WR)
        for reader in readers:
            while reader.recv(65_536):
                pass


def shake_hands(reader: socket.socket) -> None:
    """Answer the upgrade."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += reader.recv(4096)
    (key,) = (
        line.partition(b":")[2].strip()
        for line in request.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    )
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    reader.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def send(readers: list[socket.socket], lap: Lap, frames: int) -> None:
    """Send so many frames, lap after lap; a reader's share of each lap stays its own."""
    shares = [lap.payloads[number :: len(readers)] for number in range(len(readers))]
    number = 0
    while frames > 0:
        blocks = []
        for share in shares:
            part = share[: max(0, frames)]
            frames -= len(part)
            filled = b"".join(map(ws_frame, part)).replace(LAP, b"%08x" % number)
            blocks.append(_cut(filled))
        number += 1
        _in_turn(readers, blocks)


def _cut(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), BLOCK):
        yield data[start : start + BLOCK]


def _in_turn(readers: list[socket.socket], blocks: list[Iterator[bytes]]) -> None:
    """A block to each reader in turn, until all have all."""
    waiting = list(zip(readers, blocks, strict=True))
    while waiting:
        left = []
        for reader, its_blocks in waiting:
            block = next(its_blocks, None)
            if block is not None:
                reader.sendall(block)
                left.append((reader, its_blocks))
        waiting = left


if __name__ == "__main__":
    main()
