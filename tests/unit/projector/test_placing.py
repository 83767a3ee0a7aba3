"""Where a partition goes on, and when it must not."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from mirror.settings import load
from projector.placing import StartOffset, place
from projector.topics import uneven


@pytest.mark.parametrize(
    ("committed", "floor", "low", "high", "expected"),
    [
        pytest.param(None, 0, 0, 50, StartOffset(0), id="a new mirror begins at the beginning"),
        pytest.param(None, 0, 20, 50, StartOffset(20), id="and with what is retained"),
        pytest.param(30, 30, 0, 50, StartOffset(30), id="usually the group and the views agree"),
        pytest.param(30, 12, 0, 50, StartOffset(30), id="repeats move the group alone"),
        pytest.param(None, 30, 0, 50, StartOffset(30), id="a lost offset is found in the views"),
        pytest.param(5, 30, 0, 50, StartOffset(30), id="one that was set back too"),
        pytest.param(50, 50, 0, 50, StartOffset(50), id="all is projected"),
        pytest.param(10, 10, 25, 50, StartOffset(25, missed=15), id="what was deleted is counted"),
        pytest.param(0, 0, 25, 50, StartOffset(25, missed=25), id="from the first record on"),
        pytest.param(
            60, 60, 0, 50, StartOffset(0, is_shorter=True), id="another topic of that name"
        ),
    ],
)
def test_places(
    committed: int | None, floor: int, low: int, high: int, expected: StartOffset
) -> None:
    """From the group's offset, the views, and what Kafka retains."""
    assert place(committed, floor, low, high) == expected


EVEN = {"genesys-interactions": 12, "genesys-interactions.once": 12, "genesys-conversations": 12}


@pytest.mark.parametrize(
    ("counts", "first", "says"),
    [
        ({}, 12, ""),
        ({}, None, ""),
        ({"genesys-interactions": 24}, None, "has 24 partitions and genesys-interactions.once 12"),
        ({"genesys-conversations": 24}, None, "genesys-conversations 24"),
        (dict.fromkeys(EVEN, 24), 12, "had 12 partitions when this process started and has 24"),
    ],
)
def test_uneven_topics_are_told_with_their_cure(
    counts: Mapping[str, int], first: int | None, says: str
) -> None:
    """Partitions added to one of the three, or to all of them while it runs."""
    told = uneven(load({"HOME": "/root"}), {**EVEN, **counts}, first)
    assert says in told
    assert bool(told) == bool(says)
    assert not told or "mirror projector rebuild" in told


def test_a_missing_topic_is_told_with_its_cure() -> None:
    """That is no growth: init makes it."""
    told = uneven(load({"HOME": "/root"}), {"genesys-interactions": 12})
    assert "no topic genesys-interactions.once and no genesys-conversations" in told
    assert "mirror init" in told
