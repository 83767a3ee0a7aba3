"""What a listener tells Prometheus and health checks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from prometheus_client import generate_latest

from listeners.channels.session import Session
from listeners.counters import Counters
from listeners.health import Vitals
from listeners.receive.loop import Loop, Snapshot
from mirror.base.health import Health
from mirror.base.turns import PATIENCE, Turns
from mirror.conversation.normaliser import Normaliser
from mirror.fleet.words import ChannelReport
from mirror.runtime.metrics import LISTENER

LEASE = 8.0


class Scene:
    """A loop whose thread lives until it is told to end."""

    def __init__(self) -> None:
        self.now = 100.0
        self.counters = Counters()
        publisher: Any = None  # nothing is published
        session = Session("me", silence=35.0, rng=Random(1))
        self.loop = Loop(session, Normaliser(), publisher, self.counters)
        self._end = threading.Event()
        self.thread = threading.Thread(target=self._end.wait)
        self.thread.start()
        self.turns = Turns(clock=lambda: self.now)
        self.vitals = Vitals(
            self.counters, self.loop, self.thread, self.turns, lease=LEASE, clock=lambda: self.now
        )
        self.say()

    def say(self, *reasons: str) -> None:
        """The loop's latest word."""
        report = ChannelReport(shard="1", replica="a", epoch=1, client="c", state="live")
        self.loop.snapshot = Snapshot(self.now, 1, channels=(report,), reasons=reasons)

    def end(self) -> None:
        """The thread ends."""
        self._end.set()
        self.thread.join()


@pytest.fixture
def scene() -> Iterator[Scene]:
    """A scene, ended."""
    scene = Scene()
    yield scene
    scene.end()
    scene.loop.close()


def test_health_is_what_the_loop_says(scene: Scene) -> None:
    """Well, or degraded for its reasons."""
    assert scene.vitals.health() == Health("ok")
    scene.say("events are spooled")
    assert scene.vitals.health() == Health("degraded", ("events are spooled",))


def test_a_loop_that_hangs_is_down(scene: Scene) -> None:
    """Within a lease it may be busy; after that nobody reads the sockets."""
    scene.now += LEASE - 0.1
    assert scene.vitals.health().health == "ok"
    scene.now += 0.2
    assert scene.vitals.health().health == "down"


def test_a_thread_that_hangs_beside_the_loop_is_down(scene: Scene) -> None:
    """However well the loop does; what is degraded is told after it."""
    scene.turns.of("beats")()
    scene.now += PATIENCE + 1
    scene.say("events are spooled")
    hung = "the thread beats hangs: it has not turned for 901s"
    assert scene.vitals.health() == Health("down", (hung, "events are spooled"))


def test_a_loop_that_ended_is_down(scene: Scene) -> None:
    """Whatever it said last."""
    scene.end()
    health = scene.vitals.health()
    assert health.health == "down"
    assert health.reasons


def test_every_counter_is_exported(scene: Scene) -> None:
    """A counter that nobody can see is no counter; what only grows ends in `_total`."""
    assert set(LISTENER) == set(Counters.__struct_fields__)
    for number, field in enumerate(Counters.__struct_fields__, 1):
        setattr(scene.counters, field, number)
    lines = generate_latest(scene.vitals.registry).decode().splitlines()
    for number, field in enumerate(Counters.__struct_fields__, 1):
        metric = LISTENER[field]
        assert f"{metric.name} {number}.0" in lines
        assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert 'mirror_channels{state="live"} 1.0' in lines
    assert 'mirror_channels{state="lost"} 0.0' in lines
