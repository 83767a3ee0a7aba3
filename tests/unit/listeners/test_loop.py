"""The loop with real sockets, a real session and a real normaliser; only Kafka is a list."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from random import Random
from struct import pack
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from listeners.channels.actions import Action
from listeners.channels.channel import Channel
from listeners.channels.session import HeldSeat, Session
from listeners.counters import Counters
from listeners.health import ListenerHealth
from listeners.receive.loop import READ_SECONDS, Loop
from mirror.base.health import Health
from mirror.base.log import capture_logs
from mirror.conversation.agent_event import AgentEvent
from mirror.conversation.event import Event
from mirror.conversation.normaliser import Normaliser, Reading
from mirror.fleet.words import Grant
from mirror.genesys.handles import Handle

HANDLE = Handle("streaming-1-aaaaaaaaaaaaaaaaaaaaaaaaaa", "wss://streaming.example/channels/a")


def held_call(conversation: str) -> bytes:
    """A server's WebSocket frame that shows an agent's call on hold."""
    call = {
        "id": "leg",
        "state": "connected",
        "held": True,
        "connectedTime": "2026-11-23T10:00:00.000Z",
        "startHoldTime": "2026-11-23T10:00:05.000Z",
    }
    participants = [{"id": "p", "purpose": "agent", "userId": "u1", "calls": [call]}]
    return notification("conversations", {"id": conversation, "participants": participants})


def notification(topic: str, body: object) -> bytes:
    """A server's WebSocket frame of a topic of user `u1`."""
    text = json.dumps({"topicName": f"v2.users.u1.{topic}", "eventBody": body}).encode()
    text = text.ljust(126)  # so that one form of the length fits all
    return bytes((0x81, 126)) + pack("!H", len(text)) + text


class AckedProducer:
    """Takes what the loop publishes."""

    reasons, losses, refusing_since, tick_seconds = (), (), None, 0.05
    interactions_lost = 0

    def __init__(self) -> None:
        self.taken: list[Event] = []
        self.states: list[AgentEvent] = []
        self.letters: list[dict[str, Any]] = []

    def events(self, events: list[Event]) -> None:
        self.taken += events

    def mark(self, read_at: float, latest: Event) -> None:
        """What was taken was read at `read_at`."""

    def agents(self, events: list[AgentEvent]) -> None:
        self.states += events

    def dead_letter(self, value: bytes, **reason: Any) -> None:
        self.letters.append({"value": value, **reason})

    def tick(self, _now: float) -> None:
        """Nothing waits."""

    def durable_at(self) -> float:
        return time.monotonic()


class Idle:
    """Genesys and Redis do not answer."""

    def run(self, channel: Channel, action: Action) -> None:
        """An answer never comes."""


class Scene:
    """A loop with one seat, whose channel is live on one end of a pair of sockets."""

    def __init__(self) -> None:
        self.producer = AckedProducer()
        self.session = Session("me", silence=3600.0, rng=Random(1))
        producer: Any = self.producer
        idle: Any = Idle()
        self.loop = Loop(self.session, Normaliser(), producer, Counters())
        self.loop.executor = idle
        self.channel = self.seat("1")
        self.far = self.open(self.channel)

    def seat(self, shard: str, silence: float = 3600.0) -> Channel:
        """The channel of a new seat, about to be connected."""
        grant = Grant(shard, "a", 1, "client", 1)
        channel = Channel(
            grant, (), time.monotonic(), holder=f"me/{shard}", silence=silence, rng=Random(1)
        )
        channel.handle = HANDLE
        channel.phase = "connecting"
        self.session.seats[grant.seat] = HeldSeat(channel)
        self.session.version = 1  # of an assignment
        return channel

    def open(self, channel: Channel) -> socket.socket:
        """Open the channel's socket and take it through to where traffic makes it live."""
        near, far = socket.socketpair()
        near.setblocking(False)
        number = channel._number
        self.loop.opened(channel, near, number)
        channel.connected(number, time.monotonic())
        now = time.monotonic()
        channel.subscribed(channel._number, now, rejected=(), expires_in=None)
        return far

    def until(self, done: Callable[[], bool]) -> None:
        """Run the loop until `done`, which it asks after each pass."""
        deadline = time.monotonic() + 5.0
        tick = self.session.tick

        def look(now: float) -> Any:
            assert time.monotonic() < deadline
            if done():
                self.loop.stop()
            return tick(now)

        self.session.tick = look  # type: ignore[method-assign]  # the loop calls it every pass
        self.loop.run()
        self.session.tick = tick  # type: ignore[method-assign]  # as it was

    def holds(self) -> int:
        """How often a hold was told."""
        return sum(event.event_type == "hold" for event in self.producer.taken)


