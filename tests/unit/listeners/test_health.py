"""What a listener tells Prometheus and health checks."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from listeners.channels.session import Session
from listeners.counters import Counters
from listeners.health import ListenerHealth
from listeners.receive.loop import Loop
from listeners.receive.loop_state import LoopState
from mirror.base.health import Health
from mirror.conversation.normaliser import Normaliser
from mirror.fleet.words import ChannelReport
from mirror.runtime.metrics import LISTENER

LEASE = 8.0


class Scene:
    """A loop that says what the test has it say."""

    def __init__(self) -> None:
        self.now = 100.0
        self.counters = Counters()
        self.registry = CollectorRegistry()
        publisher: Any = None  # nothing is published
        session = Session("me", silence=35.0, rng=Random(1))
        self.loop = Loop(session, Normaliser(), publisher, self.counters)
        self.health = ListenerHealth(
            self.counters, self.loop, self.registry, lease=LEASE, clock=lambda: self.now
        )
        self.say()

    def say(self, *reasons: str) -> None:
        """The loop's latest word."""
        report = ChannelReport(shard="1", replica="a", epoch=1, client="c", state="live")
        self.loop.state = LoopState(self.now, 1, channels=(report,), reasons=reasons)


@pytest.fixture
def scene() -> Iterator[Scene]:
    """A scene, ended."""
    scene = Scene()
    yield scene
    scene.loop.close()


def test_health_is_what_the_loop_says(scene: Scene) -> None:
    """Well, or degraded for its reasons."""
    assert scene.health.health() == Health("ok")
    scene.say("events are spooled")
    assert scene.health.health() == Health("degraded", ("events are spooled",))


def test_a_listener_without_an_assignment_is_not_well(scene: Scene) -> None:
    """It receives nothing, and does not know whether it should. An empty assignment is well."""
    scene.loop.state = LoopState(scene.now, 0)
    (reason,) = scene.health.health().reasons
    assert "no assignment has come yet" in reason
    scene.loop.state = LoopState(scene.now, 1)
    assert scene.health.health() == Health("ok")


def test_a_loop_that_hangs_is_said_to(scene: Scene) -> None:
    """Within a lease it may be busy; after that nobody reads the sockets."""
    scene.now += LEASE
    assert scene.health.hung() == ()
    scene.now += 1.0
    assert scene.health.hung() == ("the loop hangs for 9s: no socket is read",)


def test_every_counter_is_exported(scene: Scene) -> None:
    """A counter that nobody can see is no counter; what only grows ends in `_total`."""
    assert set(LISTENER) == set(Counters.__struct_fields__)
    for number, field in enumerate(Counters.__struct_fields__, 1):
        setattr(scene.counters, field, number)
    lines = generate_latest(scene.registry).decode().splitlines()
    for number, field in enumerate(Counters.__struct_fields__, 1):
        metric = LISTENER[field]
        assert f"{metric.name} {number}.0" in lines
        assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert 'mirror_channels{state="live"} 1.0' in lines
    assert 'mirror_channels{state="lost"} 0.0' in lines
