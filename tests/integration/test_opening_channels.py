"""Two listeners open eighteen channels each while REST is slow: no beat waits for that."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from mirror.fleet.words import Beat
from mirror.redis.keys import Keys
from tests.integration.simulator_support import Simulated, simulated
from tests.services.process import ManagedProcess

SHARDS = 36  # of two replicas each: twice as many as fit
CHANNELS = 36
REST_MS = 600
LONGEST_SILENCE_SECONDS = 3.0
OPEN_SECONDS = 90.0
AFTERWARDS_SECONDS = 15.0  # nothing new: what was told early must not delay the next beat
CLIENTS = {"one": "secret-1", "two": "secret-2"}


class Opening:
    """A coordinator and two listeners with default heartbeat and lease; REST takes its time."""

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


@pytest.fixture
def opening(
    tmp_path: Path, redis_url: str, kafka: str, make_topic: Callable[..., str]
) -> Iterator[Opening]:
    """Both listeners begin to open their channels."""
    options = ["--users", str(SHARDS * 1000 - 10), "--queues", "1", "--no-autostart"]
    for client, secret in CLIENTS.items():
        options += ["--client", f"{client}:{secret}"]
    with ExitStack() as stack:
        org = stack.enter_context(simulated(tmp_path, *options, login=False))
        org.client, org.secret = min(CLIENTS.items())
        assert org.login().status == 200
        org.fault(fault="rest", path="/api/v2/notifications/*", status=0, ms=REST_MS)
        yield Opening(
            org,
            {
                "GENESYS_API_URL": org.url,
                "GENESYS_CLIENTS": ",".join(f"{name}:{secret}" for name, secret in CLIENTS.items()),
                "REDIS_URL": redis_url,
                "KAFKA_BOOTSTRAP_SERVERS": kafka,
                "MIRROR_TOPIC": make_topic(partitions=2),
                "MIRROR_DEAD_LETTER_TOPIC": make_topic(),
                "MIRROR_SPOOL_DIR": str(tmp_path / "spool"),
                "MIRROR_STARTUP_TIMEOUT": "20s",
                "MIRROR_SUBSCRIBE": "users",
            },
            tmp_path,
            stack,
        )


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_no_beat_waits_for_the_opening_of_channels(opening: Opening) -> None:
    """A listener that opens channels beats as if it had nothing to do, and keeps the limits."""
    silences = opening.silences()
    assert len(silences) == 2
    assert max(silences.values()) < LONGEST_SILENCE_SECONDS
    assert opening.org.get("/_sim/violations")["counts"] == {}
