"""The names of mirrored queues and users: learnt from listings, stored if they differ. No I/O.

`Naming` keeps the names from listings, and returns those of the mirrored topics. An entity that no
client lists any more keeps its stored name while one of its topics is mirrored, so a doubted
listing removes no name. Names of people are the exception: with `MIRROR_PII` `drop` and `hash` only
the dropped or hashed form stays in Redis.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import islice
from typing import Final

import msgspec

from coordinator.election import Write
from mirror.conversation.normaliser.personal import Personal
from mirror.fleet.names import FAMILIES, Family, described, entity_of, slice_of
from mirror.genesys.shapes import Entity
from mirror.redis.keys import Keys
from mirror.settings import Settings

# Per family: far more than one mirror's channels carry.
MOST_NAMES: Final = 100_000
FIELDS_A_WRITE: Final = 100
LONGEST_NAME: Final = 200


class Called(msgspec.Struct, frozen=True):
    """The names of mirrored queues and users: family → id → name; `ids` includes those without one.

    For families in `strict`, stored names that are not in `names` are removed. `digest` changes
    with any of the content.
    """

    names: Mapping[Family, Mapping[str, str]]
    ids: Mapping[Family, frozenset[str]]
    strict: frozenset[Family]
    digest: str


class Naming:
    """The names that discovery found."""

    def __init__(self, settings: Settings) -> None:
        self._personal = Personal.of(settings.pii, settings.pii_key)
        self._strict: frozenset[Family] = frozenset(
            {"users"} if settings.pii != "keep" else ()  # removes names kept under another setting
        )
        self._heard: dict[Family, dict[str, str]] = {family: {} for family in FAMILIES}
        self._last: tuple[frozenset[str], Called] | None = None

    def hear(self, family: Family, entities: Iterable[Entity]) -> None:
        """Take a whole listing of a family by one client."""
        heard = self._heard[family]
        for entity in entities:
            name = self._shown(family, entity.name)
            if heard.get(entity.id, "") != name:
                heard[entity.id] = name
                self._last = None

    def described(self, topic: str) -> str:
        """A topic as reasons and logs show it, also if it is no longer mirrored."""
        family, entity_id = entity_of(topic)
        return described(topic, self._heard[family].get(entity_id))

    def _shown(self, family: Family, name: str) -> str:
        """The name in the form that may be stored, empty if it may not be stored."""
        name = name.strip()
        if family == "users":  # hashed as in events
            name = self._personal.hidden(name) if self._personal else ""
        return name[:LONGEST_NAME]

    def called(self, topics: frozenset[str]) -> Called:
        """The names of the queues and users of these topics."""
        if self._last is not None and self._last[0] == topics:
            return self._last[1]
        ids: dict[Family, set[str]] = {family: set() for family in FAMILIES}
        for topic in topics:
            family, entity_id = entity_of(topic)
            ids[family].add(entity_id)
        names: dict[Family, dict[str, str]] = {}
        for family, heard in self._heard.items():
            kept = (id_ for id_ in sorted(heard.keys() & ids[family]) if heard[id_])
            names[family] = {id_: heard[id_] for id_ in islice(kept, MOST_NAMES)}
            if len(heard) > MOST_NAMES:
                self._heard[family] = dict(names[family])
        known = {family: frozenset(listed) for family, listed in ids.items()}
        found = Called(names, known, self._strict, _digest(names, known, self._strict))
        self._last = (topics, found)
        return found


def name_changes(
    keys: Keys, family: Family, called: Called, stored: Mapping[str, str]
) -> Iterator[Write]:
    """The changes that turn the `stored` names of a family into those of `called`."""
    names, ids = called.names[family], called.ids[family]
    news: dict[int, list[str]] = {}
    gone: dict[int, list[str]] = {}
    for id_, name in names.items():
        if stored.get(id_) != name:
            news.setdefault(slice_of(id_), []).extend((id_, name))
    for id_ in stored:
        if id_ not in names and (id_ not in ids or family in called.strict):
            gone.setdefault(slice_of(id_), []).append(id_)
    for part, fields in sorted(news.items()):
        for chunk in _chunks(fields, 2 * FIELDS_A_WRITE):
            yield Write("HSET", keys.names_of(family, part), chunk)
    for part, fields in sorted(gone.items()):
        for chunk in _chunks(fields, FIELDS_A_WRITE):
            yield Write("HDEL", keys.names_of(family, part), chunk)


def _chunks(fields: list[str], size: int) -> Iterator[tuple[str, ...]]:
    return (tuple(fields[at : at + size]) for at in range(0, len(fields), size))


def _digest(
    names: Mapping[Family, Mapping[str, str]],
    ids: Mapping[Family, frozenset[str]],
    strict: frozenset[Family],
) -> str:
    digest = blake2b(digest_size=16)
    digest.update(msgspec.json.encode(sorted(strict)))
    for family in FAMILIES:
        digest.update(msgspec.json.encode((family, sorted(names[family].items()))))
        digest.update(msgspec.json.encode(sorted(ids[family])))
    return digest.hexdigest()
