"""The one thread that reads all sockets, and the shortest way from there to Kafka.

    select → recv_into a shared buffer → parse frames → normalise → produce

All blocking work happens in other threads: `Executor` runs it in workers, and `Beats` talks to
Redis in a thread of its own. Both only post to the loop's bounded inbox and wake it. So a hanging
Redis or REST API never delays a frame (I7).
"""

from __future__ import annotations

import math
import selectors
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from listeners.channels.actions import Close, SendPing
from listeners.channels.channel import Channel, fields
from listeners.channels.executor import Executor, Outcome
from listeners.channels.session import Session, Step
from listeners.channels.topic_list import Missed
from listeners.counters import Counters
from listeners.publish.extent import Lost
from listeners.publish.publisher import Publisher
from listeners.receive.complaints import Complaints, dark
from listeners.receive.connection import Connection
from listeners.receive.frames import (
    GOING_AWAY,
    NORMAL,
    PONG,
    TEXT,
    Closed,
    Failure,
    Item,
    Ping,
    encode_close,
)
from listeners.receive.inbox import Inbox, Message
from listeners.receive.intake import Intake
from listeners.receive.loop_state import LoopState
from listeners.receive.native import Native
from listeners.receive.system_messages import RENEW
from mirror.base.log import logger
from mirror.conversation.normaliser import Normaliser
from mirror.fleet.words import Assignment, Shard
from mirror.genesys.handles import shorten

READ_BUFFER_BYTES: Final = 256 * 1024
READ_SECONDS: Final = 0.01  # per pass; the next pass reads the other sockets
SESSION_EVERY_SECONDS: Final = 0.05
SLOW_SECONDS: Final = 0.1
STALL_SECONDS: Final = 1.0
GENESYS_PING: Final = b'{"message":"ping"}'


