"""Topics and partitions do not hold each other up, against a real Kafka.

A dead-letter topic that is gone or forbidden, a partition whose broker is frozen, a spool that is
cut: the rest goes on, what waits is on disk within seconds, and nothing that was acknowledged is
sent again.

Not shown here: a broker that loses what it acknowledged, and the loss of the disk.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from harness.kafka import KafkaCluster, KafkaUnavailable
from harness.kafka_topics import admin_client, create_topic, read_topic
from listeners.publish.lanes import STALL_SECONDS, lane_of
from listeners.publish.publisher import Publisher
from listeners.publish.spool import DATABASE
from mirror.kafka.record import read_event
from tests.integration.test_listener_publisher import Driver, configure, first_seen
from tests.services.availability import unavailable

pytestmark = pytest.mark.alone

PASSWORD = "s3cret"
PARTITIONS = 4


def bury(publisher: Publisher, count: int) -> None:
    """Frames that cannot be read, of several topics."""
    for number in range(count):
        publisher.dead_letter(
            b"garbage", source_topic=f"v2.{number}", stage="decode", error="E", message="m"
        )


def events_of(driver: Driver) -> int:
    """How many events were handed in."""
    return sum(driver._numbers.values())


def goes_on(driver: Driver, seconds: float, letters: str) -> None:
    """Events come all the while and reach Kafka; only dead letters wait."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        driver.send(20)
        driver.until(lambda: _waiting_topics(driver) <= {letters}, timeout=10.0)
        driver.until(lambda: not driver.publisher.pending, timeout=10.0)


def _waiting_topics(driver: Driver) -> set[str]:
    return {lane.topic for lane in driver.publisher._store.waiting}


