"""The Kafka that other tests stand on is a real one and does what they ask of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from harness.kafka import KafkaCluster
from harness.kafka_topics import create_topic, read_topic


def produce(bootstrap_servers: str, topic: str, values: list[bytes]) -> None:
    """Produce the values under themselves as keys, and wait for the acknowledgements."""
    producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True})
    for value in values:
        producer.produce(topic, value, key=value)
    assert producer.flush(20) == 0


def test_records_come_back_in_order(kafka: str, make_topic: Callable[..., str]) -> None:
    """What was produced idempotently to one partition is read back, all and in order."""
    topic = make_topic()
    values = [b"%d" % number for number in range(500)]
    produce(kafka, topic, values)
    assert [record.value() for record in read_topic(kafka, topic)] == values


def test_topic_has_the_partitions_asked_for(kafka: str, make_topic: Callable[..., str]) -> None:
    """A topic with several partitions has a leader for each when it is handed over."""
    topic = make_topic(partitions=4)
    produce(kafka, topic, [b"%d" % number for number in range(100)])
    records = read_topic(kafka, topic, count=100)
    assert {record.partition() for record in records} == {0, 1, 2, 3}


@pytest.mark.slow
def test_cluster_survives_the_loss_of_one_broker(
    kafka_cluster_factory: Callable[[int], KafkaCluster], topic_name: str
) -> None:
    """Three brokers keep every acknowledged record when one is killed, and take it back."""
    cluster = kafka_cluster_factory(3)
    topic = create_topic(cluster.bootstrap_servers, topic_name, partitions=3, replication=3)
    produce(cluster.bootstrap_servers, topic, [b"before"])
    cluster.brokers[0].kill()
    produce(cluster.bootstrap_servers, topic, [b"without"])
    cluster.brokers[0].start()
    cluster.wait_ready(size=3)
    produce(cluster.bootstrap_servers, topic, [b"after"])
    records = read_topic(cluster.bootstrap_servers, topic, count=3)
    assert {record.value() for record in records} == {b"before", b"without", b"after"}