class Loop:
    """Owns the sockets and the session.

    Other threads call `post`, `assign`, `call`, `settle` and `stop`, and read `state`. All other
    methods, and the session's data, belong to the thread of `run`.
    """

    def __init__(
        self,
        session: Session,
        normaliser: Normaliser,
        publisher: Publisher,
        counters: Counters,
        *,
        native: Native | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`native`, if given, reads frames first. It must wrap this `normaliser`."""
        self.session = session
        self.counters = counters
        self.state = LoopState(at=clock(), version=0)
        self._publisher = publisher
        self._normaliser: Normaliser | Native = normaliser if native is None else native
        self._native = native
        self.intake = Intake(normaliser, publisher, counters, self._asked, native)
        self._interruptions = 0  # the session's interruptions that the normaliser knows
        self._clock = clock
        self._log = logger("listener")
        self._selector = selectors.DefaultSelector()
        self._view = memoryview(bytearray(READ_BUFFER_BYTES))
        self._connections: dict[Channel, Connection] = {}
        # Channels to read, the longest waiting first. select does not see all of their bytes.
        self._unread: dict[Channel, None] = {}
        self._complaints = Complaints()
        self._inbox = Inbox()
        self._selector.register(self._inbox.woken, selectors.EVENT_READ, None)
        self._interactions_lost = 0  # at the last look
        self._ticked_at = 0.0  # the publisher's last tick
        self._session_at = clock()
        self._stopping = threading.Event()
        self.executor: Executor | None = None

    # -- from other threads ----------------------------------------------------------------------

    def post(self, channel: Channel, outcome: Outcome) -> None:
        """Pass the outcome of an action to its channel."""
        self._inbox.put(lambda now: [(channel, action) for action in outcome(now)])

    def assign(self, assignment: Assignment, shards: dict[str, Shard]) -> None:
        """Pass the leader's assignment to the session."""
        self._inbox.put(lambda now: self.session.assign(assignment, shards, now))

    def call(self, function: Message) -> None:
        """Have `function` called with `now`; the steps it returns are carried out."""
        self._inbox.put(function)

    def settle(self, lost: Lost) -> None:
        """Tell the publisher that a gap is filed for a spool's loss."""

        def settle(_now: float) -> list[Step]:
            self._publisher.settle(lost)
            return []

        self._inbox.put(settle)

    def filed(self, missed: Missed) -> None:
        """Tell the session that a gap is filed for a channel's missed topics."""

        def filed(_now: float) -> list[Step]:
            self.session.filed(missed)
            return []

        self._inbox.put(filed)

    def stop(self) -> None:
        """End `run` after its present pass."""
        self._stopping.set()
        self._inbox.wake()

    # -- the loop --------------------------------------------------------------------------------

    def run(self) -> None:
        """Work until `stop`."""
        clock = self._clock
        self._stopping.clear()
        while not self._stopping.is_set():
            tick_seconds = self._publisher.tick_seconds
            timeout = 0.0 if self._unread else tick_seconds
            ready = self._selector.select(timeout)
            started = clock()
            late = self._is_late(started)
            self._read_ready(ready, math.inf if late else started + READ_SECONDS)
            self._read_inbox()
            now = clock()
            if now >= self._ticked_at + tick_seconds:
                self._ticked_at = now
                self._publisher.tick(now)
            # After a stall of this loop, all sockets are read before any is judged silent.
            if now >= self._session_at and (late or not self._is_late(now)):
                self._session_at = now + SESSION_EVERY_SECONDS
                self._do(self.session.tick(now), now)
                self._update_state(now)
            passed = clock() - started
            self.counters.read_seconds += passed
            if passed > SLOW_SECONDS:
                self.counters.slow += 1
            if passed > STALL_SECONDS:
                self.counters.stalls += 1
                self._log.warning("loop_stalled", seconds=round(passed, 3))

    def _is_late(self, now: float) -> bool:
        """Whether the session's last tick is longer ago than a stall."""
        return now - self._session_at > STALL_SECONDS - SESSION_EVERY_SECONDS

    def _read_ready(self, ready: list[tuple[selectors.SelectorKey, int]], until: float) -> None:
        for key, mask in ready:
            channel = key.data
            if channel is None:
                self._inbox.clear_wake()
                continue
            if mask & selectors.EVENT_WRITE:
                self._flush(channel)
            if mask & selectors.EVENT_READ:
                self._unread.setdefault(channel)
        for channel in list(self._unread):
            self._unread.pop(channel, None)
            if self._read(channel):
                self._unread[channel] = None
            if self._clock() >= until:
                return

    def _read_inbox(self) -> None:
        for message in self._inbox.take():
            now = self._clock()
            self._do(message(now), now)

    # -- frames ----------------------------------------------------------------------------------

    def _read(self, channel: Channel) -> bool:
        """Read a channel's bytes, as many as the buffer holds. Returns whether more may wait."""
        connection = self._connections.get(channel)
        if connection is None:
            return False
        try:
            items, count, more = connection.read(self._view)
        except (OSError, EOFError) as error:
            self._log.warning("socket_lost", **fields(channel), error=type(error).__name__)
            self._lose(channel)
            return False
        if count:
            self.counters.bytes += count
            self._take(channel, connection, items)
        return more and channel in self._connections

    def _take(self, channel: Channel, connection: Connection, items: list[Item]) -> None:
        now = self._clock()
        if channel.phase == "live":
            channel.last_frame = now
        else:
            self._do([(channel, action) for action in channel.traffic(now)], now)
            self._do(self.session.settle(now), now)
        self.intake.take(channel, items, now, partial(self._control, channel, connection))

    def _asked(self, channel: Channel, asked: str, now: float) -> None:
        """Carry out the request of a system message."""
        if asked == RENEW:
            self._do([(channel, action) for action in channel.renew(now)], now)
        else:
            channel.request_rotation(asked, now)

    def _control(self, channel: Channel, connection: Connection, item: Item) -> None:
        match item:
            case Ping(payload):
                self._send(channel, PONG, payload)
            case Closed(code, reason):
                self._log.info("socket_closed", **fields(channel), code=code, reason=reason[:100])
                self._say_close(connection, NORMAL if code < 1000 or code == 1005 else code)
                self._lose(channel)
            case Failure(code, reason):
                self.counters.protocol_errors += 1
                self._log.warning("protocol_error", **fields(channel), reason=reason)
                self._say_close(connection, code)
                self._lose(channel)

    # -- sockets ---------------------------------------------------------------------------------

    def opened(self, channel: Channel, sock: socket.socket, number: int) -> None:
        """Take a fresh socket, unless the channel no longer waits for it."""
        if not channel.awaits(number):
            sock.close()
            return
        self._drop(channel)
        connection = self._connections[channel] = Connection(sock)
        if self._native is not None:
            connection.parser.texts = self._native.texts
        self._selector.register(connection, selectors.EVENT_READ, channel)
        self.counters.connects += 1
        if channel.connects:
            self.counters.reconnects += 1
        self._unread[channel] = None  # TLS may hold bytes that came with the handshake
        self._log.info(
            "socket_opened",
            **fields(channel),
            channel=shorten(channel.handle.id) if channel.handle else "",
        )

    def _do(self, steps: list[Step], now: float) -> None:
        """Carry out steps, and those that follow from them."""
        for channel, action in steps:
            match action:
                case SendPing():
                    self._send(channel, TEXT, GENESYS_PING)
                case Close():
                    connection = self._connections.get(channel)
                    if connection is not None:
                        ending = channel.phase == "closed"
                        self._say_close(connection, NORMAL if ending else GOING_AWAY)
                        self._drop(channel)
                case _:
                    assert self.executor is not None
                    self.executor.run(channel, action)
        if steps:
            self._do(self.session.settle(now), now)
        elif self.session.interruptions != self._interruptions:
            self._interruptions = self.session.interruptions
            self._normaliser.interrupted()

    def _send(self, channel: Channel, opcode: int, payload: bytes) -> None:
        connection = self._connections.get(channel)
        if connection is None:
            return
        try:
            connection.send(opcode, payload)
        except OSError as error:
            self._log.warning("socket_lost", **fields(channel), error=type(error).__name__)
            self._lose(channel)
            return
        self._watch_writes(channel, connection)

    def _flush(self, channel: Channel) -> None:
        connection = self._connections.get(channel)
        if connection is None:
            return
        try:
            connection.flush()
        except OSError as error:
            self._log.warning("socket_lost", **fields(channel), error=type(error).__name__)
            self._lose(channel)
            return
        self._watch_writes(channel, connection)

    def _watch_writes(self, channel: Channel, connection: Connection) -> None:
        events = selectors.EVENT_READ
        if connection.wants_to_write:
            events |= selectors.EVENT_WRITE
        self._selector.modify(connection, events, channel)

    def _say_close(self, connection: Connection, code: int) -> None:
        try:
            connection.send_raw(encode_close(code))
        except OSError:
            return  # we close it in any case

    def _lose(self, channel: Channel) -> None:
        self._drop(channel)
        now = self._clock()
        self._do([(channel, action) for action in channel.socket_lost(now)], now)

    def _drop(self, channel: Channel) -> None:
        connection = self._connections.pop(channel, None)
        self._unread.pop(channel, None)
        if connection is not None:
            self._selector.unregister(connection)
            connection.close()

    # -- what others see -------------------------------------------------------------------------

    @property
    def dead_share(self) -> float:
        """The share of the last minute's frames that became dead letters, 0 to 1."""
        return self._complaints.dead_share

    def _update_state(self, now: float) -> None:
        channels = self.session.channels()
        # A spool that is nearly full may refuse records and take some again between two looks.
        before, self._interactions_lost = self._interactions_lost, self._publisher.interactions_lost
        refuses = self._publisher.refusing_since is not None or self._interactions_lost > before
        for channel in channels:
            if refuses:
                channel.uncover()
            else:
                channel.cover(now)
        for channel in self._complaints.look(channels, now):
            self._log.error("many_dead_letters", **fields(channel))
        self.counters.rotations = self.session.rotations
        kept_until = self._publisher.durable_at()
        self.state = LoopState(
            at=now,
            version=self.session.version,
            seats=len(self.session.seats),
            open_channels=len(channels),
            channels=self.session.reports(now, kept_until),
            reasons=self._complaints.sentences(self._publisher, self.counters.held),
            dark=dark(self.session.dark(now)),
            spool_records=self.counters.spool_records,
            spool_bytes=self.counters.spool_bytes,
            native="off" if self._native is None else self._native.state,
            losses=self._publisher.losses,
            missed=tuple(self.session.missed),
        )

    def close(self) -> None:
        """Close all sockets. After the last `run`."""
        for channel in list(self._connections):
            self._say_close(self._connections[channel], GOING_AWAY)
            self._drop(channel)
        self._selector.close()
        self._inbox.close()