def test_a_deleted_dead_letter_topic_holds_up_dead_letters_alone(
    kafka: str, make_topic: Callable[..., str], tmp_path: Path
) -> None:
    """Events go on and come once each; health names the topic and the cure; the letters follow when
    the topic is there again."""
    topic, letters = make_topic(partitions=PARTITIONS), make_topic(partitions=3)
    driver = Driver(configure(kafka, topic, letters, tmp_path))
    driver.send(100)
    bury(driver.publisher, 1)
    driver.until(lambda: not driver.publisher.pending)
    admin = admin_client(kafka)
    admin.list_topics(timeout=10)
    admin.delete_topics([letters])[letters].result(10)
    bury(driver.publisher, 30)
    goes_on(driver, 15.0, letters)
    assert any(letters in reason and "mirror init" in reason for reason in driver.publisher.reasons)
    assert not any(f" {topic}" in reason for reason in driver.publisher.reasons)
    bury(driver.publisher, 10)
    goes_on(driver, 1.0, letters)
    assert Counter(len(found) for found in read_events(kafka, topic).values()) == Counter(
        {events_of(driver) // 5: 5}
    ), "each event is there, once"
    create_topic(kafka, letters, partitions=3)
    driver.until(lambda: driver.publisher.mode == "direct", timeout=20.0)
    assert driver.publisher.reasons == ()
    driver.publisher.stop(5.0)
    assert len(read_topic(kafka, letters)) == 40
    assert driver.counters.lost == 0


def read_events(servers: str, topic: str) -> dict[str, list[int]]:
    """Conversation → the numbers of its events in log order, repeats included."""
    found: dict[str, list[int]] = {}
    for record in read_topic(servers, topic):
        read = read_event(record.value())
        found.setdefault(read.conversation_id, []).append(int(read.participant_id or -1))
    return found


def allow(admin: AdminClient, topic: str, *operations: AclOperation) -> None:
    """Give the mirror's user rights on a topic."""
    bindings = [
        AclBinding(
            ResourceType.TOPIC,
            topic,
            ResourcePatternType.LITERAL,
            "User:mirror",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        for operation in operations
    ]
    for future in admin.create_acls(bindings).values():
        future.result(10)


@pytest.mark.kafka
def test_a_forbidden_dead_letter_topic_holds_up_dead_letters_alone(tmp_path: Path) -> None:
    """The right to write is missing: events go on and come once each, and health names the right;
    the letters follow when it is given."""
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    properties: dict[str, object] = {
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl.plain.sasl.jaas.config": f'{module} required user_mirror="{PASSWORD}";',
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    try:
        cluster = KafkaCluster(
            tmp_path / "kafka", properties=properties, listeners={"SASL": "SASL_PLAINTEXT"}
        )
    except KafkaUnavailable as missing:
        unavailable(str(missing))
    with cluster:
        servers = cluster.bootstrap_servers
        topic = create_topic(servers, "events", partitions=PARTITIONS)
        letters = create_topic(servers, "letters", partitions=3)
        admin = cluster.admin()
        allow(admin, topic, AclOperation.DESCRIBE, AclOperation.WRITE)
        allow(admin, letters, AclOperation.DESCRIBE)
        driver = Driver(
            configure(
                cluster.servers["SASL"],
                topic,
                letters,
                tmp_path / "spool",
                KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT",
                KAFKA_SASL_MECHANISM="PLAIN",
                KAFKA_SASL_USERNAME="mirror",
                KAFKA_SASL_PASSWORD=PASSWORD,
            )
        )
        driver.send(100)
        driver.until(driver.settled)
        bury(driver.publisher, 30)
        goes_on(driver, 12.0, letters)
        assert len(driver.publisher.reasons) == 1, driver.publisher.reasons
        (reason,) = driver.publisher.reasons
        assert letters in reason
        assert "TOPIC_AUTHORIZATION_FAILED" in reason
        assert "right Write" in reason
        assert driver.counters.outages <= 3
        assert Counter(len(found) for found in read_events(servers, topic).values()) == Counter(
            {events_of(driver) // 5: 5}
        ), "each event is there, once"
        allow(admin, letters, AclOperation.WRITE)
        driver.until(lambda: driver.publisher.mode == "direct", timeout=20.0)
        driver.publisher.stop(5.0)
        assert len(read_topic(servers, letters)) == 30


_LISTENER = """
import json, sys, time
from pathlib import Path
from tests.integration.test_listener_publisher import Driver, configure

servers, topic, letters, spool = sys.argv[1:]
driver = Driver(configure(servers, topic, letters, Path(spool)))
handed = []  # (when, how many by then)
known = 0
while True:
    driver.send(40, conversations=40)
    handed.append((time.monotonic(), sum(driver._numbers.values())))
    for _ in range(10):
        driver.publisher.tick(time.monotonic())
        time.sleep(0.01)
    durable = driver.publisher.durable_at()
    while handed and handed[0][0] <= durable:
        known = handed.pop(0)[1]
    waiting = driver.publisher._store.waiting
    now = sum(driver._numbers.values())
    told = {lane.partition: count for lane, count in waiting.items()}
    print(json.dumps([known, now, driver.counters.spool_records, told]), flush=True)
"""


class Told(NamedTuple):
    """What the listener says of itself: events told to be durable and handed in, records in the
    spool, and how many wait for each partition."""

    durable: int
    now: int
    spooled: int
    waiting: dict[str, int]


@pytest.mark.timeout(300)
def test_a_frozen_partition_loses_nothing_when_the_listener_is_killed(
    kafka_cluster_factory: Callable[[int], KafkaCluster], tmp_path: Path
) -> None:
    """One of two brokers is frozen: the partitions of the other flow, what waits is on disk within
    seconds, and what was told to be durable is there when the next listener has drained."""
    cluster = kafka_cluster_factory(2)
    servers = cluster.bootstrap_servers
    topic = create_topic(servers, "events", partitions=PARTITIONS)
    letters = create_topic(servers, "letters")
    leaders = {
        number: partition.leader
        for number, partition in cluster.admin().list_topics(topic).topics[topic].partitions.items()
    }
    frozen = {number for number, leader in leaders.items() if leader == 2}
    assert 0 < len(frozen) < PARTITIONS
    arguments = [sys.executable, "-c", _LISTENER, servers, topic, letters, str(tmp_path / "spool")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        lines = victim.stdout

        def until(done: Callable[[Told], bool], seconds: float) -> Told:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                told = Told(*json.loads(lines.readline()))
                if done(told):
                    return told
            raise AssertionError(f"last: {told}")

        until(lambda told: told.durable > 400, 30.0)
        cluster.brokers[1].pause()
        froze = time.monotonic()
        until(lambda told: told.spooled > 0, 30.0)
        assert time.monotonic() - froze < STALL_SECONDS + 5.0, "on disk within seconds"
        before = until(lambda told: told.now - told.durable <= 400, 10.0).now

        # What was taken back of them is on disk at once, and leaves it a moment later.
        until(lambda told: {int(number) for number in told.waiting} == frozen, 5.0)
        told = until(lambda told: told.durable > before + 2_000, 60.0)
        stalled = {int(number) for number, count in told.waiting.items() if count > 300}
        assert stalled == frozen, "the others do not wait"
        durable = told.durable
        victim.send_signal(signal.SIGKILL)

    cluster.brokers[1].resume()
    following = Driver(configure(servers, topic, letters, tmp_path / "spool"), "listener-2")
    following.until(lambda: following.counters.spool_records > 0)
    following.until(lambda: following.publisher.mode == "direct", timeout=60.0)
    following.publisher.stop(5.0)
    seen = first_seen(read_topic(servers, topic))
    for conversation in range(40):
        numbers = seen[f"conversation-{conversation}"]
        assert numbers == list(range(len(numbers))), "none is missing, in order"
        assert len(numbers) >= durable // 40
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_spool_that_is_cut_is_a_loss_that_is_told(tmp_path: Path) -> None:
    """While Kafka is away: what is whole goes on, the interval of the rest is told until a gap is
    filed for it, and a next process tells it too."""
    settings = configure("127.0.0.1:9", "events", "letters", tmp_path)
    began = time.time() * 1000
    driver = Driver(settings)
    driver.send(2_000)
    driver.until(lambda: driver.counters.spool_records == 2_000)
    path = tmp_path / "listener-1" / DATABASE
    for file in (path, path.with_name(f"{DATABASE}-wal")):
        os.truncate(file, file.stat().st_size // 2)
    driver.send(500)
    driver.until(lambda: bool(driver.publisher.losses), timeout=60.0)
    ended = time.time() * 1000
    (lost,) = driver.publisher.losses
    assert lost.records is not None
    left = 2_500 - lost.records
    assert lost.from_ms < began < ended < lost.to_ms + 10_000
    assert driver.counters.spool_lost == lost.records > 0
    assert any("lost" in reason for reason in driver.publisher.reasons)
    driver.until(lambda: driver.counters.spool_records == left)
    driver.publisher.stop(0.1)

    following = Driver(settings, "listener-2")
    following.until(lambda: following.counters.spool_records == left)
    assert list(following.publisher.losses) == [lost]
    following.publisher.settle(lost)
    assert not following.publisher.losses
    following.publisher.stop(0.1)
    last = Driver(settings, "listener-3")
    last.until(lambda: last.counters.spool_records == left)
    assert not last.publisher.losses
    last.publisher.stop(0.1)


def test_setting_a_full_producer_aside_does_not_stop_the_loop(tmp_path: Path) -> None:
    """80,000 records in librdkafka's queue, eight seconds of 10,000 a second, go to the spool in
    slices: no tick takes a tenth of a second of work, and none is lost. The reports of a purge come
    in one poll, a microsecond and a half each, so a thread of its own polls."""
    driver = Driver(configure("127.0.0.1:9", "events", "letters", tmp_path))
    driver.publisher._direct._partitions["events"] = PARTITIONS
    driver.publisher._store.placed["events"] = PARTITIONS
    driver.send(80_000, conversations=1_000)
    assert driver.publisher.pending > 79_000
    longest = 0.0
    deadline = time.monotonic() + 90.0
    while driver.counters.spool_records < 80_000:
        assert time.monotonic() < deadline, driver.counters
        worked = time.thread_time()
        driver.publisher.tick(time.monotonic())
        longest = max(longest, time.thread_time() - worked)
        time.sleep(0.001)
    assert longest < 0.1, longest
    assert driver.counters.lost == 0
    lanes = driver.publisher._store.waiting
    assert lanes.keys() == {
        lane_of("events", f"conversation-{number}", 0, PARTITIONS) for number in range(1_000)
    }
    driver.publisher.stop(1.0)
    assert driver.counters.spool_records == 80_000


def test_a_producer_that_cannot_be_made_now_is_tried_again(
    kafka: str, make_topic: Callable[..., str], tmp_path: Path
) -> None:
    """The CA's file is away for a while: records wait on disk, health says why, and all arrive in
    order when it is back; the process goes on."""
    topic, letters = make_topic(partitions=PARTITIONS), make_topic()
    authority = tmp_path / "ca.pem"
    settings = configure(
        kafka,
        topic,
        letters,
        tmp_path / "spool",
        KAFKA_CONF_SSL_CA_LOCATION=str(authority),
        KAFKA_SECURITY_PROTOCOL="SSL",
    )
    driver = Driver(settings)
    driver.send(50)
    driver.until(lambda: driver.counters.spool_records == 50)
    (reason,) = driver.publisher.reasons
    assert "no Kafka producer can be made" in reason
    settings.kafka.properties["security.protocol"] = "plaintext"  # the file is back
    driver.send(50)
    driver.until(driver.settled, timeout=30.0)
    driver.publisher.stop(5.0)
    assert first_seen(read_topic(kafka, topic)) == {
        f"conversation-{number}": list(range(20)) for number in range(5)
    }
