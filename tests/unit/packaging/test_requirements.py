"""What a platform builds from: the rules of Heroku's Python buildpack, which its own code states.

Read from `lib/package_manager.sh`, `lib/python_version.sh` and `lib/pip.sh` of
heroku/heroku-buildpack-python; the platform itself is not here.
"""

from __future__ import annotations

import configparser
import importlib.metadata
import re
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
PACKAGE_MANAGERS = ("Pipfile.lock", "Pipfile", "requirements.txt", "poetry.lock", "uv.lock")


def lines(name: str) -> list[str]:
    """The lines of a file at the root without blank and comment lines."""
    stripped = (line.strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def closure(requirement: Requirement) -> set[str]:
    """Names of all distributions that a requirement brings in here, itself left out."""
    found: set[str] = set()
    waiting = [requirement]
    while waiting:
        wanted = waiting.pop()
        for text in importlib.metadata.requires(wanted.name) or ():
            needed = Requirement(text)
            extras = wanted.extras or {""}
            if needed.marker and not any(needed.marker.evaluate({"extra": e}) for e in extras):
                continue
            name = canonicalize_name(needed.name)
            if name not in found:
                found.add(name)
                waiting.append(needed)
    return found


def test_there_is_one_package_manager_file() -> None:
    """The buildpack ends the build at none, and at more than one."""
    assert [name for name in PACKAGE_MANAGERS if (ROOT / name).exists()] == ["requirements.txt"]


def test_the_python_is_one_that_is_tested() -> None:
    """One version and no patch level, as the buildpack asks; the same as in the image."""
    (version,) = lines(".python-version")
    assert re.fullmatch(r"3\.\d+", version)
    assert f"Programming Language :: Python :: {version}" in (ROOT / "setup.cfg").read_text()
    images = re.findall(r"FROM python:(\S+?)-slim", (ROOT / "deploy" / "Dockerfile").read_text())
    assert set(images) == {version}


def test_everything_that_is_installed_has_a_tested_version() -> None:
    """The mirror and its page, with all that they bring in, through constraints.txt."""
    constraint, ours = lines("requirements.txt")
    assert constraint == "--constraint constraints.txt"
    path, _, extra = ours.partition("[")
    assert (path, extra) == (".", "dashboard]")
    pinned = {canonicalize_name(line.split("==")[0]) for line in lines("constraints.txt")}
    wanted = closure(Requirement("interaction-mirror[dashboard]"))
    assert {"confluent-kafka", "starlette", "uvicorn"} <= wanted
    assert wanted - pinned == set()


def test_what_is_left_out_of_the_slug_is_not_built_from() -> None:
    """Heroku takes it away before the build."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    packages = {
        pattern.partition(".")[0] for pattern in lines_of(setup["options.packages.find"]["include"])
    }
    needed = packages | {"README.md", "LICENSE", "setup.cfg", "pyproject.toml", "constraints.txt"}
    left_out = {line.strip("/") for line in lines(".slugignore")}
    assert left_out & needed == set()
    assert all((ROOT / name).is_dir() for name in left_out)


def lines_of(text: str) -> list[str]:
    """The entries of a many-line value."""
    return [line.strip() for line in text.splitlines() if line.strip()]
