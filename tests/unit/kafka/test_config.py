"""What librdkafka is told."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaException, Producer

from mirror.kafka.client import ClientLog
from mirror.kafka.config import consumer_config, producer_config
from mirror.settings import load


def test_the_promises_of_every_record_cannot_be_configured_away() -> None:
    """Idempotence, acks and the partitioner of Java clients win over KAFKA_CONF_*."""
    settings = load(
        {
            "KAFKA_CONF_ACKS": "1",
            "KAFKA_CONF_ENABLE_IDEMPOTENCE": "false",
            "KAFKA_CONF_PARTITIONER": "random",
            "KAFKA_CONF_LINGER_MS": "77",
        }
    )
    config = producer_config(settings, "listener")
    assert config["acks"] == "all"
    assert config["enable.idempotence"] == "true"
    assert config["partitioner"] == "murmur2_random"
    assert config["linger.ms"] == "77"


def test_librdkafka_accepts_what_it_is_told() -> None:
    """Every property exists and fits the others."""
    config = producer_config(load({}), "listener")
    Producer(config, **ClientLog("test").options())
    with pytest.raises(KafkaException, match="Invalid value"):
        Producer({**config, "linger.ms": "soon"})


def test_groups_carry_the_prefix_and_offsets_stay_ours() -> None:
    """Heroku's prefix goes before group names; nothing is committed behind our back (I9)."""
    settings = load({"KAFKA_PREFIX": "river-1.", "KAFKA_CONF_ENABLE_AUTO_COMMIT": "true"})
    config = consumer_config(settings, "tracker", "tracker")
    assert config["group.id"] == "river-1.tracker"
    assert config["enable.auto.commit"] == "false"
