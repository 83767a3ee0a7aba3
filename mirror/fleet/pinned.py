"""Over how many partitions each topic's keys are spread, kept while a mirror lives.

Which partition a conversation is in follows from their number. Partitions that are added to a topic
would move conversations that are alive: their events would then be in two partitions, out of order.
So the first process notes in Redis how many there are, all that produce spread keys over that many,
and added ones stay empty until an operator stops everything and adopts them (`mirror init
--adopt-partitions`).

A topic that was made again with fewer is followed at once: what is no more cannot be written to.
Redis that came back empty is given the number of the first process that starts then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import redis

from mirror.redis.connect import explained
from mirror.redis.documents import readable
from mirror.redis.keys import Keys


def pinned(stored: Mapping[str, int], found: Mapping[str, int]) -> dict[str, int]:
    """Topic → over how many partitions its keys go: as `stored`, of those that are `found`."""
    return {topic: min(stored.get(topic, count), count) for topic, count in found.items() if count}


def pin(client: redis.Redis, keys: Keys, found: Mapping[str, int]) -> dict[str, int]:
    """Learn, and note, over how many of the partitions that were `found` keys go.

    `found` is topic → partitions. Raises `RedisUnavailable`.
    """
    stored = read_pinned(client, keys)
    counts = pinned(stored, found)
    _write(client, keys, {topic: n for topic, n in counts.items() if stored.get(topic) != n})
    return counts


def read_pinned(client: redis.Redis, keys: Keys) -> dict[str, int]:
    """What is noted. Raises `RedisUnavailable`."""
    with explained():
        texts: Any = client.hgetall(keys.partitions)
    counts = {topic: readable(int, text, keys.partitions) for topic, text in texts.items()}
    return {topic: count for topic, count in counts.items() if count}


def adopt(
    client: redis.Redis, keys: Keys, found: Mapping[str, int], topics: Iterable[str]
) -> dict[str, tuple[int, int]]:
    """Spread keys of `topics` over all partitions that were `found`, from the next start on.

    Topic → how many it was and is, of those that change. Raises `RedisUnavailable`.
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
