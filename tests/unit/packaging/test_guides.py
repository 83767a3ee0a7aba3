"""What the guides show is what is tested."""

from __future__ import annotations

from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("program", sorted((DOCS / "examples").iterdir()), ids=lambda one: one.name)
def test_each_program_stands_in_a_guide(program: Path) -> None:
    """By the mark that the site puts it in for; a formatter once broke it."""
    mark = f'--8<-- "docs/examples/{program.name}"'
    assert any(mark in guide.read_text().splitlines() for guide in DOCS.glob("guides/*.md"))
