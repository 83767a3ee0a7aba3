"""What a frame costs a listener does not creep up: counted in machine instructions, not in time."""

from __future__ import annotations

from typing import Final

import pytest

from harness.instructions import Cost, costs, is_possible
from harness.traffic import Kind
from tests.services.availability import unavailable

# Instructions of all between socket and librdkafka's queue, as a multiple of cutting and decoding
# the same frames (docs/measurements.md): by Python, and with the native reader. Measured 3.91 and
# 1.70, and 0.95 and 0.44: a twentieth more is an alarm. Who makes it cheaper lowers the limit.
LIMITS: Final[dict[Kind, float]] = {"changes": 4.1, "org": 1.79}
NATIVE_LIMITS: Final[dict[Kind, float]] = {"changes": 1.0, "org": 0.46}


@pytest.fixture(scope="module")
def counted() -> dict[Kind, Cost]:
    """The costs of each kind of traffic."""
    if not is_possible():
        unavailable("no valgrind: on Debian, install valgrind")
    return {cost.traffic: cost for cost in costs(list(LIMITS))}


@pytest.mark.slow
@pytest.mark.timeout(600)  # valgrind on a busy machine
@pytest.mark.parametrize("traffic", LIMITS)
def test_a_frame_costs_no_more_than_it_did(counted: dict[Kind, Cost], traffic: Kind) -> None:
    """Where each frame changes something, and where half of them repeat the one before."""
    assert counted[traffic].ratio <= LIMITS[traffic]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("traffic", NATIVE_LIMITS)
def test_a_frame_that_is_read_natively_costs_no_more_than_it_did(
    counted: dict[Kind, Cost], traffic: Kind
) -> None:
    """It costs less than what Python takes to decode it."""
    cost = counted[traffic]
    if cost.native is None:
        pytest.skip("the native reader is not built: make native")
    assert cost.native / cost.decode <= NATIVE_LIMITS[traffic]
