"""Open sockets, and the way frames leave on them. Shell: writes to transports.

A frame is encoded once for each topic and written straight to the transport of every socket that
is subscribed. A socket whose peer does not read has a bounded buffer; past it the socket is cut
off and that is recorded, so that one slow client cannot fill the memory.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterable

import msgspec
from aiohttp import web

from simulator.channels import Channel, ChannelBook
from simulator.clock import Clock
from simulator.frames import envelope, heartbeat, ws_frame
from simulator.ids import uuid_from

CLOSE_DEADLINE_SECONDS = 2.0
EVICTED_CODE = 1001


class Counters(msgspec.Struct):
    """What went over sockets since the start."""

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


class Hub:
    """The sockets of the org, by number and by channel."""

    def __init__(
        self, channels: ChannelBook, clock: Clock, rng: random.Random, buffer_limit: int
    ) -> None:
        self.channels = channels
        self.clock = clock
        self.counters = Counters()
        self.sockets: dict[int, Socket] = {}
        self._numbers = itertools.count(1)
        self._rng = rng
        self._buffer_limit = buffer_limit
        self._closing: set[asyncio.Task[None]] = set()

    def open(
        self, channel: Channel, ws: web.WebSocketResponse, transport: asyncio.Transport
    ) -> Socket:
        """Take a new socket in; the channel's former socket is put out (section 2.2)."""
        socket = Socket(next(self._numbers), channel, ws, transport)
        self.sockets[socket.number] = socket
        self.counters.sockets_opened += 1
        kicked = self.channels.connect(channel, socket.number, self.clock.now_ms())
        if kicked is not None and kicked in self.sockets:
            self.close(self.sockets[kicked], EVICTED_CODE, "replaced by a newer socket")
        return socket

    def gone(self, socket: Socket) -> None:
        """The socket's handler has ended."""
        if self.sockets.pop(socket.number, None) is not None:
            self.counters.sockets_closed += 1
        self.channels.disconnect(socket.channel.id, socket.number, self.clock.now_ms())

    def publish(self, topics: Iterable[str], body: bytes) -> int:
        """Send a body under each topic to all who listen; on how many sockets it left."""
        correlation = uuid_from(self._rng)
        sent = 0
        for topic in topics:
            listeners = self.channels.listeners(topic)
            if listeners:
                sent += self.broadcast(listeners, ws_frame(envelope(topic, body, correlation)))
        return sent

    def broadcast(self, channels: Iterable[Channel], frame: bytes) -> int:
        """Send an encoded frame to each of these channels that has a socket."""
        sent = 0
        for channel in channels:
            if channel.socket is not None:
                socket = self.sockets.get(channel.socket)
                if socket is not None and self.write(socket, frame):
                    sent += 1
        return sent

    def write(self, socket: Socket, frame: bytes) -> bool:
        """Write an encoded frame; false when the socket cannot take it."""
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
        """Send the heartbeat of one socket."""
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

    def drop(self, socket: Socket, why: str) -> None:
        """Cut the connection without a close frame."""
        if not socket.closing:
            self._count_close(f"dropped {why}")
        socket.closing = True
        socket.transport.abort()

    def close_channel(self, channel: Channel, reason: str, code: int = EVICTED_CODE) -> None:
        """Close the socket of a channel that is no more."""
        if channel.socket is not None:
            socket = self.sockets.get(channel.socket)
            if socket is not None:
                self.close(socket, code, reason)

    async def shut_down(self) -> None:
        """Close every socket as for maintenance, and wait a little for the peers."""
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
            pass  # the peer is gone already; aborting below is all that is left to do
        socket.transport.abort()
