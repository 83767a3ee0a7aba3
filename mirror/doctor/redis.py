"""Checks of Redis: reachable, recent enough, keeps what it is given, quick, clock near ours."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any, Final

import redis

from mirror.doctor.finding import Finding, bad, good
from mirror.errors import EXIT_DEPENDENCY, RedisUnavailable
from mirror.redis.connect import address, check, connect
from mirror.settings import Settings

OLDEST: Final = (6, 2)
SLOW_MS: Final = 20.0
CLOCK_APART_S: Final = 60.0
_PINGS: Final = 5


def check_redis(settings: Settings) -> Iterator[Finding]:
    """Findings on `REDIS_URL`; only the first where it cannot be reached."""
    client = connect(settings)
    try:
        check(client, settings)
    except RedisUnavailable as error:
        yield bad("Redis", str(error), "start Redis, or correct REDIS_URL", EXIT_DEPENDENCY)
        return
    try:
        info: dict[str, Any] = client.info()
        yield _version(settings, info)
        yield _eviction(info)
        yield _latency(client)
        yield _clock(client)
    except redis.RedisError as error:
        yield bad(
            "Redis",
            f"refuses a command: {error}",
            "give the user of REDIS_URL the rights of deploy/redis.acl",
            EXIT_DEPENDENCY,
        )


def _version(settings: Settings, info: dict[str, Any]) -> Finding:
    text = str(info.get("valkey_version") or info.get("redis_version") or "0")
    name = "Valkey" if info.get("valkey_version") else "Redis"
    numbers = tuple(int(part) for part in re.findall(r"\d+", text)[:2])
    where = f"{name} {text} at {address(settings)}"
    if numbers < OLDEST:
        return bad("Redis", where, "upgrade to Redis 6.2 or later, or Valkey")
    return good("Redis", where)


def _eviction(info: dict[str, Any]) -> Finding:
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction" and info.get("maxmemory"):
        return bad(
            "Redis memory",
            f"drops keys when full ({policy})",
            "set maxmemory-policy noeviction: an evicted lease looks like a death",
        )
    return good("Redis memory", f"{int(info.get('used_memory', 0)) >> 20} MiB, {policy}")


def _latency(client: redis.Redis) -> Finding:
    times = []
    for _ in range(_PINGS):
        began = time.monotonic()
        client.ping()
        times.append(time.monotonic() - began)
    median = 1000 * sorted(times)[_PINGS // 2]
    if median > SLOW_MS:
        return bad("Redis latency", f"{median:.1f} ms", "use a Redis in the same network")
    return good("Redis latency", f"{median:.1f} ms")


def _clock(client: redis.Redis) -> Finding:
    seconds, micros = client.time()
    apart = abs(time.time() - (seconds + micros / 1e6))
    if apart > CLOCK_APART_S:
        return bad(
            "clock",
            f"this machine and Redis are {apart:.0f} s apart",
            "let both follow NTP: received_at is this machine's clock",
        )
    return good("clock", f"{apart * 1000:.0f} ms from Redis'")
