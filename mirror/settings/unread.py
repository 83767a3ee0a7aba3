"""Finds variables that look like settings but change nothing, and the nearest name of a setting.

A misspelt variable leaves its setting at the default, which nobody would notice. `unread` is pure.
Processes log its result at each start, and `mirror doctor` shows it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Final

from mirror.settings.kafka import is_own
from mirror.settings.model import Unread
from mirror.settings.reader import is_service_link

_PREFIXES: Final = ("MIRROR_", "GENESYS_", "KAFKA_")
_FILE: Final = "_FILE"
_TESTS: Final = ("MIRROR_TEST_", "MIRROR_WRITE_GOLDEN")


def unread(
    environ: Mapping[str, str], used: Iterable[str], known: Iterable[str]
) -> tuple[Unread, ...]:
    """The variables in `environ` that look like settings and were not used.

    `used` are the variables that gave a value, `known` the names of all settings.
    """
    used, names = set(used), sorted(known)
    empty = {name + _FILE for name in names if not environ.get(name + _FILE, "").strip()}
    return tuple(
        Unread(name, _hint(name, environ, names))
        for name in sorted(environ)
        if name.startswith(_PREFIXES)
        and name not in used | empty
        and not name.startswith(_TESTS)
        and not is_service_link(name, environ[name])
    )


def _hint(name: str, environ: Mapping[str, str], names: list[str]) -> str:
    plain = name.removesuffix(_FILE)
    if name != plain and environ.get(plain, "").strip():
        return f"{plain} is set, and wins"
    if is_own(plain):
        return "the mirror sets this property itself"
    near = difflib.get_close_matches(plain, names, n=1, cutoff=0.0)[0]
    return f"the nearest name is {near}{_FILE if name != plain else ''}"
