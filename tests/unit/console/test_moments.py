"""Moments as people type them, read the same on every machine."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click
import pytest

from console.moments import epoch_ms

NOW_MS = 1_800_000_000_000


@pytest.fixture(params=["America/New_York", "Asia/Kolkata"])
def _elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine in another time zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-11-23T10:00:00.123Z", 1_795_428_000_123),
        ("2026-11-23T10:00:00.123", 1_795_428_000_123),
        ("2026-11-23T12:00:00.123+02:00", 1_795_428_000_123),
        ("2026-11-23", 1_795_392_000_000),
        ("1970-01-01T00:00:00", 0),
        ("9999-12-31T23:59:59.999999", 253_402_300_799_999),
        ("2h", NOW_MS - 7_200_000),
    ],
)
def test_a_time_without_a_zone_is_utc(text: str, ms: int) -> None:
    """As the times that commands print."""
    assert epoch_ms("--since", text, NOW_MS) == ms


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00",
        "0001-01-01T00:00:00+14:00",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59-01:00",
        "soon",
        "",
        "99999d",
    ],
)
def test_what_is_no_moment_is_wrong_usage(text: str) -> None:
    """The line names the option and what it takes."""
    with pytest.raises(click.UsageError, match=r"^--since is .*: it takes a time such as"):
        epoch_ms("--since", text, NOW_MS)
