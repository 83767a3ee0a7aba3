"""What commands say of queues and agents: by name where one is known, found by id or name.

Names are in Redis (`mirror.fleet.names`). Commands that need nothing else of Redis go on without.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import redis

    from mirror.fleet.names import Family, Names
    from mirror.redis.keys import Keys

MOST_LISTED: Final = 5
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def is_whole_id(text: str) -> bool:
    """Whether it is an id of Genesys, and not its beginning or a name."""
    return _UUID.fullmatch(text) is not None


class Called:
    """Names of queues and agents for a command that shows events, as far as Redis has them."""

    def __init__(self, names: Names | None = None) -> None:
        """Without `names` every id stays an id."""
        self._names = names

    def name(self, family: Family, entity_id: str | None) -> str | None:
        """The name of one, None where it has none or Redis does not answer now."""
        from mirror.base.errors import RedisUnavailable

        if self._names is None or not entity_id:
            return None
        try:
            return self._names.of(family, [entity_id]).get(entity_id)
        except RedisUnavailable:
            return None  # the events go on; their ids say who it is

    def is_meant(self, family: Family, entity_id: str | None, text: str) -> bool:
        """Whether `text` is this one's name (a glob), id or beginning of it."""
        from mirror.fleet.topics import is_called

        if not entity_id:
            return False
        return is_called(self.name(family, entity_id), entity_id, text)


@contextmanager
def names_if_any() -> Iterator[Called]:
    """Names for a command that does without Redis; it says so on stderr where it has to."""
    from console.context import redis_of_settings
    from console.render import say
    from mirror.base.errors import RedisUnavailable
    from mirror.fleet.names import Names

    with ExitStack() as stack:
        called = Called()
        try:
            client, keys, _ = stack.enter_context(redis_of_settings())
            called = Called(Names(client, keys))
        except RedisUnavailable as error:
            say(f"mirror: ids are shown instead of names, {error}")
        yield called


def find_ids(
    client: redis.Redis, keys: Keys, family: Family, option: str, texts: tuple[str, ...]
) -> tuple[str, ...]:
    """The ids that `texts` mean: a whole id as it is, a name or beginning of what is mirrored.

    Raises `SettingsError` that names the `option` where a text means none or several.
    """
    from mirror.base.errors import SettingsError
    from mirror.fleet.names import read_names
    from mirror.fleet.topics import is_called, mirrored_ids, read_shards

    if all(map(is_whole_id, texts)):
        return tuple(text.lower() for text in texts)
    singular = family.removesuffix("s")
    names = read_names(client, keys, family)
    known = sorted(mirrored_ids(read_shards(client, keys), family))
    found: list[str] = []
    for text in texts:
        if is_whole_id(text):
            found.append(text.lower())
            continue
        ids = [entity for entity in known if is_called(names.get(entity), entity, text)]
        if not ids:
            raise SettingsError(
                f"{option} is {text!r}: there is no such {singular} among {len(known)} mirrored "
                f"{family}. `mirror topics` lists them; name any other {singular} by its whole id"
            )
        if len(ids) > 1:
            shown = ", ".join(
                f"{names.get(entity, '?')} ({entity})" for entity in ids[:MOST_LISTED]
            )
            more = f" and {len(ids) - MOST_LISTED} more" if len(ids) > MOST_LISTED else ""
            raise SettingsError(
                f"{option} is {text!r}, which {len(ids)} {family} are called: {shown}{more}. "
                f"Name one by more of its name or id, and repeat {option} for several"
            )
        found += ids
    return tuple(found)
