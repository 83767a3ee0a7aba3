"""Lua commands: one a file, found beside the package that uses them.

`script` gives a callable that runs one by its digest and loads it again where the server forgot
it (a restart, a flush, a fail-over). Errors come out as `RedisUnavailable`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

import redis

from mirror.redis.connect import explained

Argument = str | bytes | int | float
Command = Callable[[Sequence[str], Sequence[Argument]], Any]


def source(name: str, package: str = "mirror.redis") -> str:
    """The text of `<package>/lua/<name>.lua`."""
    return resources.files(package).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")


def script(client: redis.Redis, name: str, package: str = "mirror.redis") -> Command:
    """A callable `(keys, args)` for the Lua command `name`. Sends nothing until it is called."""
    registered = client.register_script(source(name, package))

    def call(keys: Sequence[str], args: Sequence[Argument]) -> Any:
        with explained():
            return registered(keys=list(keys), args=list(args))

    return call
