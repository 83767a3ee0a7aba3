"""The mirrored topics: each with its queue or user, the name, and the channels that receive it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from mirror.fleet.names import FAMILIES, Family, entity_of, read_names
from mirror.fleet.status import ReplicaStatus, ShardStatus
from mirror.fleet.status_reader import read
from mirror.fleet.words import Shard
from mirror.redis.connect import explained
from mirror.redis.documents import readable
from mirror.redis.keys import Keys

if TYPE_CHECKING:
    import redis

    from mirror.settings import Settings

Kind = Literal["queue", "user", "states"]

_CHUNK: Final = 500
_shard = msgspec.json.Decoder(Shard).decode


class TopicView(msgspec.Struct, kw_only=True):
    """A mirrored topic. `kind` `states` is a user's presence and routing status.

    `name` is None if it is unknown or must not be stored (`MIRROR_PII`). `refused` says why Genesys
    does not deliver the topic. `last_event_ms` is the age of the last event of its queue or user,
    None if unknown or not looked up.
    """

    topic: str
    kind: Kind
    id: str
    name: str | None
    shard: str
    replicas: list[ReplicaStatus]
    refused: str | None = None
    last_event_ms: int | None = None


def read_shards(client: redis.Redis, keys: Keys, foreign: list[str] | None = None) -> list[Shard]:
    """Every shard with its topics. Keys of shards that cannot be read are added to `foreign`.

    Raises `RedisUnavailable`.
    """
    with explained():
        ids: Any = sorted(client.hkeys(keys.shards))
        texts: list[str | None] = []
        for at in range(0, len(ids), _CHUNK):
            found: Any = client.mget([keys.shard(id_) for id_ in ids[at : at + _CHUNK]])
            texts += found
    names = [keys.shard(id_) for id_ in ids]
    shards = (readable(_shard, *item, foreign) for item in zip(texts, names, strict=True))
    return [shard for shard in shards if shard is not None]


def mirrored_ids(shards: Iterable[Shard], family: Family) -> set[str]:
    """The ids of the queues or users that have a topic in these shards."""
    entities = (entity_of(topic) for shard in shards for topic in shard.topics)
    return {entity_id for kind, entity_id in entities if kind == family}


def mirrored_names(client: redis.Redis, keys: Keys, family: Family) -> dict[str, str | None]:
    """Id → name of each mirrored queue or user, None if Redis has no name of it.

    Raises `RedisUnavailable`.
    """
    names = read_names(client, keys, family)
    return {entity: names.get(entity) for entity in mirrored_ids(read_shards(client, keys), family)}


def read_topics(client: redis.Redis, settings: Settings) -> list[TopicView]:
    """Every topic that is mirrored, by kind and name. Raises `RedisUnavailable`."""
    keys = Keys(settings.namespace)
    names = {family: read_names(client, keys, family) for family in FAMILIES}
    with explained():
        refused: Any = client.hgetall(keys.rejected)
        status = {shard.id: shard for shard in read(client, settings).shards}
    return views(read_shards(client, keys), status, names, refused)


def views(
    shards: Iterable[Shard],
    status: Mapping[str, ShardStatus],
    names: Mapping[Family, Mapping[str, str]],
    refused: Mapping[str, str],
) -> list[TopicView]:
    """The topics of `shards`, with their state in Redis."""
    found = []
    for shard in shards:
        for topic in shard.topics:
            family, entity_id = entity_of(topic)
            kind: Kind = "queue" if family == "queues" else "states" if "?" in topic else "user"
            found.append(
                TopicView(
                    topic=topic,
                    kind=kind,
                    id=entity_id,
                    name=names[family].get(entity_id),
                    shard=shard.id,
                    replicas=status[shard.id].replicas if shard.id in status else [],
                    refused=refused.get(topic),
                )
            )
    return sorted(found, key=lambda topic: (topic.kind, (topic.name or "~").lower(), topic.id))


def is_called(name: str | None, entity_id: str, text: str) -> bool:
    """Whether `text` is the name (a glob), the id or its beginning. Case does not count."""
    lower = text.lower()
    return entity_id.lower().startswith(lower) or (
        name is not None and fnmatchcase(name.lower(), lower)
    )
