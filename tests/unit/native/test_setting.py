"""Whether the native reader is used: `MIRROR_NATIVE`, and what is installed."""

from __future__ import annotations

import pytest

from listeners.receive.native_reader import load
from mirror.base.errors import SettingsError
from mirror.settings import load as load_settings
from tests.unit.native.twins import needs_native


@needs_native
def test_it_is_built() -> None:
    """Else the tests beside this one, which are of it, are not collected (conftest.py)."""
    assert load("require").VERSION


def test_what_is_asked_for_and_not_here_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """`require` ends the start with one line that says what to do; `auto` does without."""
    monkeypatch.setattr("listeners.receive.native_reader.MODULE", "no_such_module")
    assert load("auto") is None
    assert load("off") is None
    with pytest.raises(SettingsError, match=r"build and install it \(docs/native.md\)"):
        load("require")


def test_the_setting() -> None:
    """`auto` is its default; personal fields are Python's, which `require` says."""
    assert load_settings({}).native == "auto"
    assert load_settings({"MIRROR_NATIVE": "off"}).native == "off"
    assert load_settings({"MIRROR_PII": "keep"}).native == "off"
    with pytest.raises(SettingsError, match="MIRROR_PII"):
        load_settings({"MIRROR_PII": "keep", "MIRROR_NATIVE": "require"})
    with pytest.raises(SettingsError, match="MIRROR_NATIVE"):
        load_settings({"MIRROR_NATIVE": "yes"})
    assert load_settings({"MIRROR_NATIVE_SHADOW": "100"}).native_shadow == 100
