"""Requests of operators to the leader: drain a listener, rebalance, rotate a channel.

A request is a field of the hash `commands`. The leader carries it out in one of its next passes and
removes the field. `drain:<listener>` stays until the listener is gone or an operator takes the
request back; meanwhile the listener gets no seats.
"""

from __future__ import annotations

from typing import Final

import redis

from mirror.fleet.words import Seat
from mirror.redis.clock import redis_now_ms
from mirror.redis.connect import explained
from mirror.redis.keys import Keys

DRAIN: Final = "drain:"
ROTATE: Final = "rotate:"
REBALANCE: Final = "rebalance"


def request_drain(client: redis.Redis, keys: Keys, listener: str) -> None:
    """Ask the leader to move all seats of a listener to others. Raises `RedisUnavailable`."""
    _request(client, keys, DRAIN + listener)


def take_back_drain(client: redis.Redis, keys: Keys, listener: str) -> bool:
    """Let a listener have seats again; False if no drain was requested.

    Raises `RedisUnavailable`.
    """
    with explained():
        return bool(client.hdel(keys.commands, DRAIN + listener))


def request_rebalance(client: redis.Redis, keys: Keys) -> None:
    """Ask the leader to spread seats over all listeners again. Raises `RedisUnavailable`."""
    _request(client, keys, REBALANCE)


def request_rotation(client: redis.Redis, keys: Keys, seat: Seat) -> None:
    """Ask the leader for a fresh channel for a seat. Raises `RedisUnavailable`."""
    _request(client, keys, ROTATE + seat.name)


def _request(client: redis.Redis, keys: Keys, request: str) -> None:
    with explained():
        client.hset(keys.commands, request, str(redis_now_ms(client) // 1000))
