"""`mirror projector` on a real Kafka: what it writes, restores, refuses and tells."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from confluent_kafka import Producer
from confluent_kafka.cimpl import NewPartitions

from harness.kafka_topics import admin_client
from harness.pages import health
from harness.process import ManagedProcess, free_ports, wait_until
from mirror.checks.projector import check_projector
from mirror.conversation.schema import view_schema
from mirror.fleet.reasons import projectors
from mirror.fleet.workers import list_workers
from mirror.kafka.admin import ensure_topics
from mirror.redis.clock import redis_now_ms
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from projector.rebuild import rebuild
from tests.integration.projector_support import EXACT, Stage, quick_cluster, stream

Start = Callable[[ManagedProcess], ManagedProcess]
WITHIN = 40.0

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of this module's own."""
    yield from quick_cluster(tmp_path_factory.mktemp("kafka"))


def test_each_event_stands_once_and_each_view_is_the_fold(
    cluster: str, start_process: Start, tmp_path: Path
) -> None:
    """Two of everything in, one of everything out, with the record that came first: its key, value,
    headers, time and partition. Views are what the schema says.
    """
    stage = Stage(cluster)
    stage.send(stream(60, seed=1))
    process = start_process(stage.process(tmp_path, "projector"))
    stage.await_projected()
    assert stage.count() == EXACT
    first: dict[str, Any] = {}
    for message in stage.read(stage.settings.topic):
        first.setdefault(dict(message.headers())["ce_id"].decode(), message)
    for message in stage.read(stage.once):
        source = first[dict(message.headers())["ce_id"].decode()]
        for part in ("key", "value", "headers", "timestamp", "partition"):
            assert getattr(message, part)() == getattr(source, part)(), part
    schema = view_schema()
    for message in stage.read(stage.settings.conversations_topic):
        jsonschema.validate(json.loads(message.value()), schema)
    assert process.stop() == 0


def test_the_next_projector_knows_what_the_last_one_counted(
    cluster: str, start_process: Start, tmp_path: Path
) -> None:
    """State is in Kafka alone: everything comes again behind a restart, and nothing stands twice;
    also where the group's offsets are gone.
    """
    stage = Stage(cluster)
    events = stream(40, seed=2)
    stage.send(events[:300])
    assert start_process(stage.process(tmp_path, "first")).running
    stage.await_projected()
    start_process(stage.process(tmp_path, "second")).stop()
    first = stage.process(tmp_path, "third")
    stage.send(events[300:])
    stage.send(events)
    start_process(first)
    stage.await_projected()
    assert stage.count() == EXACT


def test_lost_offsets_of_the_group_cost_nothing(
    cluster: str, start_process: Start, tmp_path: Path
) -> None:
    """They expire a week after the last projector: the views say what was counted."""
    stage = Stage(cluster)
    stage.send(stream(30, seed=3))
    process = start_process(stage.process(tmp_path, "first"))
    stage.await_projected()
    assert process.stop() == 0
    group = f"mirror-{stage.settings.namespace}-projector"
    admin = admin_client(cluster)
    admin.list_topics(timeout=10)
    admin.delete_consumer_groups([group])[group].result(20)
    stage.send(stream(5, seed=4))
    start_process(stage.process(tmp_path, "second"))
    stage.await_projected()
    assert stage.count() == EXACT


def test_conversations_that_ended_leave(cluster: str, start_process: Start, tmp_path: Path) -> None:
    """After the grace each gets a tombstone; those that go on stay."""
    stage = Stage(cluster, MIRROR_CONVERSATION_GRACE="2s")
    stage.send(stream(30, seed=5))
    going_on = {key for key, view in stage.expected().items() if view.state == "active"}
    assert going_on
    start_process(stage.process(tmp_path, "projector"))
    stage.await_projected()
    wait_until(lambda: set(stage.views()) == going_on, WITHIN, "only active conversations stay")


def test_a_rebuild_makes_both_topics_from_what_is_retained(
    cluster: str, start_process: Start, tmp_path: Path
) -> None:
    """Refused while a projector runs; afterwards each event stands once again."""
    stage = Stage(cluster)
    stage.send(stream(30, seed=6))
    process = start_process(stage.process(tmp_path, "projector"))
    stage.await_projected()
    argv = ("projector", "rebuild", "--yes")
    with ManagedProcess.mirror(*argv, folder=tmp_path, env=stage.env, name="early") as early:
        assert early.wait(WITHIN) == 1
        assert "stop all of them" in early.stderr
    process.stop()
    with ManagedProcess.mirror(*argv, folder=tmp_path, env=stage.env, name="rebuild") as rebuild:
        assert rebuild.wait(WITHIN) == 0, rebuild.describe("rebuild")
    assert stage.read(stage.once) == []
    process.start()
    stage.await_projected()
    assert stage.count() == EXACT


def told(stage: Stage) -> list[str] | None:
    """What `mirror status` says of the projector; None where none reported."""
    with connect(stage.settings) as client:
        workers = list_workers(client, Keys(stage.settings.namespace))
        return projectors(workers, redis_now_ms(client), "") if workers else None


