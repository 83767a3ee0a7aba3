"""Carries out striking faults on sockets, channels, tokens, conversations and the clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from aiohttp import web

from simulator.channels import Channel
from simulator.faults import GARBAGE_KINDS, STRIKING, Fault, FaultBook, selects
from simulator.frames import envelope, socket_closing, ws_frame
from simulator.garbage import payload
from simulator.hub import EVICTED_CODE, Socket
from simulator.ids import uuid_from
from simulator.world import World

CLOSING_GRACE_MS = 60_000
CHECK_SECONDS = 0.02
_T = TypeVar("_T")


class Saboteur:
    """Carries out the striking faults of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._faults: FaultBook = world.faults
        self._due: dict[int, float] = {}
        self._later: set[asyncio.TimerHandle] = set()

    def apply(self, fault: Fault) -> int:
        """Switch a fault on. Returns how many targets it struck at once."""
        now = time.monotonic()
        if fault.fault in STRIKING and fault.every is None:
            return self._strike(fault)
        self._faults.add(fault, now)
        if fault.every is not None:
            self._due[fault.id] = now + fault.every
        return 0

    async def run(self) -> None:
        """Strike repeated faults when they are due, until cancelled."""
        while True:
            now = time.monotonic()
            for fault in self._faults.all():
                due = self._due.get(fault.id)
                if due is not None and fault.every is not None and due <= now:
                    self._due[fault.id] = now + fault.every
                    self._strike(fault)
                    fault.hits += 1
            await asyncio.sleep(CHECK_SECONDS)

    def _strike(self, fault: Fault) -> int:
        if fault.fault == "clock":
            self._world.clock.change(fault.ms or 0)
            return 1
        if fault.fault == "forget":
            return self._world.engine.forget(fault.conversation_id)
        if fault.fault == "revoke":
            return self._revoke(fault)
        if fault.fault in ("evict", "expire", "resubscribe", "wipe"):
            return self._strike_channels(fault)
        deeds: dict[str, Callable[[Fault, Socket], None]] = {
            "drop": self._drop,
            "close": self._close,
            "kick": self._kick,
            "stall": self._stall,
            "closing": self._closing,
            "garbage": self._garbage,
        }
        sockets = [s for s in self._world.hub.sockets.values() if self._hit(fault, s.channel)]
        chosen = self._choose(fault, sockets)
        for socket in chosen:
            deeds[fault.fault](fault, socket)
        return len(chosen)

    def _strike_channels(self, fault: Fault) -> int:
        channels = [c for c in self._world.channels.all() if self._hit(fault, c)]
        chosen = self._choose(fault, channels)
        for channel in chosen:
            if fault.fault == "resubscribe":
                topic = f"v2.system.no_longer_subscribed.{channel.id}"
                body = b'{"channelId":"%b","reason":"another_channel_subscribed"}'
                frame = envelope(topic, body % channel.id.encode(), self._uuid())
                self._world.hub.broadcast([channel], ws_frame(frame))
                continue
            if fault.fault == "wipe":
                self._world.channels.unsubscribe(channel, None, self._world.clock.now_ms())
                continue
            self._world.channels.remove(channel.id)
            self._world.hub.close_channel(channel, f"channel {fault.fault}ed")
        return len(chosen)

    def _revoke(self, fault: Fault) -> int:
        clients = [fault.client] if fault.client else list(self._world.tokens.clients)
        gone = {t.value for client in clients for t in self._world.tokens.revoke(client)}
        for channel in self._world.channels.all():
            if channel.token.value in gone:
                self._world.channels.remove(channel.id)
                self._world.hub.close_channel(channel, "token revoked")
        return len(gone)

    def _drop(self, _: Fault, socket: Socket) -> None:
        self._world.hub.drop(socket, "by fault")

    def _close(self, fault: Fault, socket: Socket) -> None:
        self._world.hub.close(socket, fault.code, fault.reason)

    def _kick(self, _: Fault, socket: Socket) -> None:
        self._world.hub.close(socket, EVICTED_CODE, "replaced by a newer socket")

    def _stall(self, fault: Fault, socket: Socket) -> None:
        socket.stall()
        if fault.seconds is not None:
            self._after(fault.seconds, socket.unstall)

    def _closing(self, fault: Fault, socket: Socket) -> None:
        frame = ws_frame(socket_closing(socket.channel.id, self._uuid()))
        self._world.hub.write(socket, frame)
        grace = (CLOSING_GRACE_MS if fault.ms is None else fault.ms) / 1000
        hub = self._world.hub
        self._after(grace, lambda: hub.close(socket, fault.code, "maintenance"))

    def _garbage(self, fault: Fault, socket: Socket) -> None:
        topics = [plain for names in socket.channel.topics.values() for plain in names]
        topic = self._faults.rng.choice(topics) if topics else "v2.users.nobody.conversations"
        kinds = [fault.kind] if fault.kind else list(GARBAGE_KINDS)
        for kind in kinds:
            self._world.hub.write(socket, ws_frame(payload(kind, self._faults.rng, topic)))

    def _hit(self, fault: Fault, channel: Channel) -> bool:
        if not selects(fault, channel.id, channel.client_id):
            return False
        if fault.topic is None:
            return True
        wanted = fault.topic.lower()
        return any(wanted in plain for plain in channel.topics.values())

    def _choose(self, fault: Fault, found: list[_T]) -> list[_T]:
        """A random selection of `found`, by the fault's `count` and `share`."""
        if fault.share < 1.0:
            found = [item for item in found if self._faults.rng.random() < fault.share]
        if fault.count is not None and fault.count < len(found):
            found = self._faults.rng.sample(found, fault.count)
        return found

    def _after(self, seconds: float, deed: Callable[[], None]) -> None:
        def run() -> None:
            self._later.discard(handle)
            deed()

        handle = asyncio.get_running_loop().call_later(seconds, run)
        self._later.add(handle)

    def _uuid(self) -> str:
        return uuid_from(self._faults.rng)


SABOTEUR = web.AppKey("saboteur", Saboteur)
