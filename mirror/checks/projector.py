"""Checks the projector's needs in Kafka: its topics, equal numbers of partitions, transactions.

With `MIRROR_PROJECTORS=0` missing topics are no problem. Existing topics are still checked, because
a projector elsewhere may use them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from mirror.base.errors import EXIT_DEPENDENCY, KafkaUnavailable
from mirror.checks.finding import Finding, bad, doubtful, good
from mirror.checks.kafka import configuration, shape
from mirror.checks.kafka_rights import TIMEOUT_SECONDS, topic_rights
from mirror.kafka.admin import Cluster, check
from mirror.kafka.client import ClientLog, explain, open_client
from mirror.kafka.config import admin_config, transactional_config
from mirror.kafka.projected import moved, read_partitions, transactional_prefix, unread
from mirror.settings import Settings

REBUILD: Final = "stop all projectors, run mirror projector rebuild, and start them"


def check_projector(settings: Settings, *, tries: bool = False) -> Iterator[Finding]:
    """Findings on the projector's topics; none if Kafka is away, which `check_kafka` reports.

    If projectors run, `tries` begins a transactional producer, to see whether our user may.
    """
    try:
        cluster = check(settings, TIMEOUT_SECONDS)
    except KafkaUnavailable:
        return
    client = open_client(AdminClient, admin_config(settings), ClientLog("kafka.doctor"))
    present = []
    for topic in (settings.once_topic, settings.conversations_topic):
        if topic not in cluster.topics:
            yield missing(settings, topic)
            continue
        present.append(topic)
        own = cluster.topics[topic][0]  # `partitions` checks the number
        yield from shape(cluster, topic, own, settings.replication_factor)
        is_state = topic == settings.conversations_topic
        yield from configuration(client, cluster, topic, compacted=is_state)
    yield from partitions(cluster, settings.topic, present)
    if settings.conversations_topic in present:
        yield from views(settings, cluster.topics[settings.conversations_topic][0])
    yield from (finding for finding in topic_rights(client, present) if finding.level != "good")
    if tries and settings.has_projectors:
        yield _transactions(settings)


def missing(settings: Settings, topic: str) -> Finding:
    """The finding on a missing topic of the projector."""
    if settings.has_projectors:
        return bad("kafka.topic", f"topic {topic}", "does not exist", "run mirror init")
    return good("kafka.topic", f"topic {topic}", "is not there, and MIRROR_PROJECTORS is 0")


def views(settings: Settings, found: int) -> Iterator[Finding]:
    """Whether the views were made with the `found` number of partitions."""
    subject = f"topic {settings.conversations_topic}"
    try:
        numbers, silent = read_partitions(settings, found, TIMEOUT_SECONDS)
        reason = moved(settings, numbers, found)
        if silent and not reason:
            raise KafkaUnavailable(unread(settings, silent))
    except KafkaUnavailable as error:
        cure = "kafka-acls --add: Read on the topic and on the groups of the mirror"
        yield doubtful("kafka.projector", subject, str(error), cure)
        return
    if reason:
        yield bad("kafka.projector", subject, reason, REBUILD)


def partitions(cluster: Cluster, source: str, topics: list[str]) -> Iterator[Finding]:
    """Whether `topics` have as many partitions as `source`."""
    if source not in cluster.topics:
        return
    wanted = cluster.topics[source][0]
    for topic in topics:
        found = cluster.topics[topic][0]
        if found != wanted:
            yield bad(
                "kafka.projector",
                f"topic {topic}",
                f"{found} partitions, but {source} has {wanted}: a conversation would be in two",
                REBUILD,
            )


def _transactions(settings: Settings) -> Finding:
    identity = f"{transactional_prefix(settings)}doctor"
    log = ClientLog("kafka.doctor")
    producer: Any = open_client(Producer, transactional_config(settings, "doctor", identity), log)
    try:
        producer.init_transactions(TIMEOUT_SECONDS)
    except KafkaException as error:
        return bad(
            "kafka.transactions",
            "Kafka transactions",
            explain(error),
            "kafka-acls --add: Write and Describe on the transactional ids that begin with "
            f"{transactional_prefix(settings)}, Read on the group of that name; a broker that "
            "knows no transactions cannot be used",
            EXIT_DEPENDENCY,
        )
    return good("kafka.transactions", "Kafka transactions", "may begin them")
