"""What is mirrored, by name: from Genesys' listing by the leader to every command that shows it.

A whole mirror with the simulator, Redis and Kafka, whose operators keep names (`MIRROR_PII=keep`).
That they are kept only then, test_personal_data shows.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.deployment import Deployment
from harness.process import ManagedProcess, wait_until
from mirror.fleet.names import read_names
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.settings import load
from tests.integration.small_mirror import small_mirror

pytestmark = [pytest.mark.redis, pytest.mark.kafka, pytest.mark.timeout(120)]

SCENARIOS = ("inbound_call", "hold", "message")
SECONDS = 30.0


@pytest.fixture(scope="module")
def built(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A mirror at work; names of queues and users are in Redis."""
    folder: Path = tmp_path_factory.mktemp("names")
    # What is active stays so: no test waits for a conversation that ends meanwhile.
    settings = {"MIRROR_PII": "keep", "MIRROR_ZOMBIE_AFTER": "1h"}
    with small_mirror(folder, kafka, settings, "--speed", "10", "--rate", "3") as built:
        built.org.post("/_sim/control", {"action": "start"})
        wait_until(lambda: len(built.events()) > 100, SECONDS, "events")
        wait_until(lambda: conversations(built), SECONDS, "an active conversation")
        yield built


def document(built: Deployment, *arguments: str) -> Any:
    """What a command answers as JSON."""
    return json.loads(built.command(*arguments, "--json")[0])


def conversations(built: Deployment) -> list[Any]:
    """The active ones."""
    found: list[Any] = document(built, "conversations")["conversations"]
    return found


def named(built: Deployment, family: str) -> dict[str, str]:
    """Id → name, as the org has them."""
    path = {"queues": "/api/v2/routing/queues", "users": "/api/v2/users"}[family]
    entities = built.org.get(f"{path}?pageSize=100")["entities"]
    return {entity["id"]: entity["name"] for entity in entities}


def run(built: Deployment, *arguments: str) -> ManagedProcess:
    """A command to its end, whatever that is."""
    name = f"names-{time.monotonic_ns()}"
    process = ManagedProcess.mirror(*arguments, folder=built.folder, env=built.env, name=name)
    with process:
        process.wait(SECONDS)
    return process


def test_topics_are_all_that_is_mirrored_by_name(built: Deployment) -> None:
    """Every queue and user of the org with its name, its channels, and its last event."""
    found = document(built, "topics")["topics"]
    for kind, family in (("queue", "queues"), ("user", "users")):
        shown = {topic["id"]: topic["name"] for topic in found if topic["kind"] == kind}
        assert shown == named(built, family)
    assert {at["state"] for topic in found for at in topic["replicas"]} == {"live"}
    assert any(topic["last_event_ms"] is not None for topic in found)


def test_topics_are_found_by_name_and_by_the_beginning_of_an_id(built: Deployment) -> None:
    """A glob in any case; what fits nothing is said in words."""
    queue_id, name = next(iter(named(built, "queues").items()))
    for text in (name.lower(), f"{name[:3]}*{name[-1]}", queue_id[:8]):
        found = document(built, "topics", "--queue", text)["topics"]
        assert [(topic["id"], topic["name"]) for topic in found] == [(queue_id, name)]
    for family in ("queue", "user"):
        refused = run(built, "topics", f"--{family}", "nosuch")
        assert refused.returncode == 2
        assert f"--{family} is 'nosuch': there is no such {family} among" in refused.stderr


def test_tail_shows_names_and_filters_by_them(built: Deployment) -> None:
    """By the queue's name, the agent's, the type, the conversation: all that is given must fit."""
    queue_id, name = next(iter(named(built, "queues").items()))
    arguments: tuple[str, ...]
    arguments = ("tail", "--since", "10m", "--queue", name, "--type", "answer", "--limit", "3")
    events = [json.loads(line) for line in built.command(*arguments, "--json")[0].splitlines()]
    assert {(event["queue_id"], event["event_type"]) for event in events} == {(queue_id, "answer")}
    lines = built.command(*arguments)[0].decode().splitlines()
    assert all(name in line for line in lines)
    agent = next(event for event in built.events() if event.agent_id and event.queue_id)
    called = named(built, "users")[str(agent.agent_id)]
    arguments = ("tail", "--from", "beginning", "--agent", called.upper(), "--limit", "2")
    lines = built.command(*arguments)[0].decode().splitlines()
    assert all(called in line for line in lines)
    beginning = agent.conversation_id[:8]
    arguments = ("tail", "--since", "10m", "--conversation", beginning, "--limit", "2", "--json")
    events = [json.loads(line) for line in built.command(*arguments)[0].splitlines()]
    assert {event["conversation_id"] for event in events} == {agent.conversation_id}


def test_tail_into_head_ends_well(built: Deployment) -> None:
    """The reader has seen enough: that is no failure, and nothing is said."""
    command = [sys.executable, "-c", "from console import main; main()", "tail", "--since", "10m"]
    env = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", **built.env}
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None
        assert [tail.stdout.readline() for _ in range(3)]
        tail.stdout.close()
        said = tail.stderr.read()
        assert (tail.wait(SECONDS), said) == (0, "")


