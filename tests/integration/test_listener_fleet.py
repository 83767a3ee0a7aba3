"""Listeners and a coordinator together: two replicas, one of which leaves or dies under load."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
import redis

from harness.kafka_topics import read_topic
from harness.oracle import judge
from harness.process import ManagedProcess, wait_until
from harness.simulated import Simulated, simulated
from mirror.conversation.event import Event
from mirror.fleet.words import Beat
from mirror.kafka.record import read_event
from mirror.redis.keys import Keys
from simulator.ledger import Truth

CLIENT, SECRET = "fleet-client", "fleet-secret"


class Fleet:
    """A coordinator and listeners on made-up hosts."""

    def __init__(self, org: Simulated, env: dict[str, str], folder: Path, stack: ExitStack) -> None:
        self.org, self.env = org, env
        self._folder, self._stack = folder, stack
        self.keys = Keys("default")
        self.redis = redis.Redis.from_url(env["REDIS_URL"], decode_responses=True)
        self.listeners: dict[str, ManagedProcess] = {}
        self._run("coordinator", "coordinator")

    def add(self, host: str) -> ManagedProcess:
        """Start a listener."""
        self.listeners[host] = self._run("listeners", host, MIRROR_HOST=host)
        return self.listeners[host]

    def _run(self, module: str, name: str, **more: str) -> ManagedProcess:
        process = ManagedProcess.python_module(
            module, folder=self._folder, name=name, env=self.env | more
        )
        return self._stack.enter_context(process)

    def beats(self) -> dict[str, Beat]:
        """Host → what its listener said last."""
        beats = {}
        for name in self.redis.zrange(self.keys.beats, 0, -1):
            text = self.redis.get(self.keys.listener(str(name)))
            if isinstance(text, str):
                beat = msgspec.json.decode(text, type=Beat)
                beats[beat.host] = beat
        return beats

    def until_covered(self, *hosts: str, timeout: float = 30.0) -> None:
        """Wait until the listeners of these hosts hold live channels."""

        def covered() -> bool:
            live = {
                host
                for host, beat in self.beats().items()
                if any(report.state == "live" for report in beat.channels)
            }
            return live >= set(hosts)

        wait_until(covered, timeout, f"live channels on {hosts}")

    def events(self) -> list[Event]:
        """What is in Kafka."""
        records = read_topic(self.env["KAFKA_BOOTSTRAP_SERVERS"], self.env["MIRROR_TOPIC"])
        return [read_event(record.value()) for record in records]

    def until_quiet(self) -> None:
        """End all conversations and wait until the events stop."""
        self.org.drain()
        before = -1
        while (now := len(self.events())) != before:
            before = now
            time.sleep(1.0)


@pytest.fixture
def fleet(
    tmp_path: Path, redis_url: str, kafka: str, make_topic: Callable[..., str]
) -> Iterator[Fleet]:
    """An org that waits, a coordinator, and no listener yet."""
    options = ["--client", f"{CLIENT}:{SECRET}", "--users", "20", "--queues", "3"]
    options += ["--rate", "8", "--speed", "20", "--heartbeat", "1"]
    with ExitStack() as stack:
        org = stack.enter_context(simulated(tmp_path, *options, login=False))
        org.client, org.secret = CLIENT, SECRET
        assert org.login().status == 200
        org.post("/_sim/control", {"action": "stop"})
        env = {
            **org.env,
            "REDIS_URL": redis_url,
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "MIRROR_TOPIC": make_topic(partitions=4),
            "MIRROR_DEAD_LETTER_TOPIC": make_topic(),
            "MIRROR_SPOOL_DIR": str(tmp_path / "spool"),
            "MIRROR_HEARTBEAT": "500ms",
            "MIRROR_LEASE": "2s",
            "MIRROR_STARTUP_TIMEOUT": "10s",
        }
        yield Fleet(org, env, tmp_path, stack)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_losing_one_of_two_replicas_loses_no_event(fleet: Fleet, number: signal.Signals) -> None:
    """Two listeners share the seats; one leaves or is killed, another takes its place.

    Does not show the loss of both at once: that is a gap, for the janitor to fill.
    """
    fleet.add("north")
    fleet.add("south")
    fleet.until_covered("north", "south")
    fleet.org.post("/_sim/control", {"action": "start"})
    wait_until(lambda: len(fleet.events()) > 200, 20.0, "events")
    fleet.add("west")
    going = fleet.listeners["south"]
    going.send(number)
    going.wait(25.0)
    fleet.until_covered("north", "west")
    seen = len(fleet.events())
    wait_until(lambda: len(fleet.events()) > seen + 200, 20.0, "events again")
    fleet.until_quiet()
    verdict = judge(msgspec.convert(fleet.org.ledger(), list[Truth]), fleet.events())
    assert verdict.missing == []
    assert verdict.invented == []
    assert verdict.repeats > 0, "two replicas give each event twice"
    assert fleet.org.get("/_sim/violations")["counts"] == {}
