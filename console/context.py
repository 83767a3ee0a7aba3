"""The first steps of most commands: read settings, connect to Redis, explain its errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from console.render import say

if TYPE_CHECKING:
    import redis

    from mirror.fleet.status import MirrorStatus
    from mirror.redis.keys import Keys
    from mirror.settings import Settings


def warn_of_unread(settings: Settings) -> None:
    """Warn on stderr of variables that look like settings but change nothing."""
    for variable in settings.unread:
        say(f"mirror: warning: {variable}")


@contextmanager
def redis_of_settings() -> Iterator[tuple[redis.Redis, Keys, Settings]]:
    """A client, the keyspace and the settings. Redis' failures inside become `RedisUnavailable`."""
    from mirror.redis.connect import address, check, connect, explained
    from mirror.redis.keys import Keys
    from mirror.settings import load

    settings = load()
    with explained(f"Redis at {address(settings)}"):
        client = connect(settings)
        check(client, settings)  # so that a failure here names the address of Redis
        try:
            yield client, Keys(settings.namespace), settings
        finally:
            client.close()


def read_status() -> MirrorStatus:
    """The present status of the mirror."""
    from mirror.fleet.status_reader import read

    with redis_of_settings() as (client, _, settings):
        return read(client, settings)
