"""Checks that a process repeats: their findings, their pace, and what `/healthz` makes of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from harness.pages import ask, health
from harness.process import free_ports, wait_until
from mirror.base.health import Health, Status
from mirror.base.log import capture_logs
from mirror.checks.checkup import EVERY_ILL_SECONDS, EVERY_SECONDS, OLD_SECONDS, Checkup
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
    """What the others found before stays, the finding of the failure makes the process degraded,
    the log has one line, and the next round is as any other."""
    broken = False

    def checks() -> Iterator[Finding]:
        yield EVICTS
        if broken:
            raise ValueError("a bug of a check")

    with capture_logs() as told:
        checkup = Checkup(checks)
        checkup.look()
        broken = True
        assert [checkup.look(), checkup.look()] == [EVERY_ILL_SECONDS, EVERY_ILL_SECONDS]
    assert [finding.check for finding in checkup.findings] == ["redis.memory", "checkup"]
    assert "a check ended with ValueError" in checkup.reasons()[1]
    assert [line["event"] for line in told] == ["checkup_failed"]
    broken = False
    assert checkup.look() == EVERY_ILL_SECONDS
    assert checkup.reasons() == (REASON,)


def test_a_check_that_hangs_makes_the_findings_old() -> None:
    """The last findings stay, with a finding that they are old, until a round ends again. Before
    the first round ends, a finding says that nothing is known. A checkup that does not run has no
    age."""
    now = [0.0]
    hangs, again = threading.Event(), threading.Event()

    def checks() -> Iterator[Finding]:
        hangs.set()
        assert again.wait(10.0)
        yield ROOM

    checkup = Checkup(checks, clock=lambda: now[0])
    now[0] = 10_000.0
    assert list(checkup.findings) == []
    checkup.start()
    assert hangs.wait(10.0)
    assert checkup.reasons() == ("checkup: checks: the first round has not ended yet",)
    now[0] += OLD_SECONDS + 1
    assert [finding.ok for finding in checkup.findings] == [False, False]
    assert "no round of checks has ended for 301 s" in checkup.reasons()[1]
    again.set()
    wait_until(lambda: checkup.findings == (ROOM,), 10.0, "the round ends")
    now[0] += OLD_SECONDS + 1
    assert [finding.check for finding in list(checkup.findings)] == ["spool", "checkup"]
    checkup.stop()


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
