"""What operators ask of the leader: drain a listener, rebalance, rotate a channel.

A wish is a field of the hash `commands`; the leader carries it out in one of its next passes and
takes it off. `drain:<listener>` stays as long as that listener lives: it gets no seat again.
"""

from __future__ import annotations

from typing import Final

import redis

from mirror.fleet.words import seat_name
from mirror.redis.keys import Keys

DRAIN: Final = "drain:"
ROTATE: Final = "rotate:"
REBALANCE: Final = "rebalance"


def wish_drain(client: redis.Redis, keys: Keys, listener: str) -> None:
    """Ask for all seats of a listener to be moved to others."""
    _wish(client, keys, DRAIN + listener)


def wish_rebalance(client: redis.Redis, keys: Keys) -> None:
    """Ask for seats to be spread anew over the listeners that live."""
    _wish(client, keys, REBALANCE)


def wish_rotation(client: redis.Redis, keys: Keys, shard: str, replica: str) -> None:
    """Ask for a fresh channel for a seat."""
    _wish(client, keys, ROTATE + seat_name(shard, replica))


def _wish(client: redis.Redis, keys: Keys, wish: str) -> None:
    seconds, _ = client.time()
    client.hset(keys.commands, wish, str(seconds))
