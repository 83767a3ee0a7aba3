"""A WebSocket server that sends frames at a steady rate, each with the time at which it was sent.

    python -m bench.parts.paced PORT LAP RATE FRAMES [CERT KEY]

The time (nanoseconds of the machine's monotonic clock) stands where the correlation id stands, so
that it comes out of Kafka as the event's `correlation_id`. A frame that could not be sent in time,
because the reader did not take it, still carries the time at which it was due: what waits in a
socket is latency too.
"""

from __future__ import annotations

import socket
import ssl
import sys
import time
from itertools import count
from pathlib import Path

from bench.parts.source import shake_hands
from harness.traffic import LAP, Lap
from simulator.frames import ws_frame

TICK_SECONDS = 0.001
STAMP = 36  # as long as the correlation id in whose place it stands
_BEFORE = b'"CorrelationId":"'


def main() -> None:
    """Serve one reader, and end when it has gone."""
    port, path, rate, frames = int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
    lap = [_opened(payload) for payload in Lap.read(Path(path)).payloads]
    with socket.create_server(("127.0.0.1", port)) as server:
        print("ready", flush=True)
        reader, _ = server.accept()
        if len(sys.argv) > 5:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(sys.argv[5], sys.argv[6])
            reader = context.wrap_socket(reader, server_side=True)
        with reader:
            reader.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            shake_hands(reader)
            reader.recv(1)
            send(reader, lap, rate, frames)
            reader.shutdown(socket.SHUT_WR)
            while reader.recv(65_536):
                pass


def _opened(payload: bytes) -> tuple[bytes, bytes]:
    """What stands before and after the stamp."""
    head, mark, rest = payload.partition(_BEFORE)
    return head + mark, rest[STAMP:]


def send(reader: socket.socket, lap: list[tuple[bytes, bytes]], rate: float, frames: int) -> None:
    """Send what is due, tick by tick."""
    begun = time.monotonic_ns()
    sent = 0
    numbers = count()
    number = b""
    while sent < frames:
        now = time.monotonic_ns()
        due = min(frames, int((now - begun) / 1e9 * rate) + 1)  # the first at once
        blocks = []
        while sent < due:
            if sent % len(lap) == 0:
                number = b"%08x" % next(numbers)
            head, tail = lap[sent % len(lap)]
            stamp = b"%036d" % (begun + int(sent / rate * 1e9))
            blocks.append(ws_frame((head + stamp + tail).replace(LAP, number)))
            sent += 1
        if blocks:
            reader.sendall(b"".join(blocks))
        time.sleep(TICK_SECONDS)


if __name__ == "__main__":
    main()
