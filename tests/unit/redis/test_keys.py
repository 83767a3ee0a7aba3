"""Redis keys are spelled in one module, and its table lists all of them."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import mirror.redis.keys
from mirror.redis.keys import FOLD_FORM, Keys

ROOT = Path(__file__).parents[3]
HOME = "mirror/redis/keys.py"
PACKAGES = (
    *("mirror", "listeners", "coordinator", "janitor", "projector", "dashboard", "harness"),
    *("console", "docs", "bench", "tests"),
)
# `mirror:{`, written so that this file does not have it.
PREFIX = "mirror:" + "{"
METHODS = {
    name
    for name, method in inspect.getmembers(Keys, inspect.isfunction)
    if name in vars(Keys) and not name.startswith("_")
}


def spelled(source: str) -> Iterator[str]:
    """The places of a module that make a key of parts or lengthen one, as `line: source`."""
    if ".key(" not in source and not re.search(r"keys\.", source, re.IGNORECASE):
        return
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        of_keys = ast.unparse(node.func.value).lower().endswith("keys")
        name, arguments = node.func.attr, node.args
        is_joined = name == "key" and arguments  # a Kafka message's `key()` has no arguments
        is_lengthened = name in METHODS and any(
            isinstance(argument, ast.JoinedStr | ast.BinOp) for argument in arguments
        )
        if is_joined or (of_keys and (name == "_key" or is_lengthened)):
            yield f"{node.lineno}: {ast.unparse(node)}"


def begun(source: str) -> Iterator[str]:
    """The texts of a module that begin as a key does, as `line: source`."""
    if PREFIX not in source:
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and str(node.value).startswith(PREFIX):
            yield f"{node.lineno}: {ast.unparse(node)}"


def test_no_other_module_spells_a_key() -> None:
    """Neither of its parts, nor by lengthening a name that a key is made of."""
    found = {}
    for path in sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        source = path.read_text(encoding="utf-8")
        # Some tests look at keys from outside, as an operator does.
        places = [*spelled(source), *([] if name.startswith("tests/") else begun(source))]
        if places and name != HOME:
            found[name] = places
    assert found == {}


def test_a_spelled_key_is_found() -> None:
    """What this test looks for, each in one line; a message's key is none."""
    for line in (
        'keys.key("gap", gap_id, "read")',
        'self._keys._key("doctor")',
        'keys.rate(f"{client}:janitor")',
        'KEYS.gap(gap_id + ":read")',
    ):
        assert [*spelled(line)], line
    assert [*begun(repr(PREFIX + "default}:leader"))]
    for line in ("message.key()", "keys.gap(gap_id)", "view.gap(f'{x}')"):
        assert not [*spelled(line)], line


def test_the_table_lists_each_key() -> None:
    """The keys that `Keys` builds, and no others."""
    keys = Keys("n")
    built = set()
    for name, member in vars(Keys).items():
        if isinstance(member, property):
            key = getattr(keys, name)
        elif name in METHODS:
            parameters = list(inspect.signature(member).parameters)[1:]
            key = getattr(keys, name)(*("<>" for _ in parameters))
        else:
            continue
        built.add(key.removeprefix("mirror:{n}:").replace(f":{FOLD_FORM}:", ":<>:"))
    text = mirror.redis.keys.__doc__ or ""
    table = re.findall(r"^    (\S+) +(?:string|hash|zset|set) ", text, re.MULTILINE)
    assert {re.sub(r"<\w+>", "<>", key) for key in table} == built
    assert len(table) == len(set(table))
