"""Cuts topics into shards. Pure.

Promises:

- Every topic is in exactly one shard, and no shard has more topics than a channel takes.
- All topics of a shard have the same audience (the OAuth clients that may see them), so each of
  these clients can carry the whole shard.
- A topic stays in its shard as long as both exist and have the same audience. So a new or removed
  user changes only one shard.
- A shard's epoch rises if and only if its topics or its audience change. It never repeats, even
  after Redis lost everything: it is at least the Redis time of the change.

While a topic changes its shard, no channel receives it for a moment. So a topic moves only if it
must. New topics go to the emptiest shard. If the audience of some topics changes, they leave their
shard; the larger part keeps it. Shards are merged only then, because small shards would use up the
channels of clients that see little.

Queues are far busier than users. Topics enter in the order of a hash of their names, so a fresh cut
spreads the queues over all shards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Final

import msgspec

from coordinator.plan.sight import ANYBODY
from mirror.fleet.words import Shard

Audience = frozenset[str]
_ALIKE: Final[Mapping[str, Audience]] = {}


class Cut(msgspec.Struct, frozen=True):
    """The result: shards by id, topics that no shard had before, topics from another shard."""

    shards: dict[str, Shard]
    changed: frozenset[str]
    removed: frozenset[str]
    fresh: dict[str, tuple[str, ...]]
    moved: dict[str, tuple[str, ...]]


def cut(
    shards: Mapping[str, Shard],
    topics: Iterable[str],
    limit: int,
    now_ms: int,
    audience: Mapping[str, Audience] = _ALIKE,
    refused_by: Callable[[list[str]], tuple[str, ...]] = lambda _: (),
) -> Cut:
    """The shards for `topics`, with as little change to `shards` as possible.

    `limit` is the most topics of a shard, `audience` has the topics that not every client may see.
    `refused_by` returns the clients that are refused any of a list of topics. In the result `fresh`
    has, per shard, the topics that no earlier shard had, `moved` those from another shard.
    """
    wanted = set(topics)
    kept: dict[str, list[str]] = {}
    owners: dict[str, Audience] = {}
    taken: set[str] = set()
    for shard in shards.values():
        mine = [topic for topic in shard.topics if topic in wanted and topic not in taken]
        owners[shard.id] = _common(mine, audience, frozenset(shard.clients))
        mine = [topic for topic in mine if audience.get(topic, ANYBODY) == owners[shard.id]]
        kept[shard.id] = mine[:limit]
        taken.update(kept[shard.id])
    if any(owners[shard.id] != frozenset(shard.clients) for shard in shards.values()) or any(
        topic in wanted and topic not in taken
        for shard in shards.values()
        for topic in shard.topics
    ):
        for merged in _needless(kept, owners, limit):
            taken.difference_update(kept[merged])
            kept[merged] = []
    before = {topic for shard in shards.values() for topic in shard.topics}
    unassigned: dict[Audience, list[str]] = {}
    for topic in sorted(wanted - taken, key=_scatter):
        unassigned.setdefault(audience.get(topic, ANYBODY), []).append(topic)
    added: dict[str, list[str]] = {}
    for owner in sorted(unassigned, key=sorted):
        added |= _place(kept, owners, unassigned[owner], owner, limit, shards)
    result: dict[str, Shard] = {}
    changed: set[str] = set()
    for shard_id, members in kept.items():
        if not members:
            continue
        old = shards.get(shard_id)
        clients = tuple(sorted(owners[shard_id]))
        if old is not None and (tuple(members), clients) == (old.topics, old.clients):
            result[shard_id] = old
        else:
            epoch = max(now_ms, old.epoch + 1 if old else 1)
            refused = refused_by(members) if clients else ()
            result[shard_id] = Shard(shard_id, tuple(members), epoch, clients, refused)
            changed.add(shard_id)
    return Cut(
        shards=result,
        changed=frozenset(changed),
        removed=frozenset(shards.keys() - result.keys()),
        fresh={
            shard_id: news
            for shard_id, members in added.items()
            if (news := tuple(topic for topic in members if topic not in before))
        },
        moved={
            shard_id: movers
            for shard_id, members in added.items()
            if (movers := tuple(topic for topic in members if topic in before))
        },
    )


def _common(topics: list[str], audience: Mapping[str, Audience], now: Audience) -> Audience:
    """The audience of most of the topics; in a tie, the present one."""
    counts = Counter(audience.get(topic, ANYBODY) for topic in topics)
    return max(counts, key=lambda owner: (counts[owner], owner == now, sorted(owner)), default=now)


def _needless(
    kept: Mapping[str, list[str]], owners: Mapping[str, Audience], limit: int
) -> list[str]:
    """The smallest shards of each audience whose topics fit into its other shards."""
    found: list[str] = []
    for owner in set(owners.values()):
        mine = sorted(
            (shard_id for shard_id in kept if owners[shard_id] == owner),
            key=lambda shard_id: len(kept[shard_id]),
        )
        needed = -(-sum(len(kept[shard_id]) for shard_id in mine) // limit)
        found += mine[: max(0, len(mine) - needed)]
    return found


def _place(
    kept: dict[str, list[str]],
    owners: dict[str, Audience],
    unassigned: list[str],
    owner: Audience,
    limit: int,
    shards: Mapping[str, Shard],
) -> dict[str, list[str]]:
    """Put `unassigned` topics of one audience into its shards with the most room, then into new
    ones."""
    added: dict[str, list[str]] = {}
    with_capacity = sorted(
        (id_ for id_ in kept if kept[id_] and owners[id_] == owner), key=lambda id_: len(kept[id_])
    )
    number = max((int(id_) for id_ in (*shards, *kept) if id_.isdecimal()), default=0)
    while unassigned:
        if with_capacity and limit - len(kept[with_capacity[0]]) > 0:
            shard_id = with_capacity.pop(0)
        else:
            with_capacity = []
            number += 1
            shard_id = str(number)
            kept[shard_id] = []
            owners[shard_id] = owner
        room = limit - len(kept[shard_id])
        added[shard_id], unassigned = unassigned[:room], unassigned[room:]
        kept[shard_id] += added[shard_id]
    return added


def _scatter(topic: str) -> bytes:
    return blake2b(topic.encode(), digest_size=8).digest()
