"""Runs all checks, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mirror.checks.finding import Finding
from mirror.checks.genesys import check_genesys
from mirror.checks.kafka import check_kafka
from mirror.checks.machine import check_machine
from mirror.checks.personal import check_personal
from mirror.checks.redis import check_redis
from mirror.checks.registry import check_registry
from mirror.checks.socket import check_socket
from mirror.settings import Settings


def examine(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """All findings, each as soon as it is there. Takes up to some ten seconds a dead service.

    `environ` is the environment that `settings` were read from.
    """
    yield from check_machine(settings, environ)
    yield from check_redis(settings)
    yield from check_kafka(settings)
    yield from check_registry(settings)
    yield check_personal(settings)
    yield from check_genesys(settings)
    yield from check_socket(settings)
