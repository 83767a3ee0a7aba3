"""Runs all checks, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from mirror.checks.channel import check_channel
from mirror.checks.finding import Finding
from mirror.checks.genesys import check_genesys
from mirror.checks.growth import growth_of
from mirror.checks.kafka import check_kafka
from mirror.checks.kafka_rights import check_idempotence
from mirror.checks.machine import check_machine
from mirror.checks.personal import check_personal
from mirror.checks.projector import check_projector
from mirror.checks.redis import check_redis
from mirror.checks.registry import check_registry
from mirror.checks.socket import check_socket
from mirror.settings import Settings


def examine(
    settings: Settings,
    environ: Mapping[str, str],
    say: Callable[[str], object],
    *,
    heartbeat: bool = False,
) -> Iterator[Finding]:
    """Yield all findings, each as soon as it is known. A dead service takes up to some ten seconds.

    `environ` is the environment that `settings` were read from. With `heartbeat` the check waits
    for the first heartbeat of a channel; `say` gets a line before that wait.
    """
    yield from check_machine(settings, environ)
    yield from check_redis(settings)
    reachable = False
    for finding in check_kafka(settings):
        reachable = reachable or (finding.check == "kafka" and finding.ok)
        yield finding
    if reachable:
        yield from growth_of(settings).findings()
        yield check_idempotence(settings)
        yield from check_projector(settings, tries=True)
    yield from check_registry(settings)
    yield check_personal(settings)
    yield from check_genesys(settings)
    opens = True
    for finding in check_socket(settings):
        opens = opens and finding.ok
        yield finding
    if opens:
        yield from check_channel(settings, say, heartbeat=heartbeat)
