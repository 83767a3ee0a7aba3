"""What operators ask of the leader: drain a listener, rebalance, rotate a channel.

A request is a field of the hash `commands`; the leader carries it out in one of its next passes and
takes it off. `drain:<listener>` stays as long as that listener lives, or until it is taken back: it
gets no seat meanwhile.
"""

from __future__ import annotations

from typing import Final

import redis

from mirror.fleet.words import seat_name
from mirror.redis.connect import explained
from mirror.redis.keys import Keys

DRAIN: Final = "drain:"
ROTATE: Final = "rotate:"
REBALANCE: Final = "rebalance"


def request_drain(client: redis.Redis, keys: Keys, listener: str) -> None:
    """Ask for all seats of a listener to be moved to others. Raises `RedisUnavailable`."""
    _request(client, keys, DRAIN + listener)


def take_back_drain(client: redis.Redis, keys: Keys, listener: str) -> bool:
    """Let a listener have seats again; False where it was not to be drained.

    Raises `RedisUnavailable`.
    """
    with explained():
        return bool(client.hdel(keys.commands, DRAIN + listener))


def request_rebalance(client: redis.Redis, keys: Keys) -> None:
    """Ask for seats to be spread again over all listeners. Raises `RedisUnavailable`."""
    _request(client, keys, REBALANCE)


def request_rotation(client: redis.Redis, keys: Keys, shard: str, replica: str) -> None:
    """Ask for a fresh channel for a seat. Raises `RedisUnavailable`."""
    _request(client, keys, ROTATE + seat_name(shard, replica))


def _request(client: redis.Redis, keys: Keys, request: str) -> None:
    with explained():
        seconds, _ = client.time()
        client.hset(keys.commands, request, str(seconds))
