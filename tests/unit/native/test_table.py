"""A change of rules in one language alone fails: docs/native.md has a digest of each rule."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.unit.native.rules import NORMALISER, ROOT, RULES, Rule, recorded, source

# What decides nothing natively: bodies of REST and analytics, agents, dead letters, what is
# personal, and packing for rest.
PYTHON_ALONE = {"agents.py", "analytics.py", "personal.py", "salvage.py", "lending.py"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_has_not_changed_in_python_alone(rule: Rule) -> None:
    """Its row on the page has the digest of what stands there now."""
    assert rule.row in recorded().splitlines(), (
        f"the rule '{rule.name}' changed in {rule.python}: change native/src/{rule.rust} with it "
        "if it needs to, run tests/unit/native, then `python -m tests.unit.native.rules`"
    )


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_is_where_the_table_says(rule: Rule) -> None:
    """Its functions exist in Rust, too."""
    text = (ROOT / "native" / "src" / rule.rust).read_text()
    for name in rule.functions:
        assert re.search(rf"\bfn {name}\b", text), name


def test_no_module_of_rules_is_left_out() -> None:
    """Each one of the normaliser is in the table, or is Python's alone."""
    named = {Path(rule.python).name for rule in RULES}
    there = {path.name for path in (ROOT / NORMALISER).glob("*.py")} - {"__init__.py"}
    assert there - named == PYTHON_ALONE


def test_every_function_of_the_rules_is_in_the_table() -> None:
    """A new one must be looked at, where both languages have the rules."""
    for file in ("rules.py", "views.py", "spells.py", "after_call.py"):
        named = {
            name for rule in RULES if rule.python == f"{NORMALISER}/{file}" for name in rule.names
        }
        tree = ast.parse((ROOT / NORMALISER / file).read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert functions - named <= OF_PYTHON[file], file


# Of consultations, of what is read in part, and of segments, which REST alone has.
OF_PYTHON = {
    "rules.py": {
        "_ask_again",
        "_alerts",
        "is_of_consultation",
        "_is_of_consultation",
        "_parties",
        "_since",
        "_until",
    },
    "views.py": set[str](),
    "spells.py": {"_segments", "_spell"},
    "after_call.py": set[str](),
}


def test_a_digest_sees_code_and_no_prose(tmp_path: Path) -> None:
    """Comments, docstrings and white space may change."""
    before, after = tmp_path / "one.py", tmp_path / "other.py"
    before.write_text('def f(x):\n    """Says."""\n    return x + 1  # why\n')
    after.write_text('# above\ndef f(x):\n    """Says it\n\n    better."""\n    return (x  + 1)\n')
    assert source(before, "f") == "deff(x):returnx+1"
    assert source(after, "f") == "deff(x):return(x+1)"
