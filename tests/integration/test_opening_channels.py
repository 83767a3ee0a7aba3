"""Beats do not wait for channels that open, and a wrong verdict of death breaks no limit."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from harness.process import ManagedProcess, wait_until
from harness.simulated import Simulated, simulated
from mirror.fleet.words import Assignment, Beat, Grant
from mirror.redis.keys import Keys

pytestmark = pytest.mark.alone

SHARDS = 36  # of two replicas each: twice as many as fit
CHANNELS = 36
ROOM = 18  # seats that the leader gives to an OAuth client of 20 channels
REST_MS = 600
LONGEST_SILENCE_SECONDS = 3.0
OPEN_SECONDS = 90.0
AFTERWARDS_SECONDS = 15.0  # nothing new: what was told early must not delay the next beat
CLIENTS = {"one": "secret-1", "two": "secret-2"}


class Opening:
    """A coordinator and two listeners; REST takes its time."""

    def __init__(self, org: Simulated, env: dict[str, str], folder: Path, stack: ExitStack) -> None:
        self.org = org
        self.keys = Keys("default")
        self.redis = redis.Redis.from_url(env["REDIS_URL"], decode_responses=True)
        self.processes: dict[str, ManagedProcess] = {}
        names = {"coordinator": "coordinator", "north": "listeners", "south": "listeners"}
        for name, module in names.items():
            self.processes[name] = stack.enter_context(
                ManagedProcess.python_module(
                    module, folder=folder, name=name, env=env | {"MIRROR_HOST": name}
                )
            )

    def beats(self) -> dict[str, float]:
        """Listener → Redis time of its last beat, in seconds."""
        found: Any = self.redis.zrange(self.keys.beats, 0, -1, withscores=True)
        return {str(name): float(score) / 1000 for name, score in found}

    def live(self) -> int:
        """How many channels the listeners say are live."""
        texts = [self.redis.get(self.keys.listener(name)) for name in self.beats()]
        beats = [msgspec.json.decode(text, type=Beat) for text in texts if isinstance(text, str)]
        return sum(report.state == "live" for beat in beats for report in beat.channels)

    def granted(self, host: str) -> tuple[Grant, ...]:
        """What the leader grants the listener of a host."""
        (name,) = (name_ for name_ in self.beats() if name_.startswith(f"{host}-"))
        text: Any = self.redis.get(self.keys.assignment(name))
        return msgspec.json.decode(text, type=Assignment).grants if text else ()

    def silences(self) -> dict[str, float]:
        """Listener → the longest time between two of its beats, until all channels are live and a
        while longer."""
        last: dict[str, float] = {}
        longest: dict[str, float] = {}
        open_until = time.monotonic() + OPEN_SECONDS
        end = 0.0
        while not end or time.monotonic() < end:
            for name, at in self.beats().items():
                longest[name] = max(longest.get(name, 0.0), at - last.get(name, at))
                last[name] = at
            if not end and self.live() == CHANNELS:
                end = time.monotonic() + AFTERWARDS_SECONDS
            assert end or time.monotonic() < open_until, f"{self.live()} channels are live"
            time.sleep(0.05)
        return longest


@contextmanager
def opening(
    folder: Path, env: dict[str, str], users: int, clients: dict[str, str], *, rest_ms: int
) -> Iterator[Opening]:
    """Both listeners begin to open channels for the topics of so many users."""
    options = ["--users", str(users), "--queues", "1", "--no-autostart", "--heartbeat", "1"]
    for client, secret in clients.items():
        options += ["--client", f"{client}:{secret}"]
    with ExitStack() as stack:
        org = stack.enter_context(simulated(folder, *options, login=False))
        org.client, org.secret = min(clients.items())
        assert org.login().status == 200
        org.fault(fault="rest", path="/api/v2/notifications/*", status=0, ms=rest_ms)
        names = ",".join(f"{name}:{secret}" for name, secret in clients.items())
        more = {"GENESYS_API_URL": org.url, "GENESYS_CLIENTS": names, "MIRROR_SUBSCRIBE": "users"}
        yield Opening(org, env | more, folder, stack)


@pytest.fixture
def env(
    tmp_path: Path, redis_url: str, kafka: str, make_topic: Callable[..., str]
) -> dict[str, str]:
    """What is around the processes."""
    return {
        "REDIS_URL": redis_url,
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "MIRROR_TOPIC": make_topic(partitions=2),
        "MIRROR_DEAD_LETTER_TOPIC": make_topic(),
        "MIRROR_SPOOL_DIR": str(tmp_path / "spool"),
        "MIRROR_STARTUP_TIMEOUT": "20s",
    }


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_no_beat_waits_for_the_opening_of_channels(tmp_path: Path, env: dict[str, str]) -> None:
    """A listener that opens channels beats as if it had nothing to do, and keeps the limits."""
    users = SHARDS * 1000 - 10
    with opening(tmp_path, env, users, CLIENTS, rest_ms=REST_MS) as made:
        silences = made.silences()
        assert len(silences) == 2
        assert max(silences.values()) < LONGEST_SILENCE_SECONDS
        assert made.org.get("/_sim/violations")["counts"] == {}


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_wrong_verdict_of_death_makes_no_channel_too_many(
    tmp_path: Path, env: dict[str, str]
) -> None:
    """A listener is stopped for two leases and holds half of a client's channels: the other one is
    granted its seats, and no channel with a socket has to go for those that it makes."""
    few = {
        "MIRROR_TOPICS_PER_CHANNEL": "10",
        "MIRROR_REPLICAS": "1",
        "MIRROR_HEARTBEAT": "500ms",
        "MIRROR_LEASE": "2s",
    }
    with opening(tmp_path, env | few, 10 * ROOM, {"one": "secret-1"}, rest_ms=10) as made:
        wait_until(lambda: made.live() == ROOM, OPEN_SECONDS, "all channels live")
        stopped = made.processes["south"]
        stopped.send(signal.SIGSTOP)
        wait_until(lambda: len(made.granted("north")) == ROOM, 5.0, "the verdict")
        time.sleep(1.5)
        stopped.send(signal.SIGCONT)
        wait_until(lambda: made.live() == ROOM, OPEN_SECONDS, "all channels live again")
        # Genesys keeps channels that are closed, and removes those for others.
        assert made.org.get("/_sim/violations")["counts"].keys() <= {"channel_evicted"}
