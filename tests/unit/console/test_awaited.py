"""The lines in the terminal of `mirror up` about processes that wait."""

from __future__ import annotations

import pytest

from console import awaited
from mirror.settings import load


def test_without_redis_nobody_is_said_to_have_started(capsys: pytest.CaptureFixture[str]) -> None:
    """The processes may still wait: their notes cannot be read."""
    settings = load({"REDIS_URL": "redis://127.0.0.1:1/0"})
    waits = ["1 listener waits at the start: no token"]
    assert awaited._tell_waits(settings, waits) == waits
    assert capsys.readouterr().err == ""
