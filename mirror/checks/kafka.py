"""Checks of Kafka: brokers answer, topics exist and are large and safe enough, our user may use
them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined] # not in its `__all__`
    AdminClient,
    ConfigResource,
    ResourceType,
)

from mirror.base.errors import KafkaUnavailable
from mirror.base.units import counted, show_size
from mirror.checks.finding import Finding, bad, doubtful, good
from mirror.checks.kafka_rights import TIMEOUT_SECONDS, check_rights, reason
from mirror.kafka.admin import DEAD_LETTER_PARTITIONS, SETTINGS_HINT, Cluster, check
from mirror.kafka.client import ClientLog, open_client
from mirror.kafka.config import BATCH_BYTES, admin_config
from mirror.settings import Settings

LEAST_RETENTION_MS: Final = 24 * 3_600_000
DAY_MS: Final = 24 * 3_600_000
MOST_NAMED: Final = 5


def check_kafka(settings: Settings) -> Iterator[Finding]:
    """Findings on the cluster; only the first if it cannot be reached."""
    try:
        cluster = check(settings, TIMEOUT_SECONDS)
    except KafkaUnavailable as error:
        yield bad(
            "kafka",
            "Kafka",
            error.problem.removeprefix("Kafka at ").removesuffix(SETTINGS_HINT),
            "start Kafka, or correct KAFKA_BOOTSTRAP_SERVERS and the KAFKA_* settings beside it",
            error.exit_code,
        )
        return
    servers = settings.kafka.properties["bootstrap.servers"]
    yield good("kafka", "Kafka", f"{counted(cluster.brokers, 'broker')} at {servers}")
    client = open_client(AdminClient, admin_config(settings), ClientLog("kafka.doctor"))
    wanted = {
        settings.topic: settings.partitions,
        settings.dead_letter_topic: DEAD_LETTER_PARTITIONS,
    }
    if settings.agents:
        wanted[settings.agents_topic] = settings.partitions
    for topic, partitions in wanted.items():
        if topic not in cluster.topics:
            yield bad("kafka.topic", f"topic {topic}", "does not exist", "run mirror init")
            continue
        yield from shape(cluster, topic, partitions, settings.replication_factor)
        yield from configuration(client, cluster, topic)
    present = [topic for topic in wanted if topic in cluster.topics]
    yield from single(cluster, settings)
    yield from check_rights(settings, client, present)


def shape(cluster: Cluster, topic: str, wanted: int, factor: int) -> Iterator[Finding]:
    """Partitions and replicas of a topic that exists."""
    partitions, replication = cluster.topics[topic]
    subject = f"topic {topic}"
    yield good("kafka.topic", subject, f"{partitions} partitions, replication {replication}")
    if partitions < wanted:
        yield doubtful(
            "kafka.partitions",
            subject,
            f"{partitions} partitions, fewer than {wanted}",
            "if consumers cannot keep up, add partitions with kafka-topics --alter, and adopt them "
            "with `mirror init --adopt-partitions`: until then they stay empty",
        )
    elif partitions > wanted:
        yield doubtful(
            "kafka.partitions",
            subject,
            f"{partitions} partitions, more than {wanted}",
            "if they were created so, set MIRROR_PARTITIONS to their number; partitions added "
            "while the mirror ran are noticed, and stay empty until they are adopted",
        )
    if dead := cluster.leaderless.get(topic):
        numbers = ", ".join(map(str, dead[:MOST_NAMED])) + " …" * (len(dead) > MOST_NAMED)
        yield bad(
            "kafka.topic",
            subject,
            f"{counted(len(dead), 'partition')} ({numbers}) without a leader: nothing can be "
            "written or read there",
            "start the brokers that hold them",
        )
    least = min(factor, cluster.brokers)
    if replication < least:
        yield bad(
            "kafka.replication",
            subject,
            f"replication {replication}, less than {least}",
            "raise it with kafka-reassign-partitions, or a lost broker loses events",
        )


def single(cluster: Cluster, settings: Settings) -> Iterator[Finding]:
    """One finding on all topics of the mirror that are on one broker, where that is intended."""
    if min(settings.replication_factor, cluster.brokers) > 1:
        return  # `shape` reports each
    topics = (*cluster.partitions(settings), settings.once_topic, settings.conversations_topic)
    alone = [name for name in topics if cluster.topics.get(name, (0, 0))[1] == 1]
    if alone:
        yield doubtful(
            "kafka.replication",
            "Kafka replication",
            f"{counted(len(alone), 'topic')} with one replica: the loss of its broker loses events",
            "run three brokers where events matter",
        )


def configuration(
    client: AdminClient, cluster: Cluster, topic: str, *, compacted: bool = False
) -> Iterator[Finding]:
    """The configuration of a topic that exists. `compacted`: whether it must be compacted."""
    resource = ConfigResource(ResourceType.TOPIC, topic)
    try:
        answer = client.describe_configs([resource], request_timeout=TIMEOUT_SECONDS)[resource]
        entries: dict[str, Any] = answer.result(TIMEOUT_SECONDS)
    except (KafkaException, TimeoutError) as error:
        yield doubtful(
            "kafka.retention",
            f"topic {topic}",
            f"its configuration cannot be read ({reason(error)})",
            "allow DescribeConfigs on it to have it checked",
        )
        return
    values = {name: entry.value for name, entry in entries.items()}
    insync, replication = cluster.insync.get(topic, 0), cluster.topics[topic][1]
    if 0 < insync < int(values.get("min.insync.replicas") or 1) <= replication:
        yield bad(
            "kafka.min_insync",
            f"topic {topic}",
            f"a partition has {counted(insync, 'replica')} in sync, fewer than min.insync.replicas:"
            " it takes no records now",
            "start the brokers that hold the other replicas",
        )
    yield from durability(topic, replication, values, compacted=compacted)


def durability(
    topic: str, replication: int, values: dict[str, str], *, compacted: bool = False
) -> Iterator[Finding]:
    """Whether a topic's configuration keeps acknowledged records safe."""
    subject = f"topic {topic}"
    insync = int(values.get("min.insync.replicas") or 1)
    if replication >= 3 and insync < 2:
        yield bad(
            "kafka.min_insync",
            subject,
            f"min.insync.replicas is {insync}: a record may be acknowledged by one broker alone",
            "kafka-configs --alter --add-config min.insync.replicas=2",
        )
    elif insync > 1 and insync >= replication:
        yield bad(
            "kafka.min_insync",
            subject,
            f"min.insync.replicas is {insync} of {replication}: one broker away stops all writing",
            f"kafka-configs --alter --add-config min.insync.replicas={max(1, replication - 1)}",
        )
    limit = int(values.get("max.message.bytes") or BATCH_BYTES)
    if limit < BATCH_BYTES:
        yield doubtful(
            "kafka.record_size",
            subject,
            f"max.message.bytes is {show_size(limit)}: larger records are refused, and neighbours "
            "of a refused one may arrive out of order",
            "kafka-configs --alter --add-config max.message.bytes=1048588",
        )
    policy = values.get("cleanup.policy") or ""
    if compacted:
        yield compaction(topic, policy)
        return
    if "compact" in policy:
        yield bad(
            "kafka.retention",
            subject,
            "cleanup.policy is compact: only the last event of each conversation stays",
            "kafka-configs --alter --add-config cleanup.policy=delete",
        )
        return
    retention = int(values.get("retention.ms") or -1)
    if 0 <= retention < LEAST_RETENTION_MS:
        yield bad(
            "kafka.retention",
            subject,
            f"records stay {retention / 3_600_000:.1f} h, less than a day",
            "kafka-configs --alter --add-config retention.ms=604800000: a flushed Redis is rebuilt "
            "from what is retained",
        )
    elif (most := int(values.get("retention.bytes") or -1)) >= 0:
        yield doubtful(
            "kafka.retention",
            subject,
            f"a partition keeps at most {show_size(most)}, however young its records are",
            "if that is not enough for some days, kafka-configs --alter --add-config "
            "retention.bytes=-1: a flushed Redis is rebuilt from what is retained",
        )
    else:
        kept = "for ever" if retention < 0 else f"{retention / DAY_MS:.0f} days"
        yield good("kafka.retention", subject, f"records stay {kept}, min.insync {insync}")


def compaction(topic: str, policy: str) -> Finding:
    """Whether a topic keeps the last record of each key for ever."""
    if policy == "compact":
        return good("kafka.compaction", f"topic {topic}", "compacted")
    return bad(
        "kafka.compaction",
        f"topic {topic}",
        f"cleanup.policy is {policy or 'not known'}: conversations that still go on are lost, or "
        "all of their past is kept",
        "kafka-configs --alter --add-config cleanup.policy=compact",
    )
