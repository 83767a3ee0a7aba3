"""The one thread that reads all sockets, and the shortest way from there to Kafka.

    select → recv_into a shared buffer → cut frames → normalise → produce

Everything that blocks happens elsewhere: `Actions` runs it in workers, `Beats` talks to Redis in a
thread of its own, and both only post to the loop's bounded inbox and wake it. So a Redis or a REST
that hangs never delays a frame (I7).
"""

from __future__ import annotations

import math
import selectors
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import PurePath
from queue import Empty, Full, Queue
from traceback import extract_tb
from typing import Final

import msgspec

from listeners.channels.actions import Close, SendPing
from listeners.channels.channel import Channel
from listeners.channels.executor import Actions, Outcome
from listeners.channels.session import Session, Step
from listeners.counters import Counters
from listeners.publish.dead_letters import DeadLetterWatch
from listeners.publish.extent import Lost
from listeners.publish.publisher import Publisher
from listeners.receive.connection import Connection
from listeners.receive.frames import (
    GOING_AWAY,
    NORMAL,
    PONG,
    TEXT,
    Closed,
    Failure,
    Item,
    Oversized,
    Ping,
    encode_close,
)
from mirror.base.log import logger
from mirror.conversation.normaliser import Normaliser, Reading
from mirror.fleet.words import Assignment, ChannelReport, Shard
from mirror.genesys.handles import shorten

READ_BUFFER: Final = 256 * 1024
READ_SECONDS: Final = 0.01  # of a pass; sockets that are still unread then are the next one's
INBOX: Final = 4_096
POST_TIMEOUT: Final = 10.0
SESSION_EVERY: Final = 0.05
PUBLISH_EVERY: Final = 0.005
IDLE: Final = 0.05
SLOW: Final = 0.1
STALL: Final = 1.0
MAX_LOGGED_TOPICS: Final = 1_000
MAX_LOGGED_MEDIA: Final = 20
GENESYS_PING: Final = b'{"message":"ping"}'

# What a system topic asks for; compared without case (genesys/README sections 2.2, 3.5).
_ROTATE: Final = {
    "v2.system.socket_closing": "socket_closing",
    "v2.system.no_longer_subscribed": "no_longer_subscribed",
    "v2.system.token_revoked": "token_revoked",
}
_RENEW: Final = "streaming-subscriptions-expiring"


class Snapshot(msgspec.Struct, frozen=True):
    """What the loop says of itself for the next beat; `at` is monotonic seconds."""

    at: float
    version: int
    channels: tuple[ChannelReport, ...] = ()
    reasons: tuple[str, ...] = ()
    spool_records: int = 0
    spool_bytes: int = 0
    losses: tuple[Lost, ...] = ()  # of damaged spools, to be filed as gaps


