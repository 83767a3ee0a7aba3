"""What becomes of a test whose service is not there: skipped on a laptop, failed in CI."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def unavailable(reason: str) -> NoReturn:
    """End the test with `reason`, which names the cure.

    Where `CI` is `true` it fails, so that a build cannot turn green by having nothing to test with.
    """
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
