"""Redis' clock, by which all processes measure scores and leases (I6)."""

from __future__ import annotations

from typing import Any

import redis

from mirror.redis.connect import explained


def redis_now_ms(client: redis.Redis) -> int:
    """Redis' clock, in epoch milliseconds. Raises `RedisUnavailable`."""
    with explained():
        return told_ms(client.time())


def told_ms(answer: Any) -> int:
    """Epoch milliseconds of an answer to `TIME`."""
    seconds, micros = answer
    return int(seconds) * 1000 + int(micros) // 1000
