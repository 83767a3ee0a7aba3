"""Names of the mirrored queues and users: the leader stores them in Redis, commands read them.

Discovery reads the names with the ids. The leader stores the names of mirrored entities, each
family in `SLICES` hashes of id → name, so that a command that reads 60,000 names does not block
Redis. A name goes away with its topics. A queue's name is not personal data. A person's name is:
`masked` obeys `MIRROR_PII`.

Names are for people. No decision depends on a name, and everything works without names.
"""

from __future__ import annotations

import hashlib
import hmac
import time
import zlib
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

import redis

from mirror.conversation.event import Pii
from mirror.redis.connect import explained
from mirror.redis.keys import Keys

Family = Literal["queues", "users"]

FAMILIES: Final[tuple[Family, ...]] = ("queues", "users")
SLICES: Final = 64
LONGEST_NAME: Final = 200
# A name is looked up again after this time: it may be new or changed.
FRESH_SECONDS: Final = 60.0
MOST_REMEMBERED: Final = 100_000
HASH_DIGITS: Final = 32
_QUEUE_PREFIX: Final = "v2.routing.queues."
_USER_PREFIX: Final = "v2.users."


def entity_of(topic: str) -> tuple[Family, str]:
    """The family and id of a topic's queue or user. Case is as in the topic."""
    if topic.startswith(_QUEUE_PREFIX):
        return "queues", topic.removeprefix(_QUEUE_PREFIX).partition(".")[0]
    rest = topic.removeprefix(_USER_PREFIX).partition(".")[0]
    return "users", rest.partition("?")[0]


def slice_of(entity_id: str) -> int:
    """The number of the hash, of a family's `SLICES`, that has this id."""
    return zlib.crc32(entity_id.encode()) % SLICES


def masked(family: Family, name: str, pii: Pii, pii_key: str) -> str:
    """The name in the form that may be stored, empty if it may not be stored.

    `pii` is `MIRROR_PII`: a person's name is dropped (`drop`), hashed as in events (`hash`) or kept
    (`keep`).
    """
    name = name.strip()
    if family == "queues" or not name or pii == "keep":
        return name[:LONGEST_NAME]
    if pii != "hash":
        return ""
    return hmac.new(pii_key.encode(), name.encode(), hashlib.sha256).hexdigest()[:HASH_DIGITS]


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
