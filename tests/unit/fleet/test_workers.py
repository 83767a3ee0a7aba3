"""What trackers and janitors say of themselves is kept for as long as it matters."""

from __future__ import annotations

from typing import Any

import pytest

from mirror.fleet import reasons
from mirror.fleet.workers import (
    AHEAD_MS,
    FORGOTTEN_SECONDS,
    SILENT_MS,
    Reporter,
    Worker,
    forgotten,
    read,
    working,
)
from mirror.redis.keys import Keys

NOW_MS = 10_000_000
LONG_AGO_MS = NOW_MS - round(FORGOTTEN_SECONDS * 1000) - 1


def worker(kind: Any, name: str, at_ms: int) -> tuple[str, Worker]:
    """A field and what stands in it."""
    return f"{kind}/{name}", Worker(kind=kind, name=name, at_ms=at_ms)


def test_the_newest_of_a_kind_is_never_forgotten() -> None:
    """That no tracker works any more is a reason for as long as it lasts, not for ten minutes."""
    workers = dict(
        [
            worker("tracker", "old", LONG_AGO_MS - 5_000),
            worker("tracker", "newest", LONG_AGO_MS),
            worker("janitor", "alive", NOW_MS),
            worker("janitor", "dead", LONG_AGO_MS),
        ]
    )
    texts = dict.fromkeys([*workers, "junk"], "")
    assert forgotten(workers, texts, NOW_MS) == ["janitor/dead", "junk", "tracker/old"]


@pytest.mark.parametrize("ahead_ms", [AHEAD_MS + 1, 600_000, 3_600_000])
@pytest.mark.parametrize("kind", ["tracker", "janitor"])
def test_a_report_of_the_future_is_old(kind: Any, ahead_ms: int) -> None:
    """Redis' clock went back: a worker that has not reported since is not at work, and its field
    goes before those of others."""
    field, dead = worker(kind, "dead", NOW_MS + ahead_ms)
    other, alive = worker(kind, "alive", NOW_MS)
    assert working([dead, alive], kind, NOW_MS, SILENT_MS) == [alive]
    assert forgotten({field: dead, other: alive}, {field: "", other: ""}, NOW_MS) == [field]
    assert forgotten({field: dead}, {field: ""}, NOW_MS) == []


def test_a_report_of_a_moment_ahead_is_recent() -> None:
    """It was written after the reader took Redis' time."""
    _, tracker = worker("tracker", "alive", NOW_MS + 1_000)
    assert working([tracker], "tracker", NOW_MS, SILENT_MS) == [tracker]


def test_a_state_of_the_future_is_a_reason() -> None:
    """Redis' clock went back by an hour, and neither leader nor tracker has written since."""
    hour_ms = 3_600_000
    ahead = NOW_MS + hour_ms
    assert reasons.leading("c1", NOW_MS, NOW_MS, 8_000, "") == []
    assert reasons.leading("c1", NOW_MS + 1_000, NOW_MS, 8_000, "") == []
    (said,) = reasons.leading("c1", ahead, NOW_MS, 8_000, "")
    assert "unknown age" in said
    (said,) = reasons.leading(None, ahead, NOW_MS, 8_000, "")
    assert "unknown age" in said
    _, tracker = worker("tracker", "dead", ahead)
    (said,) = reasons.tracking([tracker], NOW_MS, "")
    assert "Redis' clock went back" in said
    _, janitor = worker("janitor", "dead", ahead)
    (said,) = reasons.janitors([janitor], NOW_MS, 20_000, 30_000, (1, 0), "")
    assert "no janitor works" in said


class Hash:
    """As much of a Redis hash as a reporter uses."""

    def __init__(self) -> None:
        self.fields: dict[str, bytes] = {}

    def hset(self, _key: str, field: str, text: bytes) -> None:
        self.fields[field] = text

    def hgetall(self, _key: str) -> dict[str, bytes]:
        return dict(self.fields)

    def hdel(self, _key: str, *fields: str) -> None:
        for field in fields:
            self.fields.pop(field, None)

    def time(self) -> tuple[int, int]:
        return NOW_MS // 1000, 0


def test_a_worker_says_how_long_it_runs() -> None:
    """By its own clock, so that others tell one that starts from one that cannot work."""
    store: Any = Hash()
    now = [5.0]
    reporter = Reporter(store, Keys("default"), "tracker", "me", lambda: now[0])
    now[0] += 12.5
    reporter.note()
    (found,) = read({field: text.decode() for field, text in store.fields.items()}, "").values()
    assert found.up_ms == 12_500


def test_partitions_that_change_are_told_at_once() -> None:
    """Else a part would seem to have no tracker for seconds. That there is none while the group
    shares them out anew can wait."""
    store: Any = Hash()
    reporter = Reporter(store, Keys("default"), "tracker", "me", lambda: 0.0)

    def told() -> int:
        (found,) = read({field: t.decode() for field, t in store.fields.items()}, "").values()
        return found.partitions

    for partitions, seen in ((12, 12), (0, 12), (6, 6)):
        reporter.note(partitions=partitions)
        assert told() == seen


def test_who_has_left_does_not_write_itself_back() -> None:
    """A thread that still ends its round is not counted as at work."""
    store: Any = Hash()
    reporter = Reporter(store, Keys("default"), "janitor", "me")
    reporter.note()
    assert list(store.fields) == ["janitor/me"]
    reporter.leave()
    reporter.note(("a new reason",))
    assert store.fields == {}
