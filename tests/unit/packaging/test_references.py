"""Comments and pages cite what stands in this repository: each reference leads somewhere."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
READ = frozenset(
    (".py", ".md", ".lua", ".conf", ".yaml", ".yml", ".service", ".toml", ".cfg", ".js")
)
SKIPPED = ("tests/vendor/", "dashboard/pages/static/vendor/", "CHANGELOG.md")
PACKAGES = (
    "mirror|listeners|coordinator|janitor|projector|dashboard|console|harness|simulator|docs|bench"
)
# Pages of other projects, and those that only the built site has.
ELSEWHERE = frozenset(
    (
        "STATISTICS.md",
        "architecture.md",
        "changelog.md",
        "contributing.md",
        "guarantees.md",
        "security.md",
    )
)
PAGE = re.compile(r"(?<![\w/.-])((?:[\w-]+/)*[\w-]+\.md)\b")
HEADING = re.compile(r"(?<![\w/.-])((?:[\w-]+/)*[\w-]+\.md), ((?:\"[^\"]+\"(?:, | and )?)+)")
BREAK = re.compile(r"\n\s*(?:#: ?|# ?|-- ?|// ?)?")
INVARIANT = re.compile(r"\bI(\d{1,2})\b(?!\.)")
SECTION = re.compile(r"(?<!RFC \d{4}, )\b[Ss]ections? \d")
MODULE = re.compile(rf"`((?:{PACKAGES})(?:\.\w+)+)`")
HEADERS = "mirror.errors."  # of dead letters
ENVIRONMENT = "mirror.env"  # what people fill in
FILE = re.compile(rf"(?<![\w/.-])((?:{PACKAGES}|tests)/[\w/]+\.(?:py|lua))\b")


def _listed() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=30)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("needs git and a checkout: an unpacked archive has no list of its files")
    return [
        ROOT / name
        for name in names.stdout.decode().splitlines()
        if Path(name).suffix in READ and not name.startswith(SKIPPED) and (ROOT / name).is_file()
    ]


@cache
def texts() -> dict[str, str]:
    """Path from the root → text with broken lines of prose joined, of every file that cites."""
    return {
        path.relative_to(ROOT).as_posix(): re.sub(
            r"\n\s*(?:#: ?|# ?|-- ?|// ?)?", " ", path.read_text()
        )
        for path in _listed()
        if path != Path(__file__)
    }


def _page(citing: str, name: str) -> Path | None:
    """The page that a citation names: from the root, from docs/, or beside the citing file."""
    for folder in (ROOT, ROOT / "docs", (ROOT / citing).parent):
        if (folder / name).is_file():
            return folder / name
    return None


@cache
def _headings(page: Path) -> frozenset[str]:
    lines = page.read_text().splitlines()
    return frozenset(line.lstrip("#").strip().replace("`", "") for line in lines if line[:1] == "#")


def test_every_page_that_is_cited_exists() -> None:
    """`docs/protocol.md`, `CONTRIBUTING.md`: a reader finds each."""
    lost = [
        f"{citing}: {name}"
        for citing, text in texts().items()
        for name in PAGE.findall(text)
        if not _page(citing, name) and Path(name).name not in ELSEWHERE
    ]
    assert lost == []


def test_every_heading_that_is_cited_exists() -> None:
    """`docs/protocol.md, "Ends"` has the heading Ends."""
    cited = lost = 0
    missing: list[str] = []
    for citing, text in texts().items():
        for name, headings in HEADING.findall(text):
            page = _page(citing, name)
            for heading in re.findall(r'"([^"]+)"', headings):
                cited += 1
                if page is None or heading.replace("`", "") not in _headings(page):
                    lost += 1
                    missing.append(f'{citing}: {name}, "{heading}"')
    assert missing == []
    assert cited > 50, "the pattern of a citation no longer fits how comments cite"


def test_every_invariant_that_is_cited_is_defined() -> None:
    """`(I7)` in a comment is a row of docs/invariants.md."""
    defined = set(INVARIANT.findall((ROOT / "docs" / "invariants.md").read_text()))
    lost = [
        f"{citing}: I{number}"
        for citing, text in texts().items()
        for number in INVARIANT.findall(text)
        if number not in defined
    ]
    assert lost == []


def test_no_section_numbers() -> None:
    """Numbers of sections lead nowhere: only RFCs have them."""
    lost = [citing for citing, text in texts().items() if SECTION.search(text)]
    assert lost == []


def _resolves(name: str) -> bool:
    """Whether a dotted name is a module, or a name within one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        base = ROOT.joinpath(*parts[:length])
        file = base.with_suffix(".py")
        if length == len(parts) and (file.is_file() or base.is_dir()):
            return True
        source = file if file.is_file() else base / "__init__.py"
        if source.is_file():
            return re.search(rf"\b{parts[length]}\b", source.read_text()) is not None
    return False


def test_every_module_that_is_cited_exists() -> None:
    """`mirror.fleet.gaps.Gap` in prose is a module, and `Gap` a name in it."""
    lost = [
        f"{citing}: {name}"
        for citing, text in texts().items()
        for name in MODULE.findall(text)
        if not name.startswith(HEADERS) and name != ENVIRONMENT and not _resolves(name)
    ]
    assert lost == []


def test_every_file_that_is_cited_exists() -> None:
    """`coordinator/plan/coverage.py` is there."""
    lost = [
        f"{citing}: {name}"
        for citing, text in texts().items()
        for name in FILE.findall(text)
        if not (ROOT / name).is_file()
    ]
    assert lost == []
