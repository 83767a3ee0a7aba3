"""Partitions that are added to the topic while the mirror runs: nothing is out of order, and it is
said until an operator adopts them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from console import main
from harness.deployment import Deployment
from harness.kafka_topics import read_topic
from harness.process import wait_until
from janitor.producer import AckedProducer
from listeners.counters import Counters
from listeners.publish.publisher import Publisher
from mirror.checks.growth import growth_of
from mirror.fleet.pinned import pin, read_pinned
from mirror.kafka.admin import check
from mirror.kafka.consume import conversation_events
from mirror.kafka.partition import partition
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.settings import Settings, load
from tests.integration.small_mirror import small_mirror
from tests.integration.test_listener_publisher import Driver, event, first_seen

BEFORE, AFTER = 3, 7
CONVERSATIONS = 60


@pytest.fixture
def env(
    kafka: str, redis_url: str, make_topic: Callable[..., str], tmp_path: Path
) -> dict[str, str]:
    """A mirror whose topic has three partitions."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "KAFKA_CONF_TOPIC_METADATA_REFRESH_INTERVAL_MS": "300",  # it notices soon
        "REDIS_URL": redis_url,
        "MIRROR_NAMESPACE": tmp_path.name,
        "MIRROR_TOPIC": make_topic(partitions=BEFORE),
        "MIRROR_DEAD_LETTER_TOPIC": make_topic(partitions=1),
        "MIRROR_PARTITIONS": str(BEFORE),
        "MIRROR_SPOOL_DIR": str(tmp_path / "spool"),
    }


def grow(settings: Settings) -> None:
    """Add partitions; returns when the broker has them."""
    client = AdminClient({"bootstrap.servers": settings.kafka.properties["bootstrap.servers"]})
    client.create_partitions([NewPartitions(settings.topic, AFTER)])[settings.topic].result(10)
    wait_until(lambda: check(settings, 5.0).topics[settings.topic][0] == AFTER, 10.0, "grown")


def pinned(settings: Settings) -> dict[str, int]:
    """As a process learns it at its start."""
    client = connect(settings)
    try:
        found = check(settings, 5.0).partitions(settings)
        return pin(client, Keys(settings.namespace), found)
    finally:
        client.close()


def driver(settings: Settings, numbers: dict[int, int] | None = None) -> Driver:
    """A listener's publisher as a process starts it, going on with `numbers`."""
    made = Driver.__new__(Driver)
    made.counters = Counters()
    made.publisher = Publisher(settings, "l", made.counters, partitions=pinned(settings))
    made._numbers = dict(numbers or {})
    return made


def out_of_order(records: list[Any]) -> int:
    """Conversations that are in another partition too, or not in their order."""
    partitions: dict[str, set[int]] = defaultdict(set)
    for record in records:
        partitions[record.key()].add(record.partition())
    strays = sum(len(found) - 1 for found in partitions.values())
    wrong = sum(numbers != sorted(numbers) for numbers in first_seen(records).values())
    return strays + wrong


def test_a_topic_that_grows_under_load_puts_nothing_out_of_order(env: dict[str, str]) -> None:
    """Before, during and after, over a restart of the listener, from the janitor as well: each
    conversation stays where it is."""
    settings = load(env)
    first = driver(settings)
    first.send(300, CONVERSATIONS)
    first.until(lambda: first.counters.delivered >= 100)
    grow(settings)
    for _ in range(30):
        first.send(60, CONVERSATIONS)
        waited = first.counters.produced
        first.until(lambda: first.counters.delivered >= waited)  # noqa: B023 - used at once
    first.until(lambda: first.counters.delivered == sum(first._numbers.values()))
    first.publisher.stop(10.0)
    second = driver(settings, first._numbers)
    second.send(300, CONVERSATIONS)
    second.until(lambda: second.counters.delivered == 300)
    second.publisher.stop(10.0)
    producer = AckedProducer(settings, partitions=pinned(settings))
    producer.send([event(key, number) for key, number in second._numbers.items()])
    records = read_topic(settings.kafka.properties["bootstrap.servers"], settings.topic)
    assert len(records) == 300 + 1_800 + 300 + CONVERSATIONS
    assert {record.partition() for record in records} == set(range(BEFORE))
    assert out_of_order(records) == 0
    for key, number in second._numbers.items():
        name = f"conversation-{key}"
        found = list(conversation_events(settings, name, 0, 30.0, pinned(settings)))
        assert len(found) == number + 1


