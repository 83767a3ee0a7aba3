"""`mirror projector` while it starts: signals, topics that grew, and its health meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from confluent_kafka.cimpl import NewPartitions

from harness.kafka_topics import admin_client
from harness.pages import ask
from harness.process import ManagedProcess, free_ports
from mirror.checks.projector import check_projector
from tests.integration.projector_support import Stage, quick_cluster, stream

Start = Callable[[ManagedProcess], ManagedProcess]
WITHIN = 40.0
# A start that waits holds nothing: it ends within a second, and the interpreter with it.
QUICK_SECONDS = 5.0

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of this module's own."""
    yield from quick_cluster(tmp_path_factory.mktemp("kafka"))


def grow(stage: Stage, ends: tuple[str, ...], count: int) -> None:
    """Add partitions to the topics with these ends."""
    admin = admin_client(stage.cluster)
    for end in ends:
        topic = stage.settings.topic + end
        admin.create_partitions([NewPartitions(topic, count)])[topic].result(20)


def ends_at_once(process: ManagedProcess) -> None:
    """On SIGTERM, with exit code 0."""
    began = time.monotonic()
    assert process.stop() == 0, process.describe("a start that a signal ended")
    assert time.monotonic() - began < QUICK_SECONDS


def test_a_signal_ends_a_start_that_waits_for_kafka(
    cluster: str, start_process: Start, tmp_path: Path
) -> None:
    """Whoever is asked does not answer: the start has taken nothing that is to be given back."""
    stage = Stage(cluster)
    port, metrics_port = free_ports(2)
    process = start_process(
        stage.process(
            tmp_path,
            "projector",
            KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{port}",
            MIRROR_STARTUP_TIMEOUT="0",
            MIRROR_METRICS_PORT=str(metrics_port),
        )
    )
    process.wait_for(lambda: ask(metrics_port, "/healthz")[0] == 200, WITHIN, "serves its health")
    waits = "the start waits: Kafka at"
    process.wait_for(lambda: waits in ask(metrics_port, "/healthz")[1], WITHIN, "says for what")
    assert json.loads(ask(metrics_port, "/healthz")[1])["health"] == "degraded"
    ends_at_once(process)
    assert '"stopped"' in process.stderr


def test_a_signal_ends_a_start_that_waits_for_even_topics(
    cluster: str, start_process: Start, tmp_path: Path
) -> None:
    """It says what is wrong, lives, and goes on once it is put right."""
    stage = Stage(cluster, partitions=2)
    grow(stage, ("",), 3)
    (port,) = free_ports(1)
    waiting = {"MIRROR_STARTUP_TIMEOUT": "0", "MIRROR_METRICS_PORT": str(port)}
    process = start_process(stage.process(tmp_path, "projector", **waiting))
    process.wait_for(lambda: ask(port, "/healthz")[0] == 503, WITHIN, "is down")
    assert "has 3 partitions" in ask(port, "/healthz")[1]
    assert ask(port, "/livez")[0] == 200
    ends_at_once(process)
    again = start_process(stage.process(tmp_path, "again", **waiting))
    again.wait_for(lambda: "waiting_for_topics" in again.stderr, WITHIN, "waits")
    grow(stage, (".once", ".conversations"), 3)
    again.wait_for(lambda: '"started"' in again.stderr, WITHIN, "has started")


@pytest.mark.parametrize("signal_first", [0.0, 0.5, 1.0], ids=str)
def test_a_signal_at_any_time_of_the_start_ends_it(
    cluster: str, start_process: Start, tmp_path: Path, signal_first: float
) -> None:
    """Also in the midst of what the start begins; what it has begun is stopped in order."""
    stage = Stage(cluster)
    stage.send(stream(5, seed=21))
    process = start_process(stage.process(tmp_path, "projector"))
    process.wait_for(lambda: '"starting"' in process.stderr, WITHIN, "it begins")
    with pytest.raises(AssertionError, match="not within"):
        process.wait_for(lambda: False, signal_first, "nothing")
    assert process.stop() == 0, process.describe("a start that a signal ended")


def test_topics_that_grew_alike_are_refused_by_the_next_start(
    cluster: str, start_process: Start, tmp_path: Path
) -> None:
    """The views say with how many partitions they were made: a restart does not pass the hold."""
    stage = Stage(cluster, partitions=2)
    stage.send(stream(10, seed=22))
    (port,) = free_ports(1)
    process = start_process(stage.process(tmp_path, "one", MIRROR_METRICS_PORT=str(port)))
    stage.await_projected()
    grow(stage, ("",), 4)
    process.wait_for(lambda: ask(port, "/healthz")[0] == 503, WITHIN, "is down")
    assert ask(port, "/livez")[0] == 200, "a restart would not help"
    grow(stage, (".once", ".conversations"), 4)
    assert process.stop() == 0

    waiting = {"MIRROR_STARTUP_TIMEOUT": "0", "MIRROR_METRICS_PORT": str(port)}
    again = start_process(stage.process(tmp_path, "again", **waiting))
    again.wait_for(lambda: ask(port, "/healthz")[0] == 503, WITHIN, "is down again")
    assert "were made with 2 partitions" in ask(port, "/healthz")[1]
    assert ask(port, "/livez") == (200, "lives\n")
    ends_at_once(again)
    late = start_process(stage.process(tmp_path, "late", MIRROR_STARTUP_TIMEOUT="2s"))
    assert late.wait(WITHIN) == 3
    assert "were made with 2 partitions" in late.stderr
    stage.settings = msgspec.structs.replace(stage.settings, partitions=4)
    told = [
        finding for finding in check_projector(stage.settings) if finding.check == "kafka.projector"
    ]
    assert [finding.level for finding in told] == ["bad"]
    assert "were made with 2 partitions" in told[0].detail

    argv = ("projector", "rebuild", "--yes")
    with ManagedProcess.mirror(*argv, folder=tmp_path, env=stage.env, name="rebuild") as rebuild:
        assert rebuild.wait(WITHIN) == 0, rebuild.describe("rebuild")
    start_process(stage.process(tmp_path, "after"))
    stage.await_projected()
    assert stage.count().missing == stage.count().twice == 0
