"""What a Kafka user may do, asked of a broker that refuses all that no rule allows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined] # not in its `__all__`
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from coordinator.tracker import Tracker, health
from dashboard.hub import Hub
from dashboard.reader import reader
from harness.kafka import KafkaCluster
from harness.kafka_topics import create_topic
from harness.process import wait_until
from janitor.producer import AckedProducer
from mirror.base.errors import KafkaUnavailable
from mirror.checks.finding import Finding
from mirror.checks.kafka import check_kafka
from mirror.checks.kafka_rights import check_idempotence, tracker_group
from mirror.conversation.event import Event, identity
from mirror.fleet import status_reader
from mirror.fleet.words import Beat
from mirror.fleet.workers import list_workers
from mirror.redis.clock import redis_now_ms
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.settings import Settings, load
from projector import loop

PASSWORD = "pl41n-S3cret-0123"
USERS = ("grouped", "writer", "tracker", "janitor", "projector", "page")
SHORT = 3.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """A broker with users that may do nothing yet; without a login one may do everything."""
    users = " ".join(f'user_{name}="{PASSWORD}"' for name in USERS)
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    properties: dict[str, object] = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl.plain.sasl.jaas.config": f"{module} required {users};",
    }
    cluster = KafkaCluster(
        tmp_path_factory.mktemp("kafka"),
        properties=properties,
        listeners={"SASL": "SASL_PLAINTEXT"},
    )
    with cluster:
        for name in ("t", "t.dlq"):
            create_topic(cluster.bootstrap_servers, name, partitions=1)
        yield cluster


def settings_of(cluster: KafkaCluster, user: str, **more: str) -> Settings:
    """Settings of a mirror that logs in as `user`."""
    return load(
        {
            "KAFKA_BOOTSTRAP_SERVERS": cluster.servers["SASL"],
            "KAFKA_SECURITY_PROTOCOL": "sasl_plaintext",
            "KAFKA_SASL_MECHANISM": "plain",
            "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD": PASSWORD,
            "MIRROR_TOPIC": "t",
            "MIRROR_DEAD_LETTER_TOPIC": "t.dlq",
            **more,
        }
    )


def allow(
    cluster: KafkaCluster, user: str, kind: ResourceType, name: str, *operations: AclOperation
) -> None:
    """Give `user` rights; returns when the broker has them."""
    rules = [
        AclBinding(
            kind,
            name,
            ResourcePatternType.LITERAL,
            f"User:{user}",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        for operation in operations
    ]
    admin = cluster.admin()
    for answer in admin.create_acls(rules).values():
        answer.result(10)


def forbid(cluster: KafkaCluster, user: str, topic: str, operation: AclOperation) -> None:
    """Take a right on a topic from `user`."""
    rule = AclBindingFilter(
        ResourceType.TOPIC,
        topic,
        ResourcePatternType.LITERAL,
        f"User:{user}",
        "*",
        operation,
        AclPermissionType.ALLOW,
    )
    admin = cluster.admin()
    for answer in admin.delete_acls([rule]).values():
        assert answer.result(10)


def found(settings: Settings, check: str) -> Finding:
    """The one finding of that check."""
    (finding,) = [finding for finding in check_kafka(settings) if finding.check == check]
    return finding


def test_a_group_that_may_not_be_joined_is_named_with_the_command(cluster: KafkaCluster) -> None:
    """All rights on the topics, none on the tracker's group: that is no ✓."""
    settings = settings_of(cluster, "grouped")
    for name in ("t", "t.dlq"):
        allow(
            cluster,
            "grouped",
            ResourceType.TOPIC,
            name,
            *(AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE),
        )
    assert found(settings, "kafka.rights").level == "good"
    refused = found(settings, "kafka.group")
    assert (refused.level, refused.subject) == ("bad", "group mirror-default-tracker")
    assert "no conversation is tracked" in refused.detail
    assert "--group mirror-default-tracker" in refused.cure
    allow(cluster, "grouped", ResourceType.GROUP, tracker_group(settings), AclOperation.DESCRIBE)
    assert "lacks READ" in found(settings, "kafka.group").detail
    allow(cluster, "grouped", ResourceType.GROUP, tracker_group(settings), AclOperation.READ)
    assert found(settings, "kafka.group").level == "good"


