"""Checks of Redis: reachable, recent, evicts nothing, fast, allows our commands, clock right."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import redis
from redis.exceptions import NoPermissionError

from mirror.base.errors import EXIT_DEPENDENCY, RedisUnavailable
from mirror.checks.finding import Finding, bad, doubtful, good
from mirror.redis.answers import MEANINGS, code_of
from mirror.redis.clock import redis_now_ms
from mirror.redis.connect import address, check, connect, explained
from mirror.redis.keys import Keys
from mirror.redis.scripts import script
from mirror.settings import Settings

OLDEST: Final = (6, 2)
SLOW_MS: Final = 20.0
CLOCK_APART_SECONDS: Final = 60.0
FULL_SHARE: Final = 0.8
_ASKED: Final = 5
_LIFE_S: Final = 5
_RIGHTS_CURE: Final = "give the user of REDIS_URL the rights of deploy/redis.acl"


def check_redis(settings: Settings) -> Iterator[Finding]:
    """Findings on `REDIS_URL`; only the first if it cannot be reached."""
    client = connect(settings)
    try:
        check(client, settings)
    except RedisUnavailable as error:
        yield _away(error)
        client.close()
        return
    try:
        with explained(f"Redis at {address(settings)}"):
            yield from _answers(settings, client)
    except RedisUnavailable as error:
        yield _away(error)
    finally:
        client.close()


def _away(error: RedisUnavailable) -> Finding:
    """The error without what the line of a finding says besides: the subject, and the cure."""
    detail = error.problem.removeprefix("Redis ").removeprefix("at ")
    return bad("redis", "Redis", detail, error.cure, error.exit_code)


def _answers(settings: Settings, client: redis.Redis) -> Iterator[Finding]:
    yield good("redis", "Redis", f"answers at {address(settings)}")
    try:
        info: dict[str, Any] = client.info()
    except NoPermissionError:
        yield doubtful(
            "redis.version", "Redis version", "INFO is refused, so it is unknown", _RIGHTS_CURE
        )
    else:
        yield version(info)
        yield memory(info)
    yield _latency(client)
    yield _rights(client, Keys(settings.namespace))
    yield _clock(client)


def version(info: dict[str, Any]) -> Finding:
    """Whether the release has all commands in use (`ZMSCORE`, `SMISMEMBER`)."""
    text = str(info.get("valkey_version") or info.get("redis_version") or "0")
    name = "Valkey" if info.get("valkey_version") else "Redis"
    numbers = tuple(int(part) for part in re.findall(r"\d+", text)[:2])
    if numbers < OLDEST:
        return bad(
            "redis.version",
            "Redis version",
            f"{name} {text} is older than 6.2",
            "upgrade to Redis 6.2 or later, or Valkey",
        )
    return good("redis.version", "Redis version", f"{name} {text}")


def memory(info: dict[str, Any]) -> Finding:
    """Whether Redis evicts keys: that looks like a dead listener or loses a conversation."""
    policy = str(info.get("maxmemory_policy", "noeviction"))
    most, used = int(info.get("maxmemory") or 0), int(info.get("used_memory", 0))
    detail = f"{used >> 20} MiB{f' of {most >> 20}' if most else ''}, {policy}"
    if policy != "noeviction" and most:
        return bad(
            "redis.memory",
            "Redis memory",
            f"{detail}: keys are dropped when it is full",
            "CONFIG SET maxmemory-policy noeviction: an evicted lease looks like a death",
        )
    if most and used > FULL_SHARE * most:
        return bad(
            "redis.memory",
            "Redis memory",
            f"{detail}: nearly full, and then every write is refused",
            "raise maxmemory, or find what else fills it",
        )
    return good("redis.memory", "Redis memory", detail)


def _latency(client: redis.Redis) -> Finding:
    times = []
    for _ in range(_ASKED):
        began = time.monotonic()
        client.time()  # no PING: Redis refuses that where it cannot save
        times.append(time.monotonic() - began)
    return latency(1000 * sorted(times)[_ASKED // 2])


def latency(median_ms: float) -> Finding:
    """Whether Redis answers fast enough. Much is tolerable: a listener beats every two seconds, the
    tracker writes once a batch."""
    detail = f"{median_ms:.1f} ms, the median of {_ASKED} calls"
    if median_ms > SLOW_MS:
        return doubtful(
            "redis.latency",
            "Redis latency",
            detail,
            f"use a Redis in the same network (below {SLOW_MS:g} ms), or look for SLOWLOG entries",
        )
    return good("redis.latency", "Redis latency", detail)


def _rights(client: redis.Redis, keys: Keys) -> Finding:
    """Run each command that processes use, once, on keys that live for seconds."""
    text, ranked, fields = keys.doctor_text, keys.doctor_ranked, keys.doctor_fields
    rate = script(client, "rate")
    attempts: dict[str, Callable[[], object]] = {
        "set": lambda: client.set(text, 1, px=1000 * _LIFE_S),
        "mget": lambda: client.mget([text]),
        "zadd": lambda: client.zadd(ranked, {"one": 1}),
        "zrangebyscore": lambda: client.zrangebyscore(ranked, "-inf", "+inf"),
        "expire": lambda: client.expire(ranked, _LIFE_S),
        "hset": lambda: client.hset(fields, "one", "1"),
        "hgetall": lambda: client.hgetall(fields),
        "del": lambda: client.delete(ranked, fields),
        "scripts": lambda: rate([keys.doctor_rate], [1, 1000]),
    }
    refused: dict[str, str] = {}
    for name, attempt in attempts.items():
        try:
            attempt()
        except (redis.RedisError, RedisUnavailable) as error:
            answer = error.__cause__ if isinstance(error, RedisUnavailable) else error
            refused[name] = code_of(answer) if answer else ""
            if not refused[name]:
                refused[name] = str(answer or error)
    return rights(refused)


def rights(refused: dict[str, str]) -> Finding:
    """`refused` is command → the error word of Redis' answer, or its whole text if unknown."""
    if not refused:
        return good("redis.rights", "Redis rights", "reads, writes and scripts are allowed")
    told = ", ".join(
        name if word == "NOPERM" else f"{name} ({word})" for name, word in refused.items()
    )
    cures = {MEANINGS[word].cure: None for word in refused.values() if word in MEANINGS}
    says = {MEANINGS[word].says: None for word in refused.values() if word in MEANINGS}
    reason = f": Redis {' and '.join(says)}" if says else ""
    cure = "; ".join(cures) or "see what the log of Redis says of it"
    return bad("redis.rights", "Redis rights", f"refused: {told}{reason}", cure, EXIT_DEPENDENCY)


def _clock(client: redis.Redis) -> Finding:
    return clock(time.time() - redis_now_ms(client) / 1000)


def clock(ahead_s: float) -> Finding:
    """Whether Redis' clock is near ours. Leases use Redis' clock alone (I6), but `received_at` uses
    ours, and people compare logs."""
    direction = "ahead of" if ahead_s >= 0 else "behind"
    detail = f"{abs(1000 * ahead_s):.0f} ms {direction} the Redis server"
    if abs(ahead_s) > CLOCK_APART_SECONDS:
        return bad(
            "clock",
            "clock",
            f"this machine and Redis are {abs(ahead_s):.0f} s apart",
            "let both follow NTP: received_at is this machine's clock",
        )
    return good("clock", "clock", detail)
