"""Durations and sizes are written as people write them and read back as they were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.base.units import duration, show_duration, show_size, size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("35s", 35),
        ("5m", 300),
        ("4h", 14400),
        ("31d", 2_678_400),
        ("1.5s", 1.5),
        ("0", 0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """The forms that the contract names."""
    assert duration(text) == seconds


@given(st.integers(0, 10**7))
def test_a_shown_duration_reads_back(milliseconds: int) -> None:
    """`show_duration` is the inverse of `duration`."""
    assert duration(show_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


@given(st.integers(1, 10**15))
def test_a_shown_size_reads_back(number: int) -> None:
    """`show_size` is the inverse of `size`."""
    assert size(show_size(number)) == number
