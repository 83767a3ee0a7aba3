"""The log events of the mirror, found in its source: for docs/logs.md (`docs.build.pages`).

An event is a call of a log's method with the event's name first and its fields as keywords, as
`mirror.base.log` asks for. Only the source is read; nothing is imported or run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path(__file__).parents[2]
# Package → who writes its log.
PACKAGES: Final[Mapping[str, str]] = {
    "listeners": "Listeners",
    "coordinator": "Coordinators",
    "janitor": "Janitors",
    "projector": "Projectors",
    "dashboard": "The dashboard",
    "mirror": "All of them",
    "console": "Commands",
}
LEVELS: Final = ("error", "warning", "info", "debug")
_LOGS: Final = frozenset({"_log", "log"})
# `exc_info` is no field; what a caller passes on as a whole cannot be told from here.
_NOTHING: Final[Mapping[str, tuple[str, ...]]] = {}
_NO_FIELDS: Final = frozenset({"exc_info"})


class LogEvent(msgspec.Struct, frozen=True, order=True):
    """One event: its module, level, name and fields."""

    module: str
    level: str
    name: str
    fields: tuple[str, ...]


def log_events(package: str) -> list[LogEvent]:
    """All events of one package, by module and in the order of its text."""
    sources = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in sorted((ROOT / package).rglob("*.py"))
    }
    shared: dict[str, tuple[str, ...]] = {}
    for text in sources.values():
        shared |= _spreads(ast.parse(text))
    found: list[LogEvent] = []
    for module, text in sources.items():
        found += events_of(module, text, shared)
    return list(dict.fromkeys(found))


def events_of(
    module: str, text: str, shared: Mapping[str, tuple[str, ...]] = _NOTHING
) -> Iterator[LogEvent]:
    """The events of a module's source, in the order of its text.

    `shared`: function of another module → the fields in its dictionary.
    """
    tree = ast.parse(text)
    spreads = {**shared, **_spreads(tree)}
    for call in _calls(tree):
        assert isinstance(call.func, ast.Attribute)
        for name in _names(call.args[0]):
            yield LogEvent(module, call.func.attr, name, tuple(_fields(call, spreads)))


def purpose(module: str) -> str:
    """The first sentence of a module's docstring."""
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n", 1)[0].split())


def nameless(text: str) -> list[int]:
    """The lines of a module's source where a log event has no literal name."""
    return [call.lineno for call in _calls(ast.parse(text)) if not list(_names(call.args[0]))]


def _calls(tree: ast.Module) -> list[ast.Call]:
    """The calls that log an event, in the order of the text."""
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and node.args
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LEVELS
        and _is_log(node.func.value)
    ]
    return sorted(calls, key=lambda call: call.lineno)


def _is_log(node: ast.expr) -> bool:
    """Whether it is `log`, `self._log`, `filler._log` or `logger("…")`."""
    if isinstance(node, ast.Call):
        return _name(node.func) == "logger"
    return _name(node) in _LOGS


def _spreads(tree: ast.Module) -> dict[str, tuple[str, ...]]:
    """The functions of a module whose dictionaries are fields of events."""
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return {node.name: keys for node in functions if (keys := _keys(node))}


def _name(node: ast.expr) -> str:
    """The last word of `self._log`, `log` or `filler._log`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _names(node: ast.expr) -> Iterator[str]:
    """What an event may be called. A name that is put together at run time is none: a test finds it
    (tests/unit/packaging/test_event_names.py)."""
    if isinstance(node, ast.Constant):
        yield str(node.value)
    elif isinstance(node, ast.IfExp):
        yield from _names(node.body)
        yield from _names(node.orelse)


def _fields(call: ast.Call, spreads: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for keyword in call.keywords:
        if keyword.arg is not None:
            if keyword.arg not in _NO_FIELDS:
                yield keyword.arg
        elif isinstance(keyword.value, ast.Call):
            yield from spreads.get(_name(keyword.value.func), ("…",)) or ("…",)
        else:
            yield "…"


def _keys(function: ast.FunctionDef) -> tuple[str, ...]:
    """The keys of the dictionary that a function returns, where they stand in its text."""
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Dict):
            keys = [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
            return tuple(map(str, keys))
    return ()
