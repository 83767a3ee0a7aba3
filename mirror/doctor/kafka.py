"""Checks of Kafka: reachable, the topics there, with enough partitions and replicas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mirror.doctor.finding import Finding, bad, good
from mirror.errors import EXIT_DEPENDENCY, KafkaUnavailable
from mirror.kafka.admin import Cluster, check
from mirror.settings import Settings

TIMEOUT: Final = 8.0


def check_kafka(settings: Settings) -> Iterator[Finding]:
    """Findings on the cluster; only the first where it cannot be reached."""
    try:
        cluster = check(settings, TIMEOUT)
    except KafkaUnavailable as error:
        yield bad(
            "Kafka", str(error), "start Kafka, or correct the KAFKA_* settings", EXIT_DEPENDENCY
        )
        return
    servers = settings.kafka.properties["bootstrap.servers"]
    yield good("Kafka", f"{cluster.brokers} brokers at {servers}")
    for topic in (settings.topic, settings.dead_letter_topic):
        yield _topic(cluster, topic, settings)


def _topic(cluster: Cluster, topic: str, settings: Settings) -> Finding:
    subject = f"topic {topic}"
    if topic not in cluster.topics:
        return bad(subject, "does not exist", "run mirror init")
    partitions, replication = cluster.topics[topic]
    wanted = min(settings.replication_factor, cluster.brokers)
    detail = f"{partitions} partitions, replication {replication}"
    if replication < wanted:
        return bad(
            subject,
            f"{detail}, less than {wanted}",
            "raise its replication with kafka-reassign-partitions, or a lost broker loses events",
        )
    return good(subject, detail)
