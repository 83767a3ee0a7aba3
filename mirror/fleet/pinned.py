"""The number of partitions that each topic's keys are spread over, fixed while a mirror lives.

The number of partitions decides which partition a conversation is in. Added partitions would move
live conversations: their events would be in two partitions, out of order. So the first process
notes the number in Redis, and all producers spread keys over that many partitions. Added partitions
stay empty until an operator stops everything and adopts them (`mirror init --adopt-partitions`).

If a topic was created again with fewer partitions, the smaller number counts at once: missing
partitions cannot be written to. If Redis comes back empty, the next process that starts notes the
number again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import redis

from mirror.redis.connect import explained
from mirror.redis.documents import readable
from mirror.redis.keys import Keys


def pinned(stored: Mapping[str, int], found: Mapping[str, int]) -> dict[str, int]:
    """Topic → partitions for its keys: the `stored` number, at most the `found` one."""
    return {topic: min(stored.get(topic, count), count) for topic, count in found.items() if count}


def pin(client: redis.Redis, keys: Keys, found: Mapping[str, int]) -> dict[str, int]:
    """Topic → partitions for its keys; notes the numbers in Redis.

    `found` is topic → partitions in Kafka. Raises `RedisUnavailable`.
    """
    stored = read_pinned(client, keys)
    counts = pinned(stored, found)
    _write(client, keys, {topic: n for topic, n in counts.items() if stored.get(topic) != n})
    return counts


def read_pinned(client: redis.Redis, keys: Keys) -> dict[str, int]:
    """Topic → noted number of partitions. Raises `RedisUnavailable`."""
    with explained():
        texts: Any = client.hgetall(keys.partitions)
    counts = {topic: readable(int, text, keys.partitions) for topic, text in texts.items()}
    return {topic: count for topic, count in counts.items() if count}


def adopt(
    client: redis.Redis, keys: Keys, found: Mapping[str, int], topics: Iterable[str]
) -> dict[str, tuple[int, int]]:
    """Spread keys of `topics` over all `found` partitions, from the next start on.

    Returns topic → (old, new) number, for topics that change. Raises `RedisUnavailable`.
    """
    stored = read_pinned(client, keys)
    changed = {
        topic: (stored[topic], found[topic])
        for topic in topics
        if topic in stored and topic in found and stored[topic] != found[topic]
    }
    _write(client, keys, {topic: now for topic, (_, now) in changed.items()})
    return changed


def _write(client: redis.Redis, keys: Keys, counts: Mapping[str, int]) -> None:
    with explained():
        for topic, count in counts.items():
            client.hset(keys.partitions, topic, str(count))
