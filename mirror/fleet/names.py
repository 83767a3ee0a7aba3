"""Names of the mirrored queues and users: the leader stores them in Redis, commands read them.

Discovery reads the names with the ids. The leader stores the names of mirrored entities, each
family in `SLICES` hashes of id → name, so that a command that reads 60,000 names does not block
Redis. A name goes away with its topics. A queue's name is not personal data. A person's name is:
`coordinator.naming` obeys `MIRROR_PII`.

Names are for people. No decision depends on a name, and everything works without names.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

import redis

from mirror.redis.connect import explained
from mirror.redis.keys import Keys

Family = Literal["queues", "users"]

FAMILIES: Final[tuple[Family, ...]] = ("queues", "users")
SLICES: Final = 64
# A name is looked up again after this time: it may be new or changed.
FRESH_SECONDS: Final = 60.0
MOST_REMEMBERED: Final = 100_000
_QUEUE_PREFIX: Final = "v2.routing.queues."
_USER_PREFIX: Final = "v2.users."


def entity_of(topic: str) -> tuple[Family, str]:
    """The family and id of a topic's queue or user. Case is as in the topic."""
    if topic.startswith(_QUEUE_PREFIX):
        return "queues", topic.removeprefix(_QUEUE_PREFIX).partition(".")[0]
    rest = topic.removeprefix(_USER_PREFIX).partition(".")[0]
    return "users", rest.partition("?")[0]


def described(topic: str, name: str | None = None) -> str:
    """A topic as reasons and logs show it: its queue or user, by name and id, or by id alone."""
    family, entity_id = entity_of(topic)
    kind = "states of user" if "?" in topic else family.removesuffix("s")
    return f"{kind} {name} ({entity_id})" if name else f"{kind} {entity_id}"


def slice_of(entity_id: str) -> int:
    """The number of the hash, of a family's `SLICES`, that has this id."""
    return zlib.crc32(entity_id.encode()) % SLICES


def read_names(client: redis.Redis, keys: Keys, family: Family) -> dict[str, str]:
    """Every name of a family, by id. Raises `RedisUnavailable`."""
    found: dict[str, str] = {}
    for part in range(SLICES):
        with explained():
            names: Any = client.hgetall(keys.names_of(family, part))
        found.update(names)
    return found


class Names:
    """Looks names up, a few at a time, and remembers them for `FRESH_SECONDS`."""

    def __init__(
        self, client: redis.Redis, keys: Keys, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`client` must decode answers to text."""
        self._redis = client
        self._keys = keys
        self._clock = clock
        self._known: dict[tuple[Family, str], tuple[str, float]] = {}

    def of(self, family: Family, ids: Iterable[str | None]) -> dict[str, str]:
        """Id → name, for those of `ids` that have a name. Raises `RedisUnavailable`."""
        wanted = {id_ for id_ in ids if id_}
        now = self._clock()
        stale = [id_ for id_ in sorted(wanted) if self._is_stale(family, id_, now)]
        if stale:
            self._learn(family, stale, now)
        found = ((id_, self._known[family, id_][0]) for id_ in wanted)
        return {id_: name for id_, name in found if name}

    def describe(self, topics: Iterable[str]) -> dict[str, str]:
        """Topic → how reasons show it (`described`). Raises `RedisUnavailable`."""
        entities = {topic: entity_of(topic) for topic in topics}
        names = {
            family: self.of(family, (id_ for kind, id_ in entities.values() if kind == family))
            for family in FAMILIES
        }
        return {
            topic: described(topic, names[family].get(id_))
            for topic, (family, id_) in entities.items()
        }

    def _is_stale(self, family: Family, entity_id: str, now: float) -> bool:
        known = self._known.get((family, entity_id))
        return known is None or now - known[1] > FRESH_SECONDS

    def _learn(self, family: Family, ids: list[str], now: float) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for id_ in ids:
            pipe.hget(self._keys.names_of(family, slice_of(id_)), id_)
        with explained():
            names: list[str | None] = pipe.execute()
        if len(self._known) + len(ids) > MOST_REMEMBERED:
            self._known.clear()
        self._known.update(
            ((family, id_), (name or "", now)) for id_, name in zip(ids, names, strict=True)
        )
