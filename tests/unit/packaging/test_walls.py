"""Which rooms may import which: no import points up (docs/invariants.md, I13)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAMS = ("listeners", "coordinator", "janitor", "projector", "dashboard")
# The floors of the library, from the ground up: each imports those before it, and itself.
FLOORS = (
    ("mirror.conversation",),
    ("mirror.base",),
    ("mirror.settings",),
    ("mirror.supervision", "mirror.redis", "mirror.kafka"),
    ("mirror.genesys",),
    ("mirror.fleet",),
    ("mirror.checks",),
    ("mirror.runtime",),
)
# Neighbours on one floor know nothing of each other; `mirror` itself (its version) is open to all
# but the ground.
WALLS: dict[str, tuple[str, ...]] = {
    room: tuple(below for lower in FLOORS[:height] for below in lower)
    for height, floor in enumerate(FLOORS)
    for room in floor
}
LIBRARY = tuple(WALLS)
WALLS |= {
    "mirror": ("mirror.conversation",),
    "simulator": (),
    **dict.fromkeys(PROGRAMS, LIBRARY),
    "harness": (*LIBRARY, "simulator", *PROGRAMS),
    "console": (*LIBRARY, "harness", "simulator", *PROGRAMS),
    "docs": (*LIBRARY, "harness", "console", "listeners"),
    "bench": (*LIBRARY, "harness", "simulator", *PROGRAMS),
    "tests": (*LIBRARY, "harness", "simulator", "console", "docs", *PROGRAMS),
}
# Imports that still point up. The list may only shrink.
EXCEPTIONS: dict[str, tuple[str, ...]] = {}


def imports(path: Path) -> set[str]:
    """The modules that a file imports, also within functions, by their full names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def room_of(module: str) -> str | None:
    """The room of ours that a module belongs to, the narrowest of `WALLS`."""
    parts = module.split(".")
    for length in (2, 1):
        if ".".join(parts[:length]) in WALLS or ".".join(parts[:length]) == "tests":
            return ".".join(parts[:length])
    return None


def climbs() -> dict[str, tuple[str, ...]]:
    """File → the modules that it imports against the walls."""
    found: dict[str, tuple[str, ...]] = {}
    for top in {room.split(".", maxsplit=1)[0] for room in WALLS}:
        for path in sorted((ROOT / top).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            room = room_of(name.removesuffix(".py").replace("/", "."))
            assert room is not None
            allowed = (room, *WALLS[room], *(() if room == "mirror.conversation" else ("mirror",)))
            up = sorted(
                module
                for module in imports(path)
                if (target := room_of(module)) is not None and target not in allowed
            )
            if up:
                found[name] = tuple(up)
    return found


def test_no_import_points_up() -> None:
    """Each import against the walls is one of `EXCEPTIONS`, and each of these still exists."""
    assert climbs() == EXCEPTIONS


@pytest.mark.parametrize("room", [room for room in WALLS if "." not in room])
def test_each_room_exists(room: str) -> None:
    """A room that was moved takes its walls along."""
    assert (ROOT / room).is_dir()
