"""The first steps of most commands: read settings, connect to Redis, explain its errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from console.render import say

if TYPE_CHECKING:
    import redis

    from mirror.fleet.status import MirrorStatus
    from mirror.redis.keys import Keys
    from mirror.settings import Settings

_TOLD: Final = "console.context.told"


def settings_of_environment() -> Settings:
    """The settings; warns once of those that do nothing. Raises `SettingsError`."""
    from mirror.settings import load

    settings = load()
    warn_of_unread(settings)
    return settings


def warn_of_unread(settings: Settings) -> None:
    """Warn on stderr of variables that look like settings but change nothing.

    Once in a command, and not where a shell completes a word.
    """
    context = click.get_current_context(silent=True)
    if context is None or context.resilient_parsing or context.meta.get(_TOLD):
        return
    context.meta[_TOLD] = True
    for variable in settings.unread:
        say(f"mirror: warning: {variable}")


@contextmanager
def redis_of_settings() -> Iterator[tuple[redis.Redis, Keys, Settings]]:
    """A client, the keyspace and the settings. Redis' failures inside become `RedisUnavailable`."""
    from mirror.redis.connect import address, check, connect, explained
    from mirror.redis.keys import Keys

    settings = settings_of_environment()
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
