"""Checks that a process repeats: their findings, their pace, and what `/healthz` makes of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from harness.pages import ask, health
from harness.process import free_ports
from mirror.base.health import Health, Status
from mirror.base.log import capture_logs
from mirror.checks.checkup import EVERY_ILL_SECONDS, EVERY_SECONDS, Checkup
from mirror.checks.finding import Finding, bad, doubtful, good
from mirror.runtime.telemetry import Telemetry

ROOM = good("spool", "spool", "10 GiB free")
FAR = doubtful("redis.latency", "Redis latency", "25.0 ms", "use a Redis in the same network")
EVICTS = bad("redis.memory", "Redis memory", "allkeys-lru", "set maxmemory-policy noeviction")
REASON = "redis.memory: Redis memory: allkeys-lru"


def test_what_is_doubtful_is_no_reason() -> None:
    """Only what must be fixed makes a process degraded; such checks are repeated sooner."""
    found = [[ROOM, FAR], [ROOM, EVICTS], [ROOM]]
    checkup = Checkup(lambda: found.pop(0))
    assert checkup.reasons() == ()
    assert (checkup.look(), checkup.reasons()) == (EVERY_SECONDS, ())
    assert (checkup.look(), checkup.reasons()) == (EVERY_ILL_SECONDS, (REASON,))
    assert (checkup.look(), checkup.reasons()) == (EVERY_SECONDS, ())


def test_a_check_that_fails_is_told_once() -> None:
    """Nothing is known then, the log has one line, and the next round is as any other."""
    broken = False

    def checks() -> Iterator[Finding]:
        yield EVICTS
        if broken:
            raise ValueError("a bug of a check")

    with capture_logs() as told:
        checkup = Checkup(checks)
        checkup.look()
        broken = True
        assert [checkup.look(), checkup.look()] == [EVERY_SECONDS, EVERY_SECONDS]
    assert checkup.findings == ()
    assert [line["event"] for line in told] == ["checkup_failed"]
    broken = False
    assert checkup.look() == EVERY_ILL_SECONDS


@pytest.mark.parametrize(("own", "together"), [("ok", "degraded"), ("degraded", "degraded")])
def test_health_is_the_worse_of_both(own: Status, together: Status) -> None:
    """`/healthz` has the process' own reasons first, then the checks', and all that was checked."""
    (port,) = free_ports(1)
    checkup = Checkup(lambda: [ROOM, EVICTS])
    checkup.look()
    telemetry = Telemetry(
        port, CollectorRegistry(), lambda: Health(own, ("Kafka is away",)), checkup
    )
    try:
        page = health(port)
        assert f'mirror_health{{state="{together}"}} 1.0' in ask(port, "/metrics")[1]
    finally:
        telemetry.close()
    assert page["health"] == together
    assert page["reasons"] == ["Kafka is away", REASON]
    assert [(check["check"], check["ok"]) for check in page["checks"]] == [
        ("spool", True),
        ("redis.memory", False),
    ]
    assert page["checks"][1]["cure"] == EVICTS.cure