def test_partitions_that_were_added_are_refused(
    cluster: str, start_process: Start, redis_url: str, tmp_path: Path
) -> None:
    """While it runs, projecting stops, and health and status say why; a start is refused until a
    rebuild."""
    stage = Stage(cluster, partitions=2, MIRROR_STARTUP_TIMEOUT="3s", REDIS_URL=redis_url)
    stage.send(stream(10, seed=7))
    (port,) = free_ports(1)
    process = start_process(stage.process(tmp_path, "one", MIRROR_METRICS_PORT=str(port)))
    stage.await_projected()
    process.wait_for(lambda: health(port).get("health") == "ok", WITHIN, "is well")
    wait_until(lambda: told(stage) == [], WITHIN, "status knows that it is well")
    admin = admin_client(cluster)
    admin.create_partitions([NewPartitions(stage.settings.topic, 4)])[stage.settings.topic].result(
        20
    )
    process.wait_for(lambda: health(port).get("health") == "down", WITHIN, "is down")
    assert "mirror projector rebuild" in " ".join(health(port)["reasons"])
    wait_until(lambda: "projector rebuild" in str(told(stage)), WITHIN, "status says why")
    assert process.stop() == 0
    assert told(stage) is None
    late = start_process(stage.process(tmp_path, "late"))
    assert late.wait(WITHIN) == 3
    assert "has 4 partitions" in late.stderr
    argv = ("projector", "rebuild", "--yes")
    with ManagedProcess.mirror(*argv, folder=tmp_path, env=stage.env, name="rebuild") as rebuild:
        assert rebuild.wait(WITHIN) == 0, rebuild.describe("rebuild")
    stage.settings = msgspec.structs.replace(stage.settings, partitions=4)
    start_process(stage.process(tmp_path, "after"))
    stage.await_projected()
    assert stage.count().missing == stage.count().twice == 0


def test_what_somebody_else_wrote_is_refused(
    cluster: str, start_process: Start, tmp_path: Path
) -> None:
    """A view without what a projector keeps in it: not counted again from nothing, but told."""
    stage = Stage(cluster, partitions=1)
    foreign = Producer({"bootstrap.servers": cluster})
    foreign.produce(stage.settings.conversations_topic, b"{}", b"c-1")
    assert foreign.flush(20) == 0
    stage.send(stream(2, seed=8))
    (port,) = free_ports(1)
    process = start_process(stage.process(tmp_path, "one", MIRROR_METRICS_PORT=str(port)))
    process.wait_for(lambda: health(port).get("health") == "down", WITHIN, "is down")
    assert "rebuild" in " ".join(health(port)["reasons"])
    assert stage.read(stage.once) == []


def test_records_that_are_no_events_are_told(
    cluster: str, start_process: Start, tmp_path: Path
) -> None:
    """They are left out, the others are projected, and health says so."""
    stage = Stage(cluster, partitions=1)
    foreign = Producer({"bootstrap.servers": cluster})
    foreign.produce(stage.settings.topic, b"garbage", b"c-1")
    assert foreign.flush(20) == 0
    stage.send(stream(2, seed=9))
    (port,) = free_ports(1)
    start_process(stage.process(tmp_path, "one", MIRROR_METRICS_PORT=str(port)))
    stage.await_projected()
    assert health(port)["health"] == "degraded"
    assert "1 record could not be read" in str(health(port)["reasons"])


def test_the_console_shows_each_event_once(
    cluster: str, start_process: Start, tmp_path: Path
) -> None:
    """`mirror tail --once` reads what was committed of the once topic."""
    stage = Stage(cluster)
    stage.send(stream(10, seed=9))
    start_process(stage.process(tmp_path, "projector"))
    stage.await_projected()
    wanted = {event.event_id for event in stage.sent}
    argv = ("tail", "--once", "--json", "--from", "beginning", "--limit", str(len(wanted)))
    with ManagedProcess.mirror(*argv, folder=tmp_path, env=stage.env, name="tail") as tail:
        assert tail.wait(WITHIN) == 0
        shown = [json.loads(line)["event_id"] for line in tail.stdout.splitlines()]
    assert sorted(shown) == sorted(wanted)


def test_init_makes_the_topics(cluster: str) -> None:
    """As many partitions as the interaction topic really has, and views compacted."""
    stage = Stage(cluster, partitions=3)
    admin = admin_client(cluster)
    names = [stage.settings.once_topic, stage.settings.conversations_topic]
    for answer in admin.delete_topics(names).values():
        answer.result(20)
    wait_until(lambda: not set(names) & admin.list_topics(timeout=5).topics.keys(), 20, "are gone")
    settings = msgspec.structs.replace(stage.settings, partitions=12)
    made = {state.name: state for state in ensure_topics(settings, 20)}
    assert {made[name].partitions for name in names} == {3}
    assert {made[name].outcome for name in names} == {"created"}


def test_without_projectors_their_topics_may_be_missing(cluster: str) -> None:
    """With `MIRROR_PROJECTORS=0` init makes none, doctor finds nothing wrong and tries no
    transaction; what exists is looked at all the same. A rebuild makes them.
    """
    stage = Stage(cluster, partitions=3, MIRROR_PROJECTORS="0")
    names = [stage.settings.once_topic, stage.settings.conversations_topic]
    looked_at = check_projector(stage.settings, tries=True)
    assert [finding for finding in looked_at if finding.level == "bad"] == []
    admin = admin_client(cluster)
    for answer in admin.delete_topics(names).values():
        answer.result(20)
    wait_until(lambda: not set(names) & admin.list_topics(timeout=5).topics.keys(), 20, "are gone")
    assert not set(names) & {state.name for state in ensure_topics(stage.settings, 20)}
    found = list(check_projector(stage.settings, tries=True))
    assert [finding.check for finding in found] == ["kafka.topic", "kafka.topic"]
    assert {finding.level for finding in found} == {"good"}
    assert {state.name for state in rebuild(stage.settings)} == set(names)
    wanted = msgspec.structs.replace(
        stage.settings,
        supervised=msgspec.structs.replace(
            stage.settings.supervised, counts={**stage.settings.supervised.counts, "projector": 1}
        ),
    )
    assert "good" in {
        finding.level
        for finding in check_projector(wanted, tries=True)
        if finding.check == "kafka.transactions"
    }
