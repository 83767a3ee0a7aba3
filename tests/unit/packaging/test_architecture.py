"""ARCHITECTURE.md leads to the code: its index names files and functions that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.packaging.test_layers import PROGRAMS

ROOT = Path(__file__).parents[3]
ROW = re.compile(
    r"^\| (?P<question>[^|]+) \| `(?P<file>[^`]+)` \| `(?P<name>\w+)` \|$", re.MULTILINE
)


def index() -> list[tuple[str, str, str]]:
    """The rows of "Where is …?": what is looked for, its file, and the name within it."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text.split("\n## Where is …?\n")[1].split("\n## ")[0]
    rows = [(match["question"], match["file"], match["name"]) for match in ROW.finditer(section)]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    assert len(rows) == len(lines) - 1, "a row has another form than its header"
    return rows


def defines(source: str, name: str) -> bool:
    """Whether a module defines a function, a class or a constant of that name."""
    pattern = rf"^\s*(?:def {name}\(|class {name}\b|{name}(?::[^=]+)? = )"
    return re.search(pattern, source, re.MULTILINE) is not None


@pytest.mark.parametrize(("question", "file", "name"), index(), ids=lambda text: text)
def test_each_row_of_the_index_leads_to_code(question: str, file: str, name: str) -> None:
    """A reader who opens the file and searches for the name finds its definition."""
    path = ROOT / file
    assert path.is_file(), f"{question}: {file} is gone"
    assert defines(path.read_text(encoding="utf-8"), name), f"{question}: {file} lacks {name}"


def test_each_question_stands_once() -> None:
    """Two answers to one question are none."""
    asked = [question for question, _, _ in index()]
    assert len(set(asked)) == len(asked)


def packages() -> list[Path]:
    """The folders of packages, without `mirror`: ARCHITECTURE.md has the table of its packages."""
    rooms = (*PROGRAMS, "mirror", "harness", "console", "simulator")
    inits = (path for room in rooms for path in (ROOT / room).rglob("__init__.py"))
    return [path.parent for path in inits if path.parent != ROOT / "mirror"]


@pytest.mark.parametrize("folder", packages(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_each_package_lists_its_modules(folder: Path) -> None:
    """Its `__init__` names every module and package within it."""
    listed = set(re.findall(r"\w+", (folder / "__init__.py").read_text(encoding="utf-8")))
    within = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("__")}
    within |= {path.parent.name for path in folder.glob("*/__init__.py")}
    assert within - listed == set()


# Tests of what is no package of Python.
OTHER_TESTS = {"deploy", "native", "packaging", "services"}


def test_each_folder_of_unit_tests_has_the_name_of_a_package() -> None:
    """Whoever knows the code's file finds its tests."""
    folders = {path.name for path in (ROOT / "tests/unit").iterdir() if list(path.glob("*.py"))}
    assert folders - {package.name for package in packages()} == OTHER_TESTS


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def drain(self) -> None:", True),
        ("    def drain(self) -> None:", True),
        ("class drain:", True),
        ("drain: Final = 1", True),
        ("drain(1)", False),
        ("def drained(self) -> None:", False),
        ("# def drain(self)", False),
    ],
)
def test_only_a_definition_counts(source: str, found: bool) -> None:
    """A call, or a longer name, is not where something is."""
    assert defines(source, "drain") is found
