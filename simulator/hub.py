"""Open sockets, and how frames are sent on them. Shell: writes to transports.

A frame is encoded once for each topic, and written directly to the transport of every subscribed
socket. The buffer of a socket is bounded. If the peer reads too slowly, the socket is cut and the
cut is recorded, so one slow client cannot fill the memory.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Iterable

import msgspec
from aiohttp import web

from simulator.channels import Channel, ChannelBook
from simulator.clock import Clock
from simulator.faults import FaultBook
from simulator.frames import envelope, heartbeat, ws_frame
from simulator.garbage import payload
from simulator.ids import uuid_from

CLOSE_DEADLINE_SECONDS = 2.0
Left = Callable[[], None]
EVICTED_CODE = 1001
#: Means "no close frame came" and can never be sent (RFC 6455, section 7.4.1).
ABNORMAL_CODE = 1006


class Counters(msgspec.Struct):
    """Counts of traffic on sockets since the start."""

    frames_sent: int = 0
    bytes_sent: int = 0
    heartbeats_sent: int = 0
    sockets_opened: int = 0
    sockets_closed: int = 0
    slow_sockets_cut: int = 0
    closes: dict[str, int] = msgspec.field(default_factory=dict)


class Socket:
    """One WebSocket of a client; `number` is unique in this process."""

    def __init__(
        self,
        number: int,
        channel: Channel,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport,
    ) -> None:
        self.number = number
        self.channel = channel
        self.ws = ws
        self.transport = transport
        self.opened = time.monotonic()
        self.frames = 0
        self.stalled = False
        self.closing = False
        #: The earliest time for the next delayed frame (monotonic seconds).
        self.late_until = 0.0

    def stall(self) -> None:
        """Go silent: nothing is sent, nothing is read."""
        self.stalled = True
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def unstall(self) -> None:
        """Go on. Frames of the silent time are lost."""
        self.stalled = False
        if not self.transport.is_closing():
            self.transport.resume_reading()


class Hub:
    """The sockets of the org, by number and by channel."""

    def __init__(
        self,
        channels: ChannelBook,
        clock: Clock,
        faults: FaultBook,
        rng: random.Random,
        buffer_limit: int,
    ) -> None:
        self.channels = channels
        self.faults = faults
        self.clock = clock
        self.dead_socket_code = EVICTED_CODE
        self.counters = Counters()
        self.sockets: dict[int, Socket] = {}
        self._numbers = itertools.count(1)
        self._rng = rng
        self._buffer_limit = buffer_limit
        self._closing: set[asyncio.Task[None]] = set()

    def open(
        self, channel: Channel, ws: web.WebSocketResponse, transport: asyncio.Transport
    ) -> Socket:
        """Register a new socket, and close the channel's old socket (docs/protocol.md,
        "Channels")."""
        socket = Socket(next(self._numbers), channel, ws, transport)
        self.sockets[socket.number] = socket
        self.counters.sockets_opened += 1
        kicked = self.channels.connect(channel, socket.number, self.clock.now_ms())
        if kicked is not None and kicked in self.sockets:
            self.close(self.sockets[kicked], EVICTED_CODE, "replaced by a newer socket")
        return socket

    def gone(self, socket: Socket) -> None:
        """Note that the socket's handler has ended."""
        if self.sockets.pop(socket.number, None) is not None:
            self.counters.sockets_closed += 1
        self.channels.disconnect(socket.channel.id, socket.number, self.clock.now_ms())

    def publish(self, topics: Iterable[str], body: bytes, left: Left | None = None) -> int:
        """Send a body on each topic to its subscribers. Returns how many sockets took it.

        `left` is called after a frame was sent; a fault may delay it.
        """
        correlation = uuid_from(self._rng)
        taken = 0
        for topic in topics:
            listeners = self.channels.listeners(topic)
            if listeners:
                frame = ws_frame(envelope(topic, body, correlation))
                taken += self.broadcast(listeners, frame, left, topic)
        return taken

    def broadcast(
        self,
        channels: Iterable[Channel],
        frame: bytes,
        left: Left | None = None,
        topic: str = "",
    ) -> int:
        """Send an encoded frame to each of these channels that has a socket. Returns how many took
        it."""
        if topic and self.faults.on_delivery:
            return self._broadcast_badly(channels, frame, left, topic)
        taken = 0
        for channel in channels:
            socket = None if channel.socket is None else self.sockets.get(channel.socket)
            if socket is not None and self.write(socket, frame):
                taken += 1
        if taken and left is not None:
            left()
        return taken

    def _broadcast_badly(
        self, channels: Iterable[Channel], frame: bytes, left: Left | None, topic: str
    ) -> int:
        """The same with faults: frames are lost, late, overtaken, doubled, or followed by
        garbage."""
        now = time.monotonic()
        taken = 0
        for nth, channel in enumerate(channels):
            socket = None if channel.socket is None else self.sockets.get(channel.socket)
            if socket is None:
                continue
            plan = self.faults.delivery(topic, channel.id, channel.client_id, nth, now)
            taken += bool(plan.delays)
            for delay in plan.delays:
                due = now + delay
                if plan.ordered and (delay or socket.late_until > now):
                    due = socket.late_until = max(due, socket.late_until)
                if due <= now:
                    self._write_late(socket, frame, left)
                else:
                    loop = asyncio.get_running_loop()
                    loop.call_later(due - now, self._write_late, socket, frame, left)
            if plan.noise is not None:
                self.write(socket, ws_frame(payload(plan.noise, self.faults.rng, topic)))
        return taken

    def _write_late(self, socket: Socket, frame: bytes, left: Left | None) -> None:
        if self.write(socket, frame) and left is not None:
            left()

    def write(self, socket: Socket, frame: bytes) -> bool:
        """Write an encoded frame. Returns False if the socket cannot take it."""
        transport = socket.transport
        if socket.closing or socket.stalled or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > self._buffer_limit:
            self.counters.slow_sockets_cut += 1
            self.drop(socket, "slow")
            return False
        transport.write(frame)
        socket.frames += 1
        self.counters.frames_sent += 1
        self.counters.bytes_sent += len(frame)
        return True

    def beat(self, socket: Socket) -> None:
        """Send the heartbeat of a socket."""
        channel = socket.channel
        if self.faults.muted(channel.id, channel.client_id, time.monotonic()):
            return
        if self.write(socket, ws_frame(heartbeat())):
            self.counters.heartbeats_sent += 1

    def close(self, socket: Socket, code: int, reason: str) -> None:
        """Close with a close frame, without waiting for the peer."""
        if not socket.closing:
            self._count_close(f"{code} {reason}")
            socket.closing = True
            task = asyncio.ensure_future(self._close(socket, code, reason))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def drop(self, socket: Socket, reason: str) -> None:
        """Cut the connection without a close frame."""
        if not socket.closing:
            self._count_close(f"dropped {reason}")
        socket.closing = True
        socket.transport.abort()

    def close_channel(self, channel: Channel, reason: str, code: int | None = None) -> None:
        """Close the socket of a removed channel. Code 1006 cuts it."""
        if channel.socket is not None:
            socket = self.sockets.get(channel.socket)
            if socket is not None:
                code = self.dead_socket_code if code is None else code
                if code == ABNORMAL_CODE:
                    self.drop(socket, reason)
                else:
                    self.close(socket, code, reason)

    async def shut_down(self) -> None:
        """Close every socket as for maintenance, and wait a moment for the peers."""
        for socket in list(self.sockets.values()):
            self.close(socket, EVICTED_CODE, "going away")
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSE_DEADLINE_SECONDS)

    def _count_close(self, key: str) -> None:
        self.counters.closes[key] = self.counters.closes.get(key, 0) + 1

    @staticmethod
    async def _close(socket: Socket, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(CLOSE_DEADLINE_SECONDS):
                await socket.ws.close(code=code, message=reason.encode())
        except (TimeoutError, ConnectionError, RuntimeError):
            pass  # the peer is gone; the abort below is all that is left
        socket.transport.abort()