def test_growth_is_said_until_it_is_adopted(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By every process that looks, those that start later too; `mirror init` adopts them."""
    settings = load(env)
    assert pinned(settings)[settings.topic] == BEFORE
    growth = growth_of(settings)
    assert list(growth.findings()) == []
    grow(settings)
    for looking in (growth, growth_of(settings)):
        (found,) = looking.findings()
        assert (found.check, found.ok) == ("kafka.partitions", False)
        assert (
            f"{AFTER} partitions, but conversations go only to the first {BEFORE}" in found.detail
        )
        assert "mirror init --adopt-partitions" in found.cure
        assert len(looking.reasons) == 1
    assert pinned(settings)[settings.topic] == BEFORE
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["mirror", "init", "--adopt-partitions"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert f"go to {AFTER} partitions from the next start on" in capsys.readouterr().out
    assert pinned(settings)[settings.topic] == AFTER
    assert list(growth.findings()) == []
    assert growth.reasons == ()


def test_a_topic_made_again_with_fewer_is_followed(env: dict[str, str]) -> None:
    """What is no more cannot be written to; Redis notes it."""
    settings = load(env)
    client, keys = connect(settings), Keys(settings.namespace)
    try:
        assert pin(client, keys, {"a": 5, "b": 2}) == {"a": 5, "b": 2}
        assert pin(client, keys, {"a": 3, "b": 9}) == {"a": 3, "b": 2}
        assert read_pinned(client, keys) == {"a": 3, "b": 2}
    finally:
        client.close()


@pytest.mark.timeout(400)
def test_a_whole_mirror_keeps_its_partitions(tmp_path: Path, kafka: str) -> None:
    """Processes under load, one of each kind started again after the topic grew: no conversation is
    in two partitions, and status, health and doctor say what to do."""
    more = {
        "MIRROR_PARTITIONS": str(BEFORE),
        "KAFKA_CONF_TOPIC_METADATA_REFRESH_INTERVAL_MS": "500",
    }
    load_options = ("--rate", "5", "--speed", "20", "--autostart")
    with small_mirror(tmp_path, kafka, more, *load_options) as mirror:
        topic = mirror.settings.topic
        wait_until(lambda: len(mirror.records(topic)) > 100, 60, "events")
        grow(mirror.settings)
        for name in ("coordinator", "north", "janitor"):
            mirror.processes[name].kill()
            mirror.processes[name].start()
        grown = f"{AFTER} partitions, but conversations go only to the first {BEFORE}"

        def told(reasons: Iterable[str]) -> bool:
            return any(grown in reason and "--adopt-partitions" in reason for reason in reasons)

        wait_until(lambda: told(mirror.status().reasons), 120, "status says so")
        wait_until(lambda: told_of_health(mirror, grown), 120, "health says so")
        out, _ = mirror.command("doctor", expect=1)
        assert grown in out.decode()
        count = len(mirror.records(topic))
        wait_until(lambda: len(mirror.records(topic)) > count + 200, 60, "more events")
        _, err = mirror.command("init", "--adopt-partitions", expect=1)
        assert "stop all processes first" in err
        mirror.org.drain()
        records = mirror.records(topic)
        assert {record.partition() for record in records} == set(range(BEFORE))
        places: dict[bytes, set[int]] = defaultdict(set)
        for record in records:
            places[record.key()].add(record.partition())
        assert sum(len(found) > 1 for found in places.values()) == 0
        assert mirror.health("coordinator")["health"] == "degraded"
        moved = next(
            key.decode()
            for key, found in places.items()
            if partition(key.decode(), AFTER) not in found
        )
        shown, _ = mirror.command("conversations", moved, "--json")
        assert json.loads(shown)["conversations"][0]["legs"]


def told_of_health(mirror: Deployment, grown: str) -> bool:
    """Whether the coordinator's health has it."""
    return any(grown in reason for reason in mirror.health("coordinator")["reasons"])
