"""What becomes of a test whose service is not there: skipped on a laptop, failed in CI.

At the end of a run `not_run` sums up what was skipped, one line a reason.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from typing import NoReturn

import pytest


def unavailable(reason: str) -> NoReturn:
    """End the test with `reason`, which names the cure.

    Where `CI` is `true` it fails, so that a build cannot turn green by having nothing to test with.
    """
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def not_run(reasons: Iterable[str]) -> list[str]:
    """One line for each reason with the number of tests that it kept from running, most first."""
    counted = Counter(reason.removeprefix("Skipped: ") for reason in reasons)
    return [f"{count:5}  {reason}" for reason, count in counted.most_common()]