@pytest.fixture
def scene() -> Iterator[Scene]:
    """A scene, closed in the end."""
    scene = Scene()
    yield scene
    scene.loop.close()
    scene.far.close()


def test_a_lost_socket_makes_the_normaliser_say_again_what_is_held(scene: Scene) -> None:
    """The same frame says nothing new, until a loss in between may have hidden something."""
    scene.far.sendall(held_call("c"))
    scene.until(lambda: scene.channel.frames == 1)
    told = scene.holds()
    assert told
    scene.far.sendall(held_call("c"))
    scene.until(lambda: scene.channel.frames == 2)
    assert scene.holds() == told
    scene.far.close()
    scene.until(lambda: scene.channel.state != "live")
    scene.channel.handle = HANDLE
    scene.channel.phase = "connecting"
    scene.far = scene.open(scene.channel)
    scene.far.sendall(held_call("c"))
    scene.until(lambda: scene.channel.frames == 3)
    assert scene.holds() > told


def test_interactions_that_were_lost_between_two_looks_end_the_coverage(scene: Scene) -> None:
    """The spool takes records again by the second look; what was lost is not covered."""
    scene.far.sendall(held_call("c"))
    scene.until(lambda: scene.channel.state == "live")
    now = time.monotonic()
    scene.loop._update_state(now)
    assert scene.channel.covered_since is not None
    scene.producer.interactions_lost = 3
    scene.loop._update_state(now + 1.0)
    (report,) = scene.loop.state.channels
    assert report.covered_ms is None
    scene.loop._update_state(now + 2.0)
    (report,) = scene.loop.state.channels
    assert report.covered_ms == 0


def test_a_comparison_that_is_overdue_is_told(scene: Scene) -> None:
    """In the listener's reasons, while heartbeats come as ever."""
    scene.far.sendall(held_call("c"))
    scene.until(lambda: scene.channel.state == "live")
    now = time.monotonic()
    scene.loop._update_state(now)
    before = scene.loop.state.reasons
    assert before == ()
    scene.loop._update_state(now + 600.0)
    (reason,) = scene.loop.state.reasons
    assert "shard 1 replica a" in reason


def test_topics_that_cannot_be_set_are_told(scene: Scene) -> None:
    """In the listener's reasons, with the last error, while the channel receives its old topics."""
    scene.far.sendall(held_call("c"))
    scene.until(lambda: scene.channel.state == "live")
    now = time.monotonic()
    scene.channel.set_topics(scene.channel.grant, ("t1", "t2", "t3"), now, shard_epoch=99)
    scene.channel.error = "HTTP 500"
    scene.loop._update_state(now + 60.0)
    (reason,) = scene.loop.state.reasons
    assert re.fullmatch(
        r"Genesys has not set the present topics of shard 1 replica a for \d\ds, so new ones are "
        r"not received: HTTP 500",
        reason,
    )


def test_a_channel_that_does_not_become_live_is_a_problem_of_its_listener(scene: Scene) -> None:
    """However well the rest works; opening it may take some seconds."""
    scene.far.sendall(held_call("c"))
    scene.until(lambda: scene.channel.state == "live")
    scene.far.close()
    scene.until(lambda: scene.channel.state == "lost")
    health = ListenerHealth(Counters(), scene.loop, CollectorRegistry(), lease=8.0)
    assert health.health() == Health("ok")
    scene.channel.error = "Genesys answers 503"
    scene.loop._update_state(time.monotonic() + 90.0)
    (reason,) = health.health().reasons
    assert re.fullmatch(r"shard 1 replica a not live for 9\ds: Genesys answers 503", reason)
    scene.channel.phase = "live"
    scene.session.settle(time.monotonic())
    scene.loop._update_state(time.monotonic())
    assert health.health() == Health("ok")


