"""Cuts topics into shards. Pure.

Promises: every topic is in exactly one shard; no shard has more topics than a channel takes; a
topic stays in its shard for as long as both live, so that a new or removed user touches one shard;
a shard's epoch rises when, and only when, its topics change, and never repeats even where Redis
forgot everything (it is at least the Redis time of the change).

Shards are not merged: topics that change shards would be received by nobody for a moment. New ones
go to the emptiest shard first, so that churn fills up what it emptied.

Queues are far busier than users. Topics enter in the order of a hash of their names, so that a
fresh cut spreads the queues over all shards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b

import msgspec

from mirror.fleet import Shard


class Cut(msgspec.Struct, frozen=True):
    """Shards by id, and which of their topics nobody had before."""

    shards: dict[str, Shard]
    changed: frozenset[str]
    retired: frozenset[str]
    fresh: dict[str, tuple[str, ...]]


def cut(shards: Mapping[str, Shard], topics: Iterable[str], limit: int, now_ms: int) -> Cut:
    """The shards for `topics`, with as little change to `shards` as possible.

    `limit` is the most topics of a shard. `fresh` has, per shard, the topics in no earlier shard.
    """
    wanted = set(topics)
    kept: dict[str, list[str]] = {}
    taken: set[str] = set()
    for shard in shards.values():
        mine = [topic for topic in shard.topics if topic in wanted and topic not in taken]
        kept[shard.id] = mine[:limit]
        taken.update(kept[shard.id])
    before = {topic for shard in shards.values() for topic in shard.topics}
    homeless = sorted(wanted - taken, key=_scatter)
    added = _place(kept, homeless, limit, shards)
    result: dict[str, Shard] = {}
    changed: set[str] = set()
    for shard_id, members in kept.items():
        if not members:
            continue
        old = shards.get(shard_id)
        if old is not None and tuple(members) == old.topics:
            result[shard_id] = old
        else:
            epoch = max(now_ms, old.epoch + 1 if old else 1)
            result[shard_id] = Shard(shard_id, tuple(members), epoch)
            changed.add(shard_id)
    return Cut(
        shards=result,
        changed=frozenset(changed),
        retired=frozenset(shards.keys() - result.keys()),
        fresh={
            shard_id: news
            for shard_id, members in added.items()
            if (news := tuple(topic for topic in members if topic not in before))
        },
    )


def _place(
    kept: dict[str, list[str]], homeless: list[str], limit: int, shards: Mapping[str, Shard]
) -> dict[str, list[str]]:
    """Put `homeless` topics into the shards with the most room, then into new ones."""
    added: dict[str, list[str]] = {}
    roomy = sorted((id_ for id_ in kept if kept[id_]), key=lambda id_: len(kept[id_]))
    number = max((int(id_) for id_ in shards if id_.isdigit()), default=0)
    while homeless:
        if roomy and limit - len(kept[roomy[0]]) > 0:
            shard_id = roomy.pop(0)
        else:
            roomy = []
            number += 1
            shard_id = str(number)
            kept[shard_id] = []
        room = limit - len(kept[shard_id])
        added[shard_id], homeless = homeless[:room], homeless[room:]
        kept[shard_id] += added[shard_id]
    return added


def _scatter(topic: str) -> bytes:
    return blake2b(topic.encode(), digest_size=8).digest()
