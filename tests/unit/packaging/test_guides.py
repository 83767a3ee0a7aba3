"""What the guides show is what is tested."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from docs.build.pages import PROGRAM, pages_with_programs, with_programs
from harness import kafka_install

DOCS = Path(__file__).parents[3] / "docs"
EXAMPLES = sorted(path for path in (DOCS / "examples").iterdir() if path.is_file())
LINKED = "fold.mjs"  # too long to stand in a page


@pytest.mark.parametrize("page", pages_with_programs(), ids=lambda path: path.name)
def test_a_page_shows_the_programs_as_they_are(page: Path) -> None:
    """Read as a file or on the site: `python -m docs.build.pages` writes them in."""
    text = page.read_text(encoding="utf-8")
    assert with_programs(text) == text
    assert "--8<--" not in text, "only the site would show it"


@pytest.mark.parametrize("program", EXAMPLES, ids=lambda path: path.name)
def test_each_program_stands_in_a_page(program: Path) -> None:
    """Nobody finds a program that no page shows."""
    pages = [page.read_text(encoding="utf-8") for page in pages_with_programs()]
    names = {found["name"] for page in pages for found in PROGRAM.finditer(page)}
    if program.name == LINKED:
        assert any(f"(examples/{LINKED})" in page for page in pages)
    else:
        assert program.name in names


@pytest.mark.parametrize("program", sorted((DOCS / "examples").glob("*.mjs")), ids=lambda p: p.name)
def test_javascript_parses(program: Path) -> None:
    """As far as Node can tell without its packages."""
    node = shutil.which("node")
    if node is None:  # in builds too: nothing of the mirror needs Node
        pytest.skip("no Node to check docs/examples with: install it, say Debian's nodejs")
    command = [node, "--check", str(program)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    "program", sorted((DOCS / "examples").glob("*.java")), ids=lambda p: p.name
)
def test_java_compiles(program: Path, tmp_path: Path) -> None:
    """Against the client of the Apache Kafka that the tests use, without a warning."""
    javac = shutil.which("javac")
    if javac is None:  # in builds too: nothing of the mirror needs a Java compiler
        pytest.skip("no Java compiler to check docs/examples with: install a JDK")
    try:
        libs = kafka_install.find_libs()
    except kafka_install.KafkaUnavailable:
        pytest.skip("no Apache Kafka: run `make kafka`")
    command = [javac, "-Xlint:all", "-Werror", "-cp", f"{libs}/*", "-d", str(tmp_path)]
    command.append(str(program))
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (result.returncode, result.stderr) == (0, "")
