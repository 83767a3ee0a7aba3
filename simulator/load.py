"""Load: pre-built frames, sent at a requested rate, for benchmarks of receivers.

Scripts are played once at the start. Their frames are encoded with placeholders for the ids of the
topic and the conversation. Each lane sends the frames of a script in order with a new conversation
id, then begins another script. So every frame causes the transitions that it would cause in
production, and building a frame costs only a join. A lane waits while one of its sockets has much
unsent data. Nothing is dropped, and no socket is cut.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import msgspec

from simulator.frames import encode_body, envelope, ws_frame
from simulator.ids import uuid_from
from simulator.ledger import Ledger, Witness
from simulator.model import Conversation
from simulator.org import Org, Staff
from simulator.scenarios import SCENARIOS, Playbill, Stage
from simulator.shapes import nested

if TYPE_CHECKING:
    from simulator.channels import Channel
    from simulator.hub import Hub, Socket

SCRIPTS = 60
DEFAULT_LANES = 1000
MAX_LANES = 100_000
TICK_SECONDS = 0.004
#: Frames in a row before other tasks run.
BURST = 2000
#: How many bytes may wait on a socket before its lanes wait.
HIGH_WATER_BYTES = 1024 * 1024
TOPICS_SECONDS = 1.0
_ID_LENGTH = 36
_TOPIC_HOLE = b"t" * _ID_LENGTH
_CONVERSATION_HOLE = "c" * _ID_LENGTH
FAMILIES = ("v2.users.", "v2.routing.queues.")
_SUFFIX = ".conversations"


class Template(msgspec.Struct, frozen=True):
    """A WebSocket frame in three parts: the topic's id and the conversation's id go between."""

    parts: dict[str, tuple[bytes, bytes, bytes]]
    transitions: int


class Lane(msgspec.Struct):
    """A conversation that is sent: its script, its position in the script, and its topic."""

    script: list[Template]
    family: str
    topic: str
    topic_id: bytes
    conversation_id: bytes
    step: int = 0


class LoadStats(msgspec.Struct):
    """Counts of the load so far. `held` counts how often a lane waited for a socket."""

    frames: int = 0
    bytes: int = 0
    distinct_frames: int = 0
    conversations: int = 0
    transitions: int = 0
    held: int = 0


def build_scripts(
    weights: dict[str, float], seed: int, start_ms: int, count: int = SCRIPTS
) -> list[list[Template]]:
    """Play `count` scripts by the weights of their media, and keep their frames as templates."""
    org = Org(200, 10, seed)
    rng = random.Random(f"load-{seed}")
    playbill = Playbill(weights, rng)
    return [_play(playbill.next(), org, rng, start_ms) for _ in range(count)]


def _play(name: str, org: Org, rng: random.Random, start_ms: int) -> list[Template]:
    media, direction, _, write = SCENARIOS[name]
    conversation = Conversation(
        id=_CONVERSATION_HOLE,
        media=media,
        direction=direction,
        started_ms=start_ms,
        division_id=org.division_id,
    )
    stage = Stage(conversation, org, Staff(org, rng), rng)
    witness, ledger = Witness(conversation), Ledger()
    templates = []
    for beat in write(stage):
        if beat.frame:
            before = ledger.last_seq
            witness.look(ledger)
            body = encode_body(nested.conversation_body(conversation))
            templates.append(_template(body, ledger.last_seq - before, uuid_from(rng)))
        stage.now += max(1, int(beat.wait * 1000))
    return templates


def _template(body: bytes, transitions: int, correlation: str) -> Template:
    parts = {}
    for family in FAMILIES:
        topic = f"{family}{_TOPIC_HOLE.decode()}{_SUFFIX}"
        frame = ws_frame(envelope(topic, body, correlation))
        head, rest = frame.split(_TOPIC_HOLE, 1)
        middle, tail = rest.split(_CONVERSATION_HOLE.encode(), 1)
        parts[family] = (head, middle, tail)
    return Template(parts, transitions)


class LoadGun:
    """Sends frames at `rate` a second (0: as fast as sockets take them) while it is on."""

    def __init__(self, hub: Hub, weights: dict[str, float], seed: int) -> None:
        self._hub = hub
        self._weights = weights
        self._seed = seed
        self._rng = random.Random(f"lanes-{seed}")
        self._scripts: list[list[Template]] = []
        self._lanes: list[Lane] = []
        self._next_lane = 0
        self._topics: list[tuple[str, str]] = []
        self._topics_at = 0.0
        self.stats = LoadStats()
        self.on = False
        self.rate = 0.0
        self.lane_count = DEFAULT_LANES
        self.limit: int | None = None
        self._wake = asyncio.Event()

    def start(self, rate: float, lanes: int, limit: int | None) -> None:
        """Begin, or go on at another rate. Stops after `limit` more frames on sockets."""
        if not self._scripts:
            now_ms = self._hub.clock.now_ms()
            self._scripts = build_scripts(self._weights, self._seed, now_ms)
        self.rate = rate
        self.lane_count = max(1, min(MAX_LANES, lanes))
        self.limit = None if limit is None else self.stats.frames + limit
        self._lanes = []
        self.on = True
        self._wake.set()

    def stop(self) -> None:
        """Stop sending, and forget the lanes."""
        self.on = False

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            if not self.on:
                self._wake.clear()
                await self._wake.wait()
            began, sent_before = time.monotonic(), self.stats.frames
            rate = self.rate
            while self.on and self.rate == rate:
                now = time.monotonic()
                self._look_for_topics(now)
                due = BURST
                if rate:
                    ahead = self.stats.frames - sent_before
                    due = min(BURST, int((now - began) * rate) - ahead)
                sent = self._send(due) if due > 0 and self._topics else 0
                if rate and (now - began) * rate - (self.stats.frames - sent_before) > rate:
                    began, sent_before = now, self.stats.frames  # a second behind: do not catch up
                await asyncio.sleep(0 if sent and not rate else TICK_SECONDS)

    def _send(self, frames: int) -> int:
        """Send about `count` frames, with one write for each socket. Returns how many were sent."""
        batches: dict[Socket, list[bytes]] = {}
        sent = waiting = 0
        while sent < frames and waiting < self.lane_count:
            lane = self._lane()
            listeners = self._sockets(lane.topic)
            if not listeners:
                self._renew(lane)
                waiting += 1
                continue
            if any(
                socket.transport.get_write_buffer_size() > HIGH_WATER_BYTES for socket in listeners
            ):
                self.stats.held += 1
                waiting += 1
                continue
            template = lane.script[lane.step]
            head, middle, tail = template.parts[lane.family]
            frame = b"".join((head, lane.topic_id, middle, lane.conversation_id, tail))
            for socket in listeners:
                batches.setdefault(socket, []).append(frame)
            sent += len(listeners)
            self.stats.distinct_frames += 1
            self.stats.bytes += len(frame) * len(listeners)
            self.stats.transitions += template.transitions
            lane.step += 1
            if lane.step == len(lane.script):
                self.stats.conversations += 1
                self._renew(lane)
        for socket, batch in batches.items():
            socket.transport.write(b"".join(batch))
            socket.frames += len(batch)
        self.stats.frames += sent
        if self.limit is not None and self.stats.frames >= self.limit:
            self.stop()
        return sent

    def _lane(self) -> Lane:
        """The next lane in turn. There are never more lanes than requested."""
        if len(self._lanes) < self.lane_count:
            lane = Lane([], "", "", b"", b"")
            self._renew(lane)
            self._lanes.append(lane)
            return lane
        self._next_lane = (self._next_lane + 1) % len(self._lanes)
        return self._lanes[self._next_lane]

    def _renew(self, lane: Lane) -> None:
        """Begin another conversation on a lane, of a subscribed user or queue."""
        lane.family, lane.topic = self._rng.choice(self._topics)
        lane.script = self._rng.choice(self._scripts)
        lane.topic_id = lane.topic[len(lane.family) : len(lane.family) + _ID_LENGTH].encode()
        lane.conversation_id = uuid_from(self._rng).encode()
        lane.step = 0

    def _sockets(self, topic: str) -> list[Socket]:
        channels: Any = self._hub.channels.listeners(topic)
        return [socket for channel in channels if (socket := self._open(channel)) is not None]

    def _open(self, channel: Channel) -> Socket | None:
        socket = None if channel.socket is None else self._hub.sockets.get(channel.socket)
        if socket is None or socket.closing or socket.stalled or socket.transport.is_closing():
            return None
        return socket

    def _look_for_topics(self, now: float) -> None:
        """Learn, once a second, which user and queue topics have a socket."""
        if now - self._topics_at < TOPICS_SECONDS and self._topics:
            return
        self._topics_at = now
        found: dict[str, str] = {}
        for channel in self._hub.channels.all():
            if self._open(channel) is None:
                continue
            for plain in channel.topics.values():
                for topic in plain:
                    for family in FAMILIES:
                        size = len(family) + _ID_LENGTH + len(_SUFFIX)
                        if len(topic) == size and topic.startswith(family):
                            found[topic] = family
        self._topics = [(family, topic) for topic, family in found.items()]
