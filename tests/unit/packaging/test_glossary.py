"""The glossary: every word has one sentence and a name in the code that exists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"
ROW = re.compile(r"^\| ([\w -]+) \| ([^|]+) \| (?:`([\w.]+)`|-) \|$", re.MULTILINE)
ROWS = ROW.findall((DOCS / "glossary.md").read_text(encoding="utf-8"))


def test_words_stand_in_order_and_once() -> None:
    """A reader finds a word by the alphabet."""
    words = [word for word, _, _ in ROWS]
    assert words == sorted(set(words))
    lines = (DOCS / "glossary.md").read_text(encoding="utf-8").splitlines()
    assert len(words) == len([line for line in lines if line.startswith("| ")]) - 1


@pytest.mark.parametrize(("word", "meaning", "name"), ROWS, ids=lambda cell: cell[:20])
def test_a_word_is_explained_and_exists(word: str, meaning: str, name: str) -> None:
    """The name is a module, or something in one."""
    assert meaning.strip().endswith(".")
    if not name:
        return
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


# fmt: off
PRIVATE = {
    "channel", "deaf", "doubt", "epoch", "fence", "fold", "gap", "grant", "hold", "lane", "lease",
    "leg", "park", "reading", "repeat", "replica", "restore", "retired", "salvage", "seat", "shard",
    "snapshot", "spool", "successor", "view", "withheld",
}
# fmt: on


def test_private_words_are_explained() -> None:
    """CONTRIBUTING.md sends people here for what a word means."""
    assert PRIVATE - {word for word, _, _ in ROWS} == set()
    assert "glossary.md" in (DOCS.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
