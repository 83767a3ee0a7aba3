"""What a Kafka user may do, asked of a broker that refuses all that no rule allows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined] # not in its `__all__`
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from mirror.checks.finding import Finding
from mirror.checks.kafka import check_kafka
from mirror.checks.kafka_rights import check_idempotence, check_transactions, tracker_group
from mirror.settings import Settings, load
from tests.services.kafka import KafkaCluster, create_topic

PASSWORD = "pl41n-S3cret-0123"
USERS = ("grouped", "writer", "projector")
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


def found(settings: Settings, check: str) -> Finding:
    """The one finding of that check."""
    (finding,) = [one for one in check_kafka(settings) if one.check == check]
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


def test_a_transactional_id_is_tried(cluster: KafkaCluster) -> None:
    """Refused, and taken once a rule covers it."""
    settings = settings_of(cluster, "projector")
    allow(cluster, "projector", ResourceType.TOPIC, "t", AclOperation.WRITE, AclOperation.DESCRIBE)
    refused = check_transactions(settings, "mirror-doctor")
    assert refused.level == "bad"
    assert "AUTHORIZATION_FAILED" in refused.detail
    assert "--transactional-id" in refused.cure
    allow(
        cluster,
        "projector",
        ResourceType.TRANSACTIONAL_ID,
        "mirror-doctor",
        *(AclOperation.WRITE, AclOperation.DESCRIBE),
    )
    taken = check_transactions(settings, "mirror-doctor")
    assert taken.level == "good", taken
