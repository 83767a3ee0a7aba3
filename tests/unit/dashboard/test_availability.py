"""Since when a service is away and the mirror is down."""

from __future__ import annotations

from dashboard.reader.availability import Availability, Standing, answered, failed, stands


def test_since_when_a_service_is_away_is_kept() -> None:
    """However often it is asked; its answer begins again."""
    away = failed(failed(Availability("ok", 1), 5, "a"), 9, "b")
    assert (away.state, away.since_ms, away.reason) == ("away", 5, "b")
    assert answered(away, 12) == Availability("ok", 12)


def test_a_mirror_that_goes_down_is_down_since_then() -> None:
    """And is unknown while Redis is away."""
    down = stands(stands(Standing("ok", 1), "down", 5, 3), "down", 9, 3)
    assert down == Standing("down", 5)
    assert stands(down, None, 11, 3) == Standing("unknown", 11)


def test_one_that_is_found_down_is_down_since_its_last_event() -> None:
    """One that never ran has none."""
    assert stands(Standing(), "down", 9, 4) == Standing("down", 4)
    assert stands(Standing(), "down", 9, 0) == Standing("down", 0)