class Loop:
    """Owns the sockets. All methods but `post`, `assign` and `stop` belong to its thread."""

    def __init__(
        self,
        session: Session,
        normaliser: Normaliser,
        publisher: Publisher,
        counters: Counters,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.session = session
        self.counters = counters
        self.snapshot = Snapshot(at=clock(), version=0)
        self._publisher = publisher
        self._normaliser = normaliser
        self._normalise = normaliser.frame
        self._interruptions = 0  # of the session's, those that the normaliser knows of
        self._clock = clock
        self._log = logger("listener")
        self._selector = selectors.DefaultSelector()
        self._view = memoryview(bytearray(READ_BUFFER))
        self._connections: dict[Channel, Connection] = {}
        # To be read, the one that has waited longest first. Not all their bytes can select see.
        self._unread: dict[Channel, None] = {}
        self._watches: dict[Channel, DeadLetterWatch] = {}
        self._bad: set[Channel] = set()
        self.dead_share = 0.0  # of the last minute's frames, those that became dead letters
        self._unknown: set[str] = set()
        self._strange: set[str] = set()
        self._inbox: Queue[Callable[[float], list[Step]]] = Queue(INBOX)
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self._publish_at = 0.0
        self._session_at = clock()
        self._stopping = threading.Event()
        self.actions: Actions | None = None

    # -- from other threads ----------------------------------------------------------------------

    def post(self, channel: Channel, outcome: Outcome) -> None:
        """Tell a channel the outcome of an action."""
        self._put(lambda now: [(channel, action) for action in outcome(now)])

    def assign(self, assignment: Assignment, shards: dict[str, Shard]) -> None:
        """Tell the session the leader's word."""
        self._put(lambda now: self.session.assign(assignment, shards, now))

    def call(self, function: Callable[[float], list[Step]]) -> None:
        """Have `function` called with `now`; the steps it returns are carried out."""
        self._put(function)

    def settle(self, lost: Lost) -> None:
        """Tell the publisher that a gap is filed for what a spool lost."""

        def settle(_now: float) -> list[Step]:
            self._publisher.settle(lost)
            return []

        self._put(settle)

    def stop(self) -> None:
        """End `run` after its present pass."""
        self._stopping.set()
        self._wake()

    def _put(self, message: Callable[[float], list[Step]]) -> None:
        try:
            self._inbox.put(message, timeout=POST_TIMEOUT)
        except Full:
            # The loop has hung for seconds; beats stop then too, and the leader acts.
            self._log.error("inbox_full")
        self._wake()

    def _wake(self) -> None:
        try:
            self._waker.send(b"\0")
        except BlockingIOError:  # it is being woken already
            return
        except OSError:  # closed: the process is ending
            return

    # -- the loop --------------------------------------------------------------------------------

    def run(self) -> None:
        """Work until `stop`."""
        clock = self._clock
        self._stopping.clear()
        while not self._stopping.is_set():
            timeout = 0.0 if self._unread else self._timeout()
            ready = self._selector.select(timeout)
            started = clock()
            late = self._is_late(started)
            self._read_ready(ready, math.inf if late else started + READ_SECONDS)
            self._read_inbox()
            now = clock()
            if now >= self._publish_at:
                self._publish_at = now + PUBLISH_EVERY
                self._publisher.tick(now)
            # Behind a stall every socket is read before any is judged silent: the silence was ours.
            if now >= self._session_at and (late or not self._is_late(now)):
                self._session_at = now + SESSION_EVERY
                self._do(self.session.tick(now), now)
                self._take_snapshot(now)
            passed = clock() - started
            self.counters.read_seconds += passed
            if passed > SLOW:
                self.counters.slow += 1
            if passed > STALL:
                self.counters.stalls += 1
                self._log.warning("loop_stalled", seconds=round(passed, 3))

    def _is_late(self, now: float) -> bool:
        """Whether the session last judged longer ago than a stall."""
        return now - self._session_at > STALL - SESSION_EVERY

    def _timeout(self) -> float:
        return PUBLISH_EVERY if self._publisher.is_busy else IDLE

    def _read_ready(self, ready: list[tuple[selectors.SelectorKey, int]], until: float) -> None:
        for key, mask in ready:
            channel = key.data
            if channel is None:
                self._clear_wake()
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

    def _clear_wake(self) -> None:
        try:
            while self._woken.recv(4096):
                pass
        except BlockingIOError:
            return

    def _read_inbox(self) -> None:
        for _ in range(INBOX):
            try:
                message = self._inbox.get_nowait()
            except Empty:
                return
            now = self._clock()
            self._do(message(now), now)

    # -- frames ----------------------------------------------------------------------------------

    def _read(self, channel: Channel) -> bool:
        """Read what has arrived for a channel, as far as the buffer holds it; whether more has."""
        connection = self._connections.get(channel)
        if connection is None:
            return False
        try:
            items, count, more = connection.read(self._view)
        except (OSError, EOFError) as error:
            self._log.warning("socket_lost", **_fields(channel), error=type(error).__name__)
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
        received_at = datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
        publish = self._publisher.events
        normalise = self._normalise
        events = frames = 0
        latest = None
        for item in items:
            if type(item) is not bytes:
                self._other(channel, connection, item)
                continue
            frames += 1
            try:
                reading = normalise(item, received_at, now)
            except Exception as error:  # noqa: BLE001 - see below
                # A frame that meets a bug of ours must not cost the frames behind it.
                # Its text may quote the frame, so only its kind and place are told.
                kind = type(error).__name__
                self._log.error("normaliser_failed", error=kind, at=_place(error))
                self._bury(channel, item, None, "conversation", kind, "")
                continue
            if reading.events:
                latest = reading.events[-1]
                events += len(reading.events)
                publish(reading.events)
            if reading.problem is not None or reading.kind != "conversation":
                self._judge(channel, item, reading, now)
        if latest is not None:
            self._publisher.mark(now, latest)
        channel.frames += frames
        channel.events += events
        self.counters.frames += frames
        self.counters.events += events

    def _judge(self, channel: Channel, raw: bytes, reading: Reading, now: float) -> None:
        """A frame that is more, or other, than a conversation."""
        counters = self.counters
        problem = reading.problem
        if problem is not None:
            self._bury(channel, raw, reading.topic, problem.stage, problem.error, problem.message)
        if reading.strange:
            counters.unknown_media += 1
            for medium in sorted(reading.strange - self._strange):
                if len(self._strange) < MAX_LOGGED_MEDIA:
                    self._strange.add(medium)
                    self._log.warning("unknown_medium", medium=medium)
        if reading.agents:
            self._publisher.agents(reading.agents)
        if reading.kind in {"heartbeat", "pong"}:
            counters.heartbeats += 1
        elif reading.kind == "system":
            counters.system_frames += 1
            self._system(channel, (reading.topic or "").lower(), now)
        elif reading.kind == "unknown":
            counters.unknown_frames += 1
            topic = reading.topic or ""
            if topic not in self._unknown and len(self._unknown) < MAX_LOGGED_TOPICS:
                self._unknown.add(topic)
                self._log.warning("unknown_topic", topic=topic[:200])

    def _system(self, channel: Channel, topic: str, now: float) -> None:
        self._log.info("system_message", **_fields(channel), topic=topic[:100])
        if topic == _RENEW:
            self._do([(channel, action) for action in channel.renew(now)], now)
        for prefix, reason in _ROTATE.items():
            if topic.startswith(prefix):
                channel.wish_rotation(reason, now)

    def _bury(
        self,
        channel: Channel,
        raw: bytes,
        topic: str | None,
        stage: str,
        error: str,
        message: str,
        size: int | None = None,
    ) -> None:
        channel.dead_letters += 1
        self._publisher.dead_letter(
            raw, source_topic=topic, stage=stage, error=error, message=message, size=size
        )

    def _other(self, channel: Channel, connection: Connection, item: Item) -> None:
        match item:
            case Ping(payload):
                self._send(channel, PONG, payload)
            case Oversized(head, size):
                channel.frames += 1
                self.counters.frames += 1
                self._bury(
                    channel,
                    head,
                    None,
                    "frame",
                    "FrameTooLarge",
                    f"a message of {size} bytes",
                    size,
                )
            case Closed(code, reason):
                self._log.info("socket_closed", **_fields(channel), code=code, reason=reason[:100])
                self._say_close(connection, NORMAL if code < 1000 or code == 1005 else code)
                self._lose(channel)
            case Failure(code, reason):
                self.counters.protocol_errors += 1
                self._log.warning("protocol_error", **_fields(channel), reason=reason)
                self._say_close(connection, code)
                self._lose(channel)

    # -- sockets ---------------------------------------------------------------------------------

    def opened(self, channel: Channel, connection: Connection, number: int) -> None:
        """Take a fresh connection, unless the channel no longer waits for it."""
        if not channel.awaits(number):
            connection.close()
            return
        self._drop(channel)
        self._connections[channel] = connection
        self._selector.register(connection, selectors.EVENT_READ, channel)
        self.counters.connects += 1
        if channel.connects:
            self.counters.reconnects += 1
        self._unread[channel] = None  # TLS may hold bytes that came with the handshake
        self._log.info(
            "socket_opened",
            **_fields(channel),
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
                    assert self.actions is not None
                    self.actions.run(channel, action)
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
            self._log.warning("socket_lost", **_fields(channel), error=type(error).__name__)
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
            self._log.warning("socket_lost", **_fields(channel), error=type(error).__name__)
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
            return  # it is closed by us in any case

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

    def _take_snapshot(self, now: float) -> None:
        channels = self.session.channels()
        refusing = self._publisher.refusing_since
        for channel in channels:
            if refusing is not None:
                channel.uncover()
            else:
                channel.cover(now)
        self._watch_dead_letters(channels, now)
        self.counters.rotations = self.session.rotations
        kept_until = self._publisher.durable_at()
        self.snapshot = Snapshot(
            at=now,
            version=self.session.version,
            channels=self.session.reports(now, kept_until),
            reasons=self._reasons(),
            spool_records=self.counters.spool_records,
            spool_bytes=self.counters.spool_bytes,
            losses=self._publisher.losses,
        )

    def _watch_dead_letters(self, channels: list[Channel], now: float) -> None:
        all_frames = all_dead = 0
        for channel in channels:
            watch = self._watches.setdefault(channel, DeadLetterWatch())
            watch.update(now, channel.frames, channel.dead_letters)
            frames, dead = watch.counts()
            all_frames, all_dead = all_frames + frames, all_dead + dead
            bad = watch.is_bad()
            if bad and channel not in self._bad:
                self._bad.add(channel)
                self._log.error("many_dead_letters", **_fields(channel))
            elif not bad:
                self._bad.discard(channel)
        self.dead_share = all_dead / all_frames if all_frames else 0.0
        if len(self._watches) > len(channels):
            held = set(channels)
            self._watches = {c: watch for c, watch in self._watches.items() if c in held}
            self._bad &= held

    def _reasons(self) -> tuple[str, ...]:
        reasons = [
            f"more than a tenth of the frames of shard {channel.grant.shard} "
            f"replica {channel.grant.replica} are dead letters"
            for channel in self._bad
        ]
        publisher = self._publisher
        reasons += publisher.reasons
        if held := self.counters.held:
            reasons.append(f"the spool's disk refuses: {held} records wait in memory")
        if publisher.refusing_since is not None:
            reasons.append("the spool is full or cannot be written: events are being lost")
        return tuple(reasons)

    def close(self) -> None:
        """Close all sockets. After the last `run`."""
        for channel in list(self._connections):
            self._say_close(self._connections[channel], GOING_AWAY)
            self._drop(channel)
        self._selector.close()
        self._waker.close()
        self._woken.close()


def _fields(channel: Channel) -> dict[str, object]:
    grant = channel.grant
    return {"shard": grant.shard, "replica": grant.replica, "epoch": grant.epoch}


def _place(error: Exception) -> str:
    """Where an error was raised, as `file.py:line`."""
    frames = extract_tb(error.__traceback__)
    return f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
