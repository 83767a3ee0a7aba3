"""`mirror tail --agents`: what agents say of themselves, from their topic."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer

from harness.process import ManagedProcess
from mirror.conversation.agent_event import AgentEvent

SECONDS = 40.0
AT = "2026-11-23T10:00:00.123Z"
STATES = [
    AgentEvent(
        event_id="1" * 32,
        event_type="presence",
        user_id="11111111-one",
        presence="ON_QUEUE",
        occurred_at=AT,
        received_at=AT,
    ),
    AgentEvent(
        event_id="2" * 32,
        event_type="routing_status",
        user_id="22222222-two",
        routing_status="IDLE",
        occurred_at=AT,
        received_at=AT,
        estimated=True,
    ),
]


@pytest.fixture
def env(kafka: str, redis_url: str, make_topic: Callable[..., str]) -> dict[str, str]:
    """A topic with a state in each encoding, the first from both replicas, and a record of none."""
    topic = make_topic()
    producer = Producer({"bootstrap.servers": kafka})
    presence, routing = STATES
    for value in (
        msgspec.json.encode(presence),
        msgspec.json.encode(presence),
        b"no state",
        msgspec.msgpack.encode(routing),
    ):
        producer.produce(topic, value)
    assert producer.flush(SECONDS) == 0
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "REDIS_URL": redis_url,
        "MIRROR_AGENTS_TOPIC": topic,
        "MIRROR_SUBSCRIBE": "queues,users,agents",
    }


def shown(env: dict[str, str], folder: Path, *arguments: str) -> tuple[list[str], str]:
    """The lines of `mirror tail --agents` from the beginning, and what it says beside them."""
    argv = ("tail", "--agents", "--from", "beginning", *arguments)
    name = "-".join(arguments).replace("/", "-")
    with ManagedProcess.mirror(*argv, folder=folder, env=env, name=name) as tail:
        assert tail.wait(SECONDS) == 0, tail.describe("tail")
        return tail.stdout.splitlines(), tail.stderr


def test_it_shows_what_agents_say_of_themselves(env: dict[str, str], tmp_path: Path) -> None:
    """A line for each state, once with `--dedupe`; one agent or one type alone; JSON."""
    lines, _ = shown(env, tmp_path, "--limit", "2", "--dedupe")
    assert [line.split()[-3:] for line in lines] == [
        ["presence", "11111111", "ON_QUEUE"],
        ["routing_status", "22222222", "IDLE"],
    ]
    assert [line[23:26] for line in lines] == ["Z  ", "Z~ "], "a time that is ours"
    lines, _ = shown(env, tmp_path, "--limit", "1", "--type", "routing_status", "--json")
    assert json.loads(lines[0]) == msgspec.to_builtins(STATES[1])
    lines, _ = shown(env, tmp_path, "--limit", "1", "--agent", "2222")
    assert "22222222" in lines[0]


def test_it_says_where_nobody_writes_them(env: dict[str, str], tmp_path: Path) -> None:
    """The topic may be there from before."""
    env = env | {"MIRROR_SUBSCRIBE": "queues"}
    _, told = shown(env, tmp_path, "--limit", "1")
    assert "MIRROR_SUBSCRIBE has no agents here" in told
