"""What a projector and doctor make of views of which a part cannot be read."""

from __future__ import annotations

import pytest

from mirror.checks import projector as checks
from mirror.settings import load
from projector import topics as module
from projector.topics import Topics

PARTITIONS = 3


@pytest.mark.parametrize(
    ("views", "silent", "projected", "waits"),
    [
        (set(), {2}, set(), False),
        (set(), {2}, {0, 1}, False),
        (set(), {2}, {2}, True),
        (set(), {0, 1, 2}, set(), True),
        ({3}, {2}, {2}, False),
        ({2}, {2}, {2}, True),
    ],
    ids=str,
)
def test_a_start_waits_only_for_a_partition_that_may_have_views(
    monkeypatch: pytest.MonkeyPatch,
    views: set[int],
    silent: set[int],
    projected: set[int],
    waits: bool,
) -> None:
    """At the first start no partition has views: a partition without a leader holds up nothing."""
    settings = load({})
    names = (settings.topic, settings.once_topic, settings.conversations_topic)
    monkeypatch.setattr(module, "_count", lambda *_: dict.fromkeys(names, PARTITIONS))
    monkeypatch.setattr(module, "read_partitions", lambda *_: (views, silent))
    monkeypatch.setattr(module, "is_projected", lambda _, asked, __: bool(asked & projected))
    told: list[str] = []

    class Waits(Exception):
        """The start waits."""

    def wait(reason: str) -> None:
        told.append(reason)
        raise Waits

    if waits:
        with pytest.raises(Waits):
            Topics(settings).wait(lambda: 0.0, wait)
    else:
        assert Topics(settings).wait(lambda: 0.0, wait) == PARTITIONS
    assert bool(told) == waits


def test_doctor_tells_what_the_other_partitions_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Views of another number of partitions stop all projectors; a silent partition does not."""
    monkeypatch.setattr(checks, "read_partitions", lambda *_: ({2}, {1}))
    (finding,) = checks.views(load({}), PARTITIONS)
    assert finding.level == "bad"
    assert "were made with 2 partitions" in finding.detail
