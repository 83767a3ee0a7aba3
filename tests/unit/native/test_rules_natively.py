"""The tests of the normaliser's rules, once more with the native reader before it."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest

from tests.unit.native.both import Both

PATCHED = ("build", "histories")
MODULES = (
    *("test_after_call", "test_breaking", "test_cases", "test_garbage", "test_golden"),
    *("test_identity", "test_other_sources", "test_roles", "test_rules", "test_scenarios"),
    *("test_shapes", "test_succession", "test_valid_frames", "test_views"),
)
ROOM = "tests.unit.conversation"


@pytest.fixture(autouse=True)
def both(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put both in the place of the normaliser, for a test."""
    for name in (*PATCHED, *MODULES):
        module = importlib.import_module(f"{ROOM}.{name}")
        if hasattr(module, "Normaliser"):
            monkeypatch.setattr(module, "Normaliser", Both)


def _collect() -> dict[str, Any]:
    found = {}
    for name in MODULES:
        module = importlib.import_module(f"{ROOM}.{name}")
        for test, function in inspect.getmembers(module, inspect.isfunction):
            if test.startswith("test_"):
                found[f"test_{name.removeprefix('test_')}_{test.removeprefix('test_')}"] = function
    return found


globals().update(_collect())
