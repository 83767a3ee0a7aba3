"""Names of queues and agents in commands: shown instead of ids, and accepted in options.

Names are in Redis (`mirror.fleet.names`). Commands that need only names from Redis work without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import redis

    from mirror.fleet.names import Family, Names
    from mirror.redis.keys import Keys

    Mirrored = Callable[[Family], Mapping[str, str | None]]

MOST_LISTED: Final = 5
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def is_whole_id(text: str) -> bool:
    """Whether `text` is a whole id of Genesys, not a beginning or a name."""
    return _UUID.fullmatch(text) is not None


class Called:
    """Names of queues and agents for commands that show events, if Redis has them."""

    def __init__(self, names: Names | None = None, mirrored: Mirrored | None = None) -> None:
        """Without `names` every id stays an id. `mirrored` raises `RedisUnavailable`."""
        self._names = names
        self._mirrored = mirrored

    def name(self, family: Family, entity_id: str | None) -> str | None:
        """The name of a queue or user, None if it has none or Redis does not answer."""
        from mirror.base.errors import RedisUnavailable

        if self._names is None or not entity_id:
            return None
        try:
            return self._names.of(family, [entity_id]).get(entity_id)
        except RedisUnavailable:
            return None  # the events go on, with ids

    def is_meant(self, family: Family, entity_id: str | None, text: str) -> bool:
        """Whether `text` is the entity's name (a glob), its id or the id's beginning."""
        from mirror.fleet.topics import is_called

        if not entity_id:
            return False
        return is_called(self.name(family, entity_id), entity_id, text)

    def unmatched(self, family: Family, option: str, text: str) -> str | None:
        """A warning that an option matches no mirrored queue or user.

        None if it matches, or if that is unknown: Redis has no names, or the family is not mirrored
        (then events of the other family still show its ids).
        """
        from mirror.base.errors import RedisUnavailable
        from mirror.fleet.topics import is_called

        if self._mirrored is None:
            return None
        try:
            known = self._mirrored(family)
        except RedisUnavailable as error:
            return f"mirror: whether {option} matches anything is unknown, {error}"
        if not known or any(is_called(name, entity, text) for entity, name in known.items()):
            return None
        line = f"mirror: {option} is {text!r}, which matches no mirrored {family[:-1]} now"
        if any(known.values()):
            return f"{line} (of {len(known)}): `mirror topics` lists them"
        if family == "users":
            return f"{line}: only ids can match, Redis has no names of people (MIRROR_PII)"
        return None


@contextmanager
def names_if_any() -> Iterator[Called]:
    """Names for a command that also works without Redis. Without Redis, a line on stderr says
    so."""
    from console.context import redis_of_settings
    from console.render import say
    from mirror.base.errors import RedisUnavailable
    from mirror.fleet.names import Names
    from mirror.fleet.topics import mirrored_names

    with ExitStack() as stack:
        called = Called()
        try:
            client, keys, _ = stack.enter_context(redis_of_settings())
            called = Called(
                Names(client, keys), lambda family: mirrored_names(client, keys, family)
            )
        except RedisUnavailable as error:
            say(f"mirror: ids are shown instead of names, {error}")
        yield called


def no_such(option: str, text: str, family: Family, count: int) -> str:
    """The line about an option that names none of the `count` mirrored queues or users."""
    return (
        f"{option} is {text!r}: there is no such {family.removesuffix('s')} among {count} mirrored "
        f"{family}. `mirror topics` lists them"
    )


def find_ids(
    client: redis.Redis, keys: Keys, family: Family, option: str, texts: tuple[str, ...]
) -> tuple[str, ...]:
    """The ids that `texts` mean. A text is a whole id, or the name or the beginning of the id of a
    mirrored entity.

    Raises `SettingsError` that names the `option` if a text matches none or several.
    """
    from mirror.base.errors import SettingsError
    from mirror.fleet.topics import is_called, mirrored_names

    if all(map(is_whole_id, texts)):
        return tuple(text.lower() for text in texts)
    singular = family.removesuffix("s")
    names = mirrored_names(client, keys, family)
    known = sorted(names)
    found: list[str] = []
    for text in texts:
        if is_whole_id(text):
            found.append(text.lower())
            continue
        ids = [entity for entity in known if is_called(names[entity], entity, text)]
        if not ids:
            raise SettingsError(
                f"{no_such(option, text, family, len(known))}; name any other {singular} by its "
                "whole id"
            )
        if len(ids) > 1:
            shown = ", ".join(f"{names[entity] or '?'} ({entity})" for entity in ids[:MOST_LISTED])
            more = f" and {len(ids) - MOST_LISTED} more" if len(ids) > MOST_LISTED else ""
            raise SettingsError(
                f"{option} is {text!r}, which matches {len(ids)} {family}: {shown}{more}. "
                f"Name one by more of its name or id, and repeat {option} for several"
            )
        found += ids
    return tuple(found)
