"""Fixtures of the tests that need TLS: one private CA and one broker for the whole run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.kafka import KafkaCluster
from tests.integration.secure_support import secure_kafka
from tests.services.certificates import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The run's private CA."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def secure_cluster(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[KafkaCluster]:
    """The run's broker with the listeners of `secure_support`, its certificates by `authority`."""
    with secure_kafka(tmp_path_factory.mktemp("secure-kafka"), authority) as cluster:
        yield cluster
