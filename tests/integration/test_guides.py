"""The programs that the guides show do what the guides say, on real Kafka and PostgreSQL."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from confluent_kafka import Producer

from harness import kafka_install
from harness.process import ManagedProcess, wait_until
from tests.integration.projector_support import Stage
from tests.services.availability import unavailable
from tests.services.postgres import PostgresServer, PostgresUnavailable
from tests.unit.conversation.test_scenarios import told
from tests.unit.simulator.theatre import perform

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
NAMES = ("inbound_call", "consult_call", "message_reassigned", "chat", "email")
COPIES = 2  # replicas
SECONDS = 40.0

Start = Callable[[ManagedProcess], ManagedProcess]


@pytest.fixture
def events() -> list[dict[str, Any]]:
    """What the mirror tells of a few conversations."""
    return [
        msgspec.to_builtins(event)
        for seed, name in enumerate(NAMES)
        for event in told(perform(name, seed))
    ]


@pytest.fixture
def topic(make_topic: Callable[..., str], kafka: str, events: list[dict[str, Any]]) -> str:
    """A topic with each of them from both replicas."""
    name = make_topic(partitions=3)
    producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random"})
    for event in events:
        for _ in range(COPIES):
            producer.produce(name, json.dumps(event), event["conversation_id"])
    assert producer.flush(SECONDS) == 0
    return name


@pytest.fixture
def run(kafka: str, topic: str, tmp_path: Path, start_process: Start) -> Callable[..., Any]:
    """Starts a program of the guides on the topic."""

    def start(program: str, **env: str) -> ManagedProcess:
        settings = {"KAFKA_BOOTSTRAP_SERVERS": kafka, "MIRROR_TOPIC": topic, **env}
        argv = [sys.executable, "-u", str(EXAMPLES / program)]
        return start_process(ManagedProcess(argv, tmp_path, name=program, env=settings))

    return start


@pytest.fixture
def fraud(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the fraud guide, found as it is when run from its folder."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("fraud")


@pytest.fixture
def postgres() -> Iterator[str]:
    """URL of a database."""
    try:
        server = PostgresServer()
    except PostgresUnavailable as missing:
        unavailable(str(missing))
    with server:
        yield server.url


def test_the_python_guide_shows_each_transition_once(
    run: Callable[..., ManagedProcess], events: list[dict[str, Any]]
) -> None:
    """Both copies are in the topic; the program prints one line for each, and ends on SIGTERM."""
    process = run("consume.py")
    ids = {event["event_id"] for event in events}
    wait_until(lambda: len(process.stdout.splitlines()) >= len(ids), SECONDS, "all lines")
    assert process.stop() == 0
    printed = process.stdout.splitlines()
    assert len(printed) == len(ids)
    assert {line.split()[1] for line in printed} == {event["conversation_id"] for event in events}


def test_the_postgres_guide_keeps_each_transition_once_through_a_restart(
    run: Callable[..., ManagedProcess],
    events: list[dict[str, Any]],
    postgres: str,
    kafka: str,
    topic: str,
) -> None:
    """After a kill -9 and repeats, the table has each id once, and the views answer."""
    ids = {event["event_id"] for event in events}

    def count() -> int:
        with psycopg.connect(postgres) as database:
            row = database.execute("SELECT to_regclass('interaction_events')").fetchone()
            if row is None or row[0] is None:
                return 0
            row = database.execute("SELECT count(*) FROM interaction_events").fetchone()
            return int(row[0]) if row else 0

    process = run("to_postgres.py", DATABASE_URL=postgres)
    wait_until(lambda: count() == len(ids), SECONDS, "all rows")
    process.kill()
    producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random"})
    fresh = {**events[0], "event_id": "f" * 32}
    for event in (*events, fresh):
        producer.produce(topic, json.dumps(event), event["conversation_id"])
    assert producer.flush(SECONDS) == 0
    again = run("to_postgres.py", DATABASE_URL=postgres)
    # The dead consumer's partitions come free when its session times out.
    wait_until(lambda: count() == len(ids) + 1, 2 * SECONDS, "the fresh row")
    assert again.stop() == 0
    with psycopg.connect(postgres) as database:
        talk = database.execute(
            "SELECT count(*) FROM interaction_legs WHERE purpose = 'agent'"
            " AND answered_at < ended_at"
        ).fetchone()
        waits = database.execute("SELECT sum(offered), sum(answered) FROM queue_quarter_hours")
        offered, answered = waits.fetchone() or (0, 0)
    answers = {
        (event["conversation_id"], event["participant_id"])
        for event in events
        if event["event_type"] == "answer" and event["purpose"] == "agent"
    }
    assert talk is not None
    assert talk[0] == len(answers)
    assert offered >= answered >= 1


def _call(number: int, event_type: str, second: int, **fields: str | None) -> dict[str, Any]:
    return {
        "conversation_id": f"call-{number}",
        "participant_id": f"agent-leg-{number}",
        "event_type": event_type,
        "purpose": "agent",
        "media_type": "call",
        "agent_id": "agent-1",
        "ani": None,
        "disconnect_type": None,
        "occurred_at": f"2026-11-23T10:{second // 60:02}:{second % 60:02}.000Z",
        **fields,
    }


@pytest.mark.parametrize(
    ("talk", "side", "alerts"), [(3, "client", 1), (60, "client", 0), (3, "peer", 0)]
)
def test_dropping_counts_what_the_agent_ended_at_once(
    fraud: Any, talk: int, side: str, alerts: int
) -> None:
    """Three calls ended by the agent within ten seconds are an alert; other ends not."""
    rule = fraud.Dropping()
    found = []
    for number in range(3):
        begin = number * 120
        found.append(rule.take(_call(number, "answer", begin)))
        found.append(rule.take(_call(number, "disconnect", begin + talk, disconnect_type=side)))
    assert len([alert for alert in found if alert]) == alerts


def test_fishing_sees_one_caller_with_many_agents(fraud: Any) -> None:
    """The fourth agent reached within a quarter of an hour is the alert."""
    rule = fraud.Fishing()
    found = []
    for number in range(4):
        caller = {"purpose": "customer", "ani": "5f0c", "agent_id": ""}
        rule.take(_call(number, "answer", number * 60, **caller))
        found.append(
            rule.take(_call(number, "answer", number * 60 + 5, agent_id=f"agent-{number}"))
        )
    assert [bool(alert) for alert in found] == [False, False, False, True]


def test_the_fraud_guide_tells_while_it_happens(
    run: Callable[..., ManagedProcess], kafka: str, topic: str, events: list[dict[str, Any]]
) -> None:
    """Calls dropped on the topic are an alert on stdout, though every event is there twice."""
    process = run("fraud.py")
    producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random"})
    for number in range(3):
        for kind, second, side in (("answer", 0, None), ("disconnect", 4, "client")):
            call = _call(number, kind, number * 60 + second, disconnect_type=side)
            event = {**events[0], **call, "event_id": f"{kind}-{number}"}
            for _ in range(COPIES):
                producer.produce(topic, json.dumps(event), "of-one-agent")
    assert producer.flush(SECONDS) == 0
    wait_until(lambda: "agent-1 dropped 3 calls" in process.stdout, SECONDS, "the alert")
    assert process.stop() == 0
    assert len(process.stdout.splitlines()) == 1


# --- the projector's topics ---------------------------------------------------------------------


@pytest.fixture
def stage(kafka: str, tmp_path: Path, start_process: Start) -> Stage:
    """The three topics, filled by a projector that goes on."""
    made = Stage(kafka, 3)
    start_process(made.process(tmp_path, "projector"))
    made.send([event for event in CALLS for _ in range(COPIES)])
    made.await_projected()
    return made


CALLS = [event for seed, name in enumerate(NAMES) for event in told(perform(name, seed))]


def _of(stage: Stage) -> dict[str, str]:
    names = ("KAFKA_BOOTSTRAP_SERVERS", "MIRROR_ONCE_TOPIC", "MIRROR_CONVERSATIONS_TOPIC")
    return {name: stage.env[name] for name in names}


@pytest.mark.parametrize("language", ["python", "java"])
def test_the_guide_to_the_projectors_topics_shows_both(
    language: str, stage: Stage, tmp_path: Path, start_process: Start
) -> None:
    """Each transition once, although every one was told twice; and all conversations."""
    if language == "python":
        argv = [sys.executable, "-u", str(EXAMPLES / "projected.py")]
    else:
        java = shutil.which("java")
        if java is None or shutil.which("javac") is None:
            pytest.skip("no Java compiler to run docs/examples with: install a JDK")
        libs = f"{kafka_install.find_libs()}/*"
        argv = [java, "-cp", libs, str(EXAMPLES / "Projected.java")]
    once, views = (
        start_process(ManagedProcess([*argv, topic], tmp_path, name=topic, env=_of(stage)))
        for topic in ("once", "conversations")
    )
    wait_until(lambda: len(once.stdout.splitlines()) >= len(CALLS), SECONDS, "all transitions")
    wanted = f"{len(NAMES)} known"
    wait_until(lambda: wanted in views.stdout, SECONDS, "all conversations")
    assert once.stop() == (0 if language == "python" else 143)
    assert len(once.stdout.splitlines()) == len(CALLS)


def test_the_sink_of_the_projectors_topics_repeats_nothing(
    stage: Stage, tmp_path: Path, start_process: Start, postgres: str
) -> None:
    """After a kill -9, and with what came meanwhile: a row for each transition and conversation."""
    env = {**_of(stage), "DATABASE_URL": postgres}
    argv = [sys.executable, "-u", str(EXAMPLES / "projected_to_postgres.py")]

    def rows(table: str) -> int:
        with psycopg.connect(postgres) as database:
            found = database.execute("SELECT to_regclass(%s)", (table,)).fetchone()
            if found is None or found[0] is None:
                return 0
            found = database.execute(f"SELECT count(*) FROM {table}").fetchone()
            return int(found[0]) if found else 0

    first = start_process(ManagedProcess(argv, tmp_path, name="first", env=env))
    wait_until(lambda: rows("transitions") == len(CALLS), SECONDS, "all rows")
    wait_until(lambda: rows("conversations") == len(NAMES), SECONDS, "all conversations")
    first.kill()
    more = told(perform("inbound_call", 99))
    stage.send([event for event in more for _ in range(COPIES)])
    second = start_process(ManagedProcess(argv, tmp_path, name="second", env=env))
    wait_until(lambda: rows("conversations") == len(NAMES) + 1, SECONDS, "the new conversation")
    wait_until(lambda: rows("transitions") == len(CALLS) + len(more), SECONDS, "its transitions")
    assert second.stop() == 0
    with psycopg.connect(postgres) as database:
        answer = database.execute("SELECT count(*) FROM queues_now").fetchone()
    assert answer is not None
