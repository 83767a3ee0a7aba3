"""The janitor as a process: start-up, signals, and SIGKILL between any two of its effects."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.pages import ask, health
from harness.process import ManagedProcess, free_ports, wait_until
from harness.simulated import Simulated
from mirror.fleet.gaps import Gap, file_gap
from mirror.kafka.admin import ensure_topics
from mirror.settings import load
from tests.integration.janitor_support import Stage, environment, quiet_org, staged, tracking

ROOT = str(Path(__file__).parents[2])


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Simulated]:
    """A Genesys Cloud in which nothing happens unasked."""
    with quiet_org(tmp_path) as made:
        yield made


@pytest.fixture
def env(kafka: str, redis_url: str, topic_name: str, sim: Simulated) -> dict[str, str]:
    """The environment of a janitor whose topics exist."""
    made = environment(kafka, redis_url, topic_name, sim)
    made |= {"MIRROR_JANITOR_INTERVAL": "300ms", "PYTHONPATH": ROOT}
    ensure_topics(load(made))
    return made


@pytest.fixture
def stage(env: dict[str, str], sim: Simulated) -> Iterator[Stage]:
    """The test's own view of the same things."""
    with staged(env, sim) as made:
        yield made


def janitor(folder: Path, env: dict[str, str], name: str = "janitor") -> ManagedProcess:
    """`python -m janitor`."""
    return ManagedProcess.python_module("janitor", folder=folder, env=env, name=name)


def test_it_works_and_ends_cleanly_on_sigterm(
    tmp_path: Path, env: dict[str, str], stage: Stage, sim: Simulated
) -> None:
    """Zombies and gaps are worked on without being asked, and Prometheus can see it; SIGTERM ends
    it with 0 and no trace."""
    port = free_ports(1)[0]
    env = {**env, "MIRROR_METRICS_PORT": str(port), "MIRROR_ANALYTICS_LAG": "0s"}
    body = sim.post("/_sim/control", {"action": "spawn", "scenario": "outbound_call", "count": 5})
    ids = set(body["conversation_ids"])
    time.sleep(0.2)
    stage.witness(sorted(ids))
    with tracking(stage.settings), janitor(tmp_path, env) as process:
        process.wait_for(lambda: '"started"' in process.stderr, 30, "started")
        sim.drain()
        stage.wait_tracked(set(), 30)
        began = round(time.time() * 1000) - 60_000
        topics = tuple(sim.topics())
        gap = Gap(id="g", shard="0", topics=topics, from_ms=began, to_ms=began + 60_000)
        file_gap(stage.client, stage.keys, gap)

        def read_twice() -> bool:  # at once: analytics is said not to lag
            found = stage.leases.gap("g")
            return found is not None and found.readings == 2

        process.wait_for(read_twice, 20, "the gap was read")
        assert health(port)["health"] == "ok"
        wait_until(
            lambda: "gaps_filled_total 1.0" in ask(port, "/metrics")[1], 10, "one gap is filled"
        )
        assert re.search(r'verified_total\{outcome="finalized"\} [1-9]', ask(port, "/metrics")[1])
        started = time.monotonic()
        process.send(signal.SIGTERM)
        assert process.wait(25) == 0
        assert time.monotonic() - started < 25
    assert "Traceback" not in process.stderr
    assert all(line.startswith("{") for line in process.stderr.splitlines())
    assert not sim.get("/_sim/violations")["violations"]


def test_a_dependency_that_is_away_ends_start_up_with_one_line(
    tmp_path: Path, env: dict[str, str]
) -> None:
    """Exit code 3 after MIRROR_STARTUP_TIMEOUT, naming what does not answer."""
    port = free_ports(1)[0]
    for variable, value in (
        ("REDIS_URL", f"redis://127.0.0.1:{port}/0"),
        ("KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{port}"),
        ("GENESYS_API_URL", f"http://127.0.0.1:{port}"),
    ):
        broken = {**env, variable: value, "MIRROR_STARTUP_TIMEOUT": "1s"}
        with janitor(tmp_path, broken, f"without-{variable}") as process:
            assert process.wait(90) == 3
        last = process.stderr.splitlines()[-1]
        assert str(port) in last
        assert "Traceback" not in process.stderr
        assert not last.startswith("{")


@pytest.mark.slow
def test_kills_neither_lose_nor_invent(
    tmp_path: Path, env: dict[str, str], stage: Stage, sim: Simulated
) -> None:
    """SIGKILL at many moments of the work: in the end each is finalized under one id, none else."""
    sim.post("/_sim/control", {"speed": 0.5})  # so that the calls outlast their being witnessed
    going_on = sim.post(
        "/_sim/control", {"action": "spawn", "scenario": "endless_call", "count": 3}
    )["conversation_ids"]
    ending = sim.post(
        "/_sim/control", {"action": "spawn", "scenario": "outbound_call", "count": 30}
    )["conversation_ids"]
    time.sleep(0.3)
    stage.witness(going_on + ending)
    sim.post("/_sim/control", {"speed": 60})
    active = f"{stage.keys.active}"

    def lapse() -> None:
        """What the dead janitor had claimed is due again, as after its lease."""
        for id_ in stage.client.zrange(active, 0, -1):
            stage.client.zadd(active, {str(id_): 1}, xx=True)

    with tracking(stage.settings):
        wait_until(lambda: set(going_on) < stage.tracked(), 30, "tracked")
        stage.wait_settled()
        ending = sorted(stage.tracked() - set(going_on))  # the others' ends were witnessed
        assert len(ending) >= 5

        def over() -> bool:
            return not set(ending) & set(stage.active())

        wait_until(over, 60, "they ended at Genesys")
        for turn in range(6):
            with janitor(tmp_path, env, f"killed-{turn}") as process:
                process.wait_for(
                    lambda: "conversation_finalized" in process.stderr,
                    30,
                    "at work",
                )
                time.sleep(0.004 * turn)
                process.send(signal.SIGKILL)
                process.wait(10)
            stage.wait_settled()  # else it may look as if there were work left for another one
            lapse()
            if len(stage.tracked()) <= len(going_on) + 1:
                break
        with janitor(tmp_path, env, "last"):
            stage.wait_tracked(set(going_on), 60)
    finals = [event for event in stage.events() if event.event_type == "finalize"]
    assert {event.conversation_id for event in finals} == set(ending)
    assert len({event.event_id for event in finals}) == len(ending)