def test_states_of_agents_are_published(scene: Scene) -> None:
    """A frame of an agent topic becomes records of the agents' topic, and no event."""
    status = {"status": "IDLE", "startTime": "2026-11-23T10:00:00.000Z"}
    scene.far.sendall(notification("routingStatus", {"id": "u1", "routingStatus": status}))
    scene.until(lambda: scene.channel.frames == 1)
    (state,) = scene.producer.states
    assert (state.user_id, state.routing_status) == ("u1", "IDLE")
    assert scene.producer.taken == []


def test_a_bug_in_the_normaliser_costs_one_frame_and_tells_nothing_of_it(scene: Scene) -> None:
    """The frame is a dead letter and the next one is read; the log names kind and place alone."""
    normalise = scene.loop.intake.normalise

    def fail(raw: bytes, received_at: str, now: float) -> Reading:
        if b"unlucky" in raw:
            raise ValueError(f"cannot read {raw!r}")
        return normalise(raw, received_at, now)

    scene.loop.intake.normalise = fail  # a bug that is not there yet
    with capture_logs() as lines:
        scene.far.sendall(held_call("unlucky") + held_call("c"))
        scene.until(lambda: scene.channel.frames == 2)
    (line,) = [line for line in lines if line["event"] == "normaliser_failed"]
    assert line["error"] == "ValueError"
    assert line["at"].startswith("test_loop.py:")
    assert "unlucky" not in str(lines)
    assert [letter["error"] for letter in scene.producer.letters] == ["ValueError"]
    assert {event.conversation_id for event in scene.producer.taken} == {"c"}


class SlowScene(Scene):
    """Several channels, each frame of which takes as long as a pass may read."""

    def __init__(self, count: int, silence: float = 3600.0) -> None:
        super().__init__()
        self.late = 0.0  # seconds by which the loop's clock is ahead of ours
        self.loop._clock = lambda: time.monotonic() + self.late
        self._normalise_frame = self.loop.intake.normalise
        self.loop.intake.normalise = self._slowly
        self.channels = [self.seat(str(number), silence) for number in range(2, 2 + count)]
        self.fars = [self.open(channel) for channel in self.channels]

    def _slowly(self, raw: bytes, received_at: str, now: float) -> Reading:
        self.late += READ_SECONDS
        return self._normalise_frame(raw, received_at, now)

    def say(self) -> None:
        """A frame comes on each of them."""
        for far in self.fars:
            far.sendall(held_call("c"))

    def frames(self) -> list[int]:
        """How many have been read of each."""
        return [channel.frames for channel in self.channels]

    def close(self) -> None:
        """Close all sockets."""
        self.loop.close()
        for far in [self.far, *self.fars]:
            far.close()


def test_a_pass_that_takes_long_ends_and_the_next_one_goes_on_behind_it() -> None:
    """However much the others bring, a socket that waits gets its turn."""
    with closing(SlowScene(3)) as scene:
        counts = []
        for _ in range(6):
            scene.say()
            ready = scene.loop._selector.select(0)
            scene.loop._read_ready(ready, scene.loop._clock() + READ_SECONDS)
            counts.append(scene.frames())
        assert counts == [[1, 0, 0], [1, 2, 0], [1, 2, 3], [4, 2, 3], [4, 5, 3], [4, 5, 6]]


@pytest.mark.parametrize("within", [False, True])
def test_behind_a_stall_all_are_read_before_any_is_judged_silent(*, within: bool) -> None:
    """The loop stood still for longer than a silence may last, while it waited or while it read."""
    with closing(SlowScene(5, silence=35.0)) as scene:
        scene.say()
        scene.until(lambda: scene.frames() == [1] * 5)
        scene.say()
        if within:
            slowly = scene.loop.intake.normalise

            def stall(raw: bytes, received_at: str, now: float) -> Reading:
                scene.loop.intake.normalise = slowly
                scene.late += 36.0
                scene.say()  # meanwhile
                return slowly(raw, received_at, now)

            scene.loop.intake.normalise = stall
        else:
            scene.late += 36.0
        scene.until(lambda: scene.frames() == [3 if within else 2] * 5)
        assert {channel.state for channel in scene.channels} == {"live"}