def test_a_tracker_that_its_group_refuses_is_unwell(
    cluster: KafkaCluster, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so of itself and in the mirror's status, with the step; and is well once it may. So
    it is with the topic, of which librdkafka tells a refusal once."""
    monkeypatch.setattr(health, "ASK_AGAIN_SECONDS", 4.0)
    monkeypatch.setattr(health, "ERROR_SECONDS", 8.0)
    for name in ("t", "t.dlq"):
        allow(
            cluster, "tracker", ResourceType.TOPIC, name, AclOperation.READ, AclOperation.DESCRIBE
        )
    namespace = {"MIRROR_NAMESPACE": tmp_path.name, "REDIS_URL": redis_url}
    settings = settings_of(cluster, "tracker", **namespace)
    tracker, stop = Tracker(settings, name="c1"), threading.Event()
    thread = threading.Thread(target=tracker.run, args=(stop,), daemon=True)
    thread.start()
    client, keys = connect(settings), Keys(settings.namespace)
    try:
        wait_until(lambda: bool(tracker.reasons), 30, "the refusal is told")
        assert "GROUP_AUTHORIZATION_FAILED" in tracker.reasons[0]
        assert "heroku kafka:consumer-groups:create" in tracker.reasons[0]
        wait_until(lambda: bool(list_workers(client, keys)), 10, "it reports")
        beat = Beat(listener="l", host="h", pid=1, version="0", state="live")
        client.zadd(keys.beats, {"l": redis_now_ms(client)})
        client.set(keys.listener("l"), msgspec.json.encode(beat))
        found = status_reader.read(client, settings)
        assert any("GROUP_AUTHORIZATION_FAILED" in reason for reason in found.reasons), (
            found.reasons
        )
        rights = (AclOperation.READ, AclOperation.DESCRIBE)
        allow(cluster, "tracker", ResourceType.GROUP, tracker_group(settings), *rights)
        wait_until(lambda: tracker.reasons == () and tracker.caught_up, 90, "it tracks")
        forbid(cluster, "tracker", "t", AclOperation.READ)
        told = "TOPIC_AUTHORIZATION_FAILED"
        wait_until(lambda: told in str(tracker.reasons), 30, "the refusal is told")
        with pytest.raises(AssertionError, match="not within"):
            wait_until(lambda: told not in str(tracker.reasons), 12, "it is told no more")
        assert not tracker.caught_up
        allow(cluster, "tracker", ResourceType.TOPIC, "t", AclOperation.READ)
        wait_until(lambda: tracker.reasons == () and tracker.caught_up, 60, "it tracks again")
    finally:
        stop.set()
        thread.join(20)
        client.close()
    assert not thread.is_alive()


def test_a_projector_that_may_not_read_its_topic_any_more_is_unwell(
    cluster: KafkaCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although nothing waits that it knows of. It is well once it may again."""
    monkeypatch.setattr(loop, "ASK_AGAIN_SECONDS", 4.0)
    topics = {"MIRROR_ONCE_TOPIC": "t.once", "MIRROR_CONVERSATIONS_TOPIC": "t.views"}
    settings = settings_of(cluster, "projector", MIRROR_NAMESPACE=tmp_path.name, **topics)
    for name in topics.values():
        create_topic(cluster.bootstrap_servers, name, partitions=1)
    rights = (AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE)
    for name in ("t", *topics.values()):
        allow(cluster, "projector", ResourceType.TOPIC, name, *rights)
    allow(cluster, "projector", ResourceType.GROUP, "*", AclOperation.READ, AclOperation.DESCRIBE)
    allow(cluster, "projector", ResourceType.TRANSACTIONAL_ID, "*", *rights[1:])
    projecting, stop = loop.Loop(settings, "me", partitions=1), threading.Event()
    thread = threading.Thread(target=projecting.run, args=(stop,), daemon=True)
    thread.start()
    try:
        wait_until(lambda: projecting.share.ends == {0}, 60, "it has read to the end")
        assert projecting.unread == ""
        forbid(cluster, "projector", "t", AclOperation.READ)
        told = "partition 0 cannot be read: "
        wait_until(lambda: told in projecting.unread, 30, "the refusal is told")
        with pytest.raises(AssertionError, match="not within"):
            wait_until(lambda: told not in projecting.unread, 10, "it is told no more")
        allow(cluster, "projector", ResourceType.TOPIC, "t", AclOperation.READ)
        wait_until(lambda: projecting.unread == "", 30, "it reads again")
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


def test_a_page_that_may_not_read_its_topic_any_more_says_so(
    cluster: KafkaCluster, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it shows stands still, although Kafka answers. It goes on once it may again."""
    monkeypatch.setattr(reader, "ASK_AGAIN_SECONDS", 4.0)
    monkeypatch.setattr(reader, "MISSING_SECONDS", 1.0)
    more = {"MIRROR_NAMESPACE": tmp_path.name, "REDIS_URL": redis_url}
    settings = settings_of(cluster, "page", **more)
    rights = (AclOperation.READ, AclOperation.DESCRIBE)
    for name in ("t", "t.dlq"):
        allow(cluster, "page", ResourceType.TOPIC, name, *rights)
    allow(cluster, "page", ResourceType.GROUP, "*", *rights)
    client, stop = connect(settings), threading.Event()
    page = reader.Reader(settings, client, Hub())
    thread = threading.Thread(target=page.run, args=(stop,), daemon=True)
    thread.start()
    try:
        wait_until(lambda: page.opening is None, 60, "it has read the past")
        assert page.reasons() == []
        forbid(cluster, "page", "t", AclOperation.READ)
        told = "partition 0 of t cannot be read ("
        wait_until(lambda: told in str(page.reasons()), 30, "the refusal is told")
        with pytest.raises(AssertionError, match="not within"):
            wait_until(lambda: told not in str(page.reasons()), 10, "it is told no more")
        allow(cluster, "page", ResourceType.TOPIC, "t", AclOperation.READ)
        wait_until(lambda: page.reasons() == [], 30, "it reads again")
    finally:
        stop.set()
        thread.join(20)
        client.close()
    assert not thread.is_alive()


def test_on_a_shared_platform_the_group_is_made_by_its_command(cluster: KafkaCluster) -> None:
    """Heroku's Basic plans refuse groups that were not made before."""
    refused = found(settings_of(cluster, "writer", KAFKA_PREFIX="river-1."), "kafka.group")
    assert refused.subject == "group river-1.mirror-default-tracker"
    assert "heroku kafka:consumer-groups:create mirror-default-tracker" in refused.cure


def test_an_idempotent_producer_is_tried(cluster: KafkaCluster) -> None:
    """Refused while the user may write nowhere; taken with Write on the topic; leaves no record."""
    settings = settings_of(cluster, "writer")
    refused = check_idempotence(settings, SHORT)
    assert refused.level == "bad"
    assert "AUTHORIZATION_FAILED" in refused.detail
    allow(cluster, "writer", ResourceType.TOPIC, "t", AclOperation.WRITE, AclOperation.DESCRIBE)
    taken = check_idempotence(settings)
    assert (taken.check, taken.level) == ("kafka.idempotence", "good")


def test_a_janitor_outlives_a_broker_that_refuses_its_producer(cluster: KafkaCluster) -> None:
    """The refusal is fatal to the producer, not to the janitor. Once it may write, it does."""
    settings = settings_of(cluster, "janitor", KAFKA_CONF_DELIVERY_TIMEOUT_MS="5000")
    producer = AckedProducer(settings)
    at = "2026-11-23T10:00:00.000Z"
    events = [
        Event(
            event_id=identity("c", "1"),
            event_type="answer",
            conversation_id="c",
            state="connected",
            occurred_at=at,
            received_at=at,
        )
    ]
    allow(cluster, "janitor", ResourceType.TOPIC, "t", AclOperation.DESCRIBE)
    for _ in range(2):
        with pytest.raises(KafkaUnavailable, match=r"FATAL|AUTHORIZATION_FAILED"):
            producer.send(events)
    for name in ("t", "t.dlq"):
        allow(
            cluster, "janitor", ResourceType.TOPIC, name, AclOperation.WRITE, AclOperation.DESCRIBE
        )
    producer.send(events)
    assert producer.problem == ""
    producer.close()
