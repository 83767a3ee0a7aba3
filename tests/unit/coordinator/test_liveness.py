"""What tells an outage of Redis from a slow leader."""

from __future__ import annotations

import pytest
import redis
from prometheus_client import CollectorRegistry

from coordinator.discovery import Discovery
from coordinator.metrics import Metrics
from coordinator.passes import Passes
from coordinator.plan.liveness import Outages
from mirror.base.errors import RedisUnavailable
from mirror.settings import load

LEASE = 8.0


def looked() -> Outages:
    """After a first pass, at 100 s of the leader's clock and 1,000 s of Redis'."""
    outages = Outages(LEASE)
    assert not outages.look(1_000_000, 100.0)
    return outages


def test_passes_far_apart_are_no_outage() -> None:
    """Many calls, or much work between them; each call is answered."""
    outages = looked()
    for number in range(1, 4):
        for _ in range(5):
            outages.note(1.9)
        assert not outages.look(1_000_000 + number * 10_000, 100.0 + number * 10.0)


def test_failed_calls_are_an_outage_until_the_next_pass() -> None:
    """The listeners could not beat either; the pass after that counts again."""
    outages = looked()
    outages.fail()
    assert outages.look(1_004_500, 104.5)
    assert not outages.look(1_010_000, 110.0)


def test_a_short_failure_now_and_then_is_no_outage() -> None:
    """Beats wait for less than a lease; else a Redis that drops connections would keep the dead
    alive."""
    outages = looked()
    for number in range(1, 10):
        outages.fail()
        assert not outages.look(1_000_000 + number * 3_000, 100.0 + number * 3.0)


def test_an_answer_that_took_half_a_lease_is_an_outage() -> None:
    """Redis was frozen, and may not have taken the beats."""
    outages = looked()
    outages.note(4.1)
    assert outages.look(1_005_000, 105.0)


@pytest.mark.parametrize("jump_ms", [60_000, -60_000])
def test_a_jump_of_redis_clock_is_an_outage(jump_ms: int) -> None:
    """By it all beats are old, or in the future."""
    outages = looked()
    assert outages.look(1_000_500 + jump_ms, 100.5)
    assert not outages.look(1_001_000 + jump_ms, 101.0)


def leading() -> Passes:
    """A leader's passes, without a Redis behind them."""
    settings = load({"MIRROR_LEASE": f"{LEASE:g}s"})
    discovery, metrics = Discovery(settings, ()), Metrics(CollectorRegistry())
    away = redis.Redis(host="127.0.0.1", port=1)
    return Passes(settings, away, "c", discovery, metrics)


def test_an_outage_is_remembered_until_a_step_has_seen_it() -> None:
    """The pass that noticed it may fail before its step, and the next pass no longer sees it."""
    passes = leading()
    passes._outages.fail()
    for _ in range(2):
        with pytest.raises(RedisUnavailable):
            passes._pass(1_000_000)
        assert passes._is_outage


def test_a_leader_whose_passes_are_slow_says_so() -> None:
    """From half a lease on. Who does not lead has no passes."""
    passes = leading()
    passes._seconds = 5.2
    assert passes.health().reasons == ()
    passes.leadership.fence = 1
    (reason,) = passes.health().reasons
    assert "the leader's last pass took 5.2 s, and MIRROR_LEASE is 8 s" in reason
    passes._seconds = 3.9
    assert passes.health().reasons == ()
