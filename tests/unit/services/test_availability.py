"""What a run says at its end about tests that did not run."""

from __future__ import annotations

from tests.services.availability import not_run


def test_one_line_a_reason_with_its_count() -> None:
    """The reason that kept most tests from running comes first; pytest's own word is left out."""
    reasons = ["Skipped: no prometheus", "Skipped: no chromium", "Skipped: no chromium"]
    assert not_run(reasons) == ["    2  no chromium", "    1  no prometheus"]
    assert not_run([]) == []
