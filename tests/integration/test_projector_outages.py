"""Projectors that come and go, and a Kafka that does: nothing is missing, nothing stands twice."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from harness.kafka import KafkaCluster, KafkaUnavailable
from harness.pages import health
from harness.process import ManagedProcess, free_ports, wait_until
from projector.topics import ANSWER_SECONDS
from tests.integration.projector_support import EXACT, QUICK, Stage, stream
from tests.services.availability import unavailable

Start = Callable[[ManagedProcess], ManagedProcess]
# Beyond the session (ten seconds) and the time that a transaction may take (fifteen).
AWAY_SECONDS = 20.0
BACK_WITHIN = 90.0

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """A broker of this module's own, to be stopped and started."""
    try:
        with KafkaCluster(tmp_path_factory.mktemp("kafka"), properties=QUICK) as made:
            yield made
    except KafkaUnavailable as missing:
        unavailable(str(missing))


class Flow:
    """A stream that goes on, a piece at a time."""

    def __init__(self, stage: Stage, conversations: int, seed: int, pieces: int) -> None:
        self._stage = stage
        events = stream(conversations, seed)
        size = len(events) // pieces + 1
        self._pieces = iter([events[at : at + size] for at in range(0, len(events), size)])

    def goes_on(self) -> None:
        """The next piece is produced."""
        self._stage.send(next(self._pieces))

    def ends(self) -> None:
        """The rest is."""
        for piece in self._pieces:
            self._stage.send(piece)


def _has_a_partition(process: ManagedProcess) -> bool:
    return "partition_ready" in process.stderr


def test_projectors_come_and_go(
    cluster: KafkaCluster, start_process: Start, tmp_path: Path
) -> None:
    """One, then two, then three share the partitions; they are stopped and killed with records
    under way, and who is left takes over.
    """
    stage = Stage(cluster.bootstrap_servers, partitions=6)
    flow = Flow(stage, 120, seed=11, pieces=12)
    first, second, third = (stage.process(tmp_path, name) for name in ("one", "two", "three"))
    for process in (first, second, third):
        start_process(process)
        flow.goes_on()
        flow.goes_on()
        has_one = partial(_has_a_partition, process)
        process.wait_for(has_one, 60, "has a partition")
    first.stop()
    flow.goes_on()
    second.kill()
    flow.goes_on()
    first.start()
    flow.goes_on()
    flow.ends()
    stage.await_projected(BACK_WITHIN)
    assert stage.count() == EXACT


def test_kafka_is_silent_for_longer_than_a_session_and_a_transaction(
    cluster: KafkaCluster, start_process: Start, tmp_path: Path
) -> None:
    """Its sockets stay open and nobody answers; transactions are aborted by time. Two projectors
    go on by themselves.
    """
    stage = Stage(cluster.bootstrap_servers)
    flow = Flow(stage, 200, seed=12, pieces=6)
    for name in ("one", "two"):
        start_process(stage.process(tmp_path, name))
    flow.goes_on()
    stage.await_projected()
    flow.goes_on()
    cluster.brokers[0].pause()
    with pytest.raises(AssertionError, match="not within"):
        wait_until(lambda: False, AWAY_SECONDS, "nothing")
    cluster.brokers[0].resume()
    flow.goes_on()
    flow.ends()
    stage.await_projected(BACK_WITHIN)
    assert stage.count() == EXACT


def test_a_projector_with_nothing_to_do_tells_that_kafka_is_away(
    cluster: KafkaCluster, start_process: Start, tmp_path: Path
) -> None:
    """No transaction fails, because there is none; it does not know whether there is work."""
    stage = Stage(cluster.bootstrap_servers)
    (port,) = free_ports(1)
    process = start_process(stage.process(tmp_path, "one", MIRROR_METRICS_PORT=str(port)))
    process.wait_for(lambda: health(port).get("health") == "ok", BACK_WITHIN, "is well")
    cluster.brokers[0].pause()
    away = "Kafka at 127.0.0.1"
    wait_until(lambda: away in str(health(port)["reasons"]), 3 * ANSWER_SECONDS, "it is told")
    cluster.brokers[0].resume()
    wait_until(lambda: health(port)["health"] == "ok", BACK_WITHIN, "it is well again")


def test_kafka_crashes_with_a_transaction_under_way(
    cluster: KafkaCluster, start_process: Start, tmp_path: Path
) -> None:
    """And is back after a while, with what it had on its disk."""
    stage = Stage(cluster.bootstrap_servers)
    flow = Flow(stage, 200, seed=13, pieces=6)
    projector = start_process(stage.process(tmp_path, "one"))
    flow.goes_on()
    stage.await_projected()
    flow.goes_on()
    broker = cluster.brokers[0]
    broker.process.send(signal.SIGKILL)
    broker.process.wait(20)
    broker.start()
    cluster.wait_ready()
    flow.goes_on()
    flow.ends()
    stage.await_projected(BACK_WITHIN)
    assert stage.count() == EXACT
    assert projector.stop() == 0


def test_a_partition_that_cannot_be_written_holds_up_itself_alone(
    kafka_cluster_factory: Callable[[int], KafkaCluster], start_process: Start, tmp_path: Path
) -> None:
    """Of the once topic one partition is on a broker that dies. The other partition goes on; once
    the broker is back, nothing is missing.
    """
    cluster = kafka_cluster_factory(3)
    brokers = {"": [1, 2], ".once": [3, 2], ".conversations": [1, 2]}
    stage = Stage(cluster.bootstrap_servers, partitions=2, brokers=brokers)
    flow = Flow(stage, 60, seed=14, pieces=4)
    projector = start_process(stage.process(tmp_path, "one"))
    flow.goes_on()
    stage.await_projected()
    cluster.brokers[2].kill()
    flow.ends()
    wanted = stage.offsets("")[1]
    wait_until(lambda: stage.committed().get(1) == wanted, BACK_WITHIN, "the other one goes on")
    assert stage.committed()[0] < stage.offsets("")[0]
    assert "transaction_aborted" in projector.stderr
    cluster.brokers[2].start()
    stage.await_projected(BACK_WITHIN)
    assert stage.count() == EXACT


def test_a_partition_without_a_leader_holds_up_itself_alone(
    kafka_cluster_factory: Callable[[int], KafkaCluster], start_process: Start, tmp_path: Path
) -> None:
    """One partition of each topic is on a broker that dies. A projector that starts then goes on
    with the other partition, and says so; once the broker is back, nothing is missing.
    """
    cluster = kafka_cluster_factory(3)
    brokers = {end: [3, 2] for end in ("", ".once", ".conversations")}
    stage = Stage(cluster.bootstrap_servers, partitions=2, brokers=brokers)
    flow = Flow(stage, 60, seed=15, pieces=4)
    # As under a supervisor. The coordinator of its last transaction may be on that broker: until
    # there is another one, the other partition shows no views.
    projector = start_process(stage.process(tmp_path, "one", MIRROR_STARTUP_TIMEOUT="0"))
    flow.goes_on()
    stage.await_projected()
    before = stage.committed()
    projector.stop()
    flow.ends()
    wanted = stage.offsets("")  # a broker that is just back may tell of fewer records for a while
    cluster.brokers[2].kill()
    projector.start()
    wait_until(lambda: stage.committed().get(1) == wanted[1], BACK_WITHIN, "the other one goes on")
    assert stage.committed()[0] == before[0]
    assert "partition 0: it has no leader" in projector.stderr
    cluster.brokers[2].start()
    wait_until(lambda: stage.committed() == wanted, BACK_WITHIN, "all is projected")
    assert stage.count() == EXACT