def test_a_conversation_is_shown_leg_by_leg(built: Deployment) -> None:
    """The active one that begins so: its legs with their steps as the events tell them."""
    (*_, conversation) = conversations(built)
    (shown,) = document(built, "conversations", conversation["id"][:13])["conversations"]
    told = [event for event in built.events() if event.conversation_id == conversation["id"]]
    assert shown["id"] == conversation["id"]
    steps = {
        (step["event_type"], step["at"])
        for leg in shown["legs"]
        for step in leg["steps"]
        if step["origin"] == "live"
    }
    assert steps >= {
        (event.event_type, event.occurred_at)
        for event in told[:3]
        if event.participant_id and event.origin == "live"
    }
    queues = named(built, "queues")
    for leg in shown["legs"]:
        assert leg["queue_name"] == queues.get(leg["queue_id"])
    text = built.command("conversations", conversation["id"])[0].decode()
    assert f"Conversation {conversation['id']}" in text
    assert text.splitlines()[1].split()[0] in {"active", "ended"}  # it may have ended since


def test_a_conversation_that_ended_is_read_from_kafka(built: Deployment) -> None:
    """By its whole id, also where Redis knows nothing of it any more."""
    ended = next(event for event in built.events() if event.event_type == "end")
    settings = load(built.env)
    with connect(settings) as client:
        client.delete(Keys(settings.namespace).conversation(ended.conversation_id))
    (shown,) = document(built, "conversations", ended.conversation_id)["conversations"]
    assert (shown["state"], shown["ended_at"]) == ("ended", ended.occurred_at)
    assert shown["legs"]
    assert all(leg["ended"] for leg in shown["legs"])


def test_what_nobody_knows_is_said_with_a_way_on(built: Deployment) -> None:
    """A beginning that nothing active has, and a whole id that Kafka has not: exit code 1."""
    begun = run(built, "conversations", "zzzz")
    assert begun.returncode == 1
    assert "mirror tail --conversation zzzz" in begun.stderr
    whole = run(built, "conversations", "00000000-0000-4000-8000-000000000000")
    assert whole.returncode == 1
    assert "--since" in whole.stderr


def test_without_kafka_the_tracker_s_part_is_shown(built: Deployment) -> None:
    """And the exit code says that it is not all."""
    (*_, conversation) = conversations(built)
    env = {**built.env, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "MIRROR_STARTUP_TIMEOUT": "1s"}
    name = "no-kafka"
    process = ManagedProcess.mirror(
        "conversations", conversation["id"], folder=built.folder, env=env, name=name
    )
    with process:
        assert process.wait(SECONDS) == 3
    assert conversation["id"] in process.stdout
    assert "127.0.0.1:1" in process.stderr


def test_a_queue_that_is_not_there_is_not_back_filled(built: Deployment) -> None:
    """Exit code 2, and no gap is filed; a name that is there is as good as its id."""
    wrong = run(built, "backfill", "--since", "1m", "--queue", "nosuch", "--no-wait")
    assert (wrong.returncode, "there is no such queue" in wrong.stderr) == (2, True)
    several = run(built, "backfill", "--since", "1m", "--queue", "*", "--no-wait")
    assert (several.returncode, "2 queues" in several.stderr) == (2, True)
    name = next(iter(named(built, "queues").values()))
    filed = run(built, "backfill", "--since", "7d", "--queue", name, "--no-wait")
    assert (filed.returncode, "1 topic\n" in filed.stderr) == (0, True)


def test_the_shell_completes_ids(built: Deployment) -> None:
    """Listeners for `drain`, channels for `rotate`, as they are now."""
    ids = [listener["id"] for listener in document(built, "listeners")["listeners"]]
    channels = [
        channel["channel"].rstrip("…") for channel in document(built, "channels")["channels"]
    ]
    for command, known in (("drain", ids), ("rotate", channels)):
        env = {
            "_MIRROR_COMPLETE": "bash_complete",
            "COMP_WORDS": f"mirror {command} {known[0][:3]}",
            "COMP_CWORD": "2",
        }
        name = f"complete-{command}"
        process = ManagedProcess.mirror(folder=built.folder, env={**built.env, **env}, name=name)
        with process:
            assert process.wait(SECONDS) == 0
        found = {line.partition(",")[2] for line in process.stdout.splitlines()}
        assert found == {id_ for id_ in known if id_.startswith(known[0][:3])}


def test_names_come_back_where_redis_forgot_them(built: Deployment) -> None:
    """The leader writes what is missing by itself, and nothing where nothing is."""
    settings = load(built.env)
    keys = Keys(settings.namespace)
    with connect(settings) as client:
        before = read_names(client, keys, "queues")
        assert before == named(built, "queues")
        for key in client.scan_iter(f"{keys.names}*"):
            client.delete(key)
        wait_until(
            lambda: read_names(client, keys, "queues") == before, SECONDS, "the names of queues"
        )
        wait_until(
            lambda: read_names(client, keys, "users") == named(built, "users"),
            SECONDS,
            "the names of users",
        )
