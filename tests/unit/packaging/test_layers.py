"""Which packages may import which: no import points up (docs/invariants.md, I13)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAMS = ("listeners", "coordinator", "janitor", "projector", "dashboard")
# The folders of programs, and the folders of the same program that each may import. Modules beside
# the folders may import them, and may be imported.
FOLDERS: dict[str, tuple[str, ...]] = {
    "listeners.publish": (),
    "listeners.channels": (),
    "listeners.receive": ("listeners.channels", "listeners.publish"),
    "coordinator.plan": (),
    "coordinator.tracker": (),
    "janitor.gaps": (),
    "janitor.zombies": (),
    "dashboard.reader": (),
    "dashboard.pages": ("dashboard.reader",),
}


def within(program: str) -> tuple[str, ...]:
    """The folders of a program."""
    return tuple(folder for folder in FOLDERS if folder.startswith(f"{program}."))


# The layers of the library, lowest first: each imports those before it, and itself.
LAYERS = (
    ("mirror.conversation",),
    ("mirror.base",),
    ("mirror.settings",),
    ("mirror.supervision", "mirror.redis", "mirror.kafka"),
    ("mirror.genesys",),
    ("mirror.fleet",),
    ("mirror.checks",),
    ("mirror.runtime",),
)
# Packages of one layer do not import each other; `mirror` itself (its version) is open to all but
# the lowest layer.
ALLOWED: dict[str, tuple[str, ...]] = {
    package: tuple(below for lower in LAYERS[:height] for below in lower)
    for height, layer in enumerate(LAYERS)
    for package in layer
}
LIBRARY = tuple(ALLOWED)
ALLOWED |= {
    "mirror": ("mirror.conversation",),
    "simulator": (),
    **{program: (*LIBRARY, *within(program)) for program in PROGRAMS},
    **{folder: (*LIBRARY, folder.partition(".")[0], *beside) for folder, beside in FOLDERS.items()},
    "harness": (*LIBRARY, "simulator", *PROGRAMS, *FOLDERS),
    "console": (*LIBRARY, "harness", "simulator", *PROGRAMS, *FOLDERS),
    "docs": (*LIBRARY, "harness", "simulator", "console", "listeners", *within("listeners")),
    "bench": (*LIBRARY, "harness", "simulator", *PROGRAMS, *FOLDERS),
    "tests": (*LIBRARY, "harness", "simulator", "console", "docs", *PROGRAMS, *FOLDERS),
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


def package_of(module: str) -> str | None:
    """The package of ours that a module belongs to, the narrowest of `ALLOWED`."""
    parts = module.split(".")
    for length in (2, 1):
        if ".".join(parts[:length]) in ALLOWED or ".".join(parts[:length]) == "tests":
            return ".".join(parts[:length])
    return None


def climbs() -> dict[str, tuple[str, ...]]:
    """File → the modules that it imports and may not."""
    found: dict[str, tuple[str, ...]] = {}
    for top in {package.split(".", maxsplit=1)[0] for package in ALLOWED}:
        for path in sorted((ROOT / top).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            package = package_of(name.removesuffix(".py").replace("/", "."))
            assert package is not None
            allowed = (
                package,
                *ALLOWED[package],
                *(() if package == "mirror.conversation" else ("mirror",)),
            )
            up = sorted(
                module
                for module in imports(path)
                if (target := package_of(module)) is not None and target not in allowed
            )
            if up:
                found[name] = tuple(up)
    return found


def test_no_import_points_up() -> None:
    """Each import that points up is one of `EXCEPTIONS`, and each of these still exists."""
    assert climbs() == EXCEPTIONS


@pytest.mark.parametrize("package", [package for package in ALLOWED if "." not in package])
def test_each_package_exists(package: str) -> None:
    """A package that was moved takes its rule along."""
    assert (ROOT / package).is_dir()
