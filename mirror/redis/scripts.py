"""Lua commands: one per file, beside the package that uses them.

`script` returns a callable that runs a command by its digest, and loads it again if the server
forgot it (a restart, a flush, a fail-over). Errors are raised as `RedisUnavailable`.
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


def function(name: str, package: str) -> str:
    """The Lua command `name` as a Lua function of its keys and arguments, for another script."""
    return f"local function {name}(KEYS, ARGV)\n{source(name, package)}end\n"


def script(
    client: redis.Redis, name: str, package: str = "mirror.redis", before: str = ""
) -> Command:
    """A callable `(keys, args)` for the Lua command `name`. Sends nothing until it is called.

    `before` has the functions that the command uses.
    """
    registered = client.register_script(before + source(name, package))

    def call(keys: Sequence[str], args: Sequence[Argument]) -> Any:
        with explained():
            return registered(keys=list(keys), args=list(args))

    return call
