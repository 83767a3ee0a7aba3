"""What trackers and janitors say of themselves is kept for as long as it matters."""

from __future__ import annotations

from typing import Any

from mirror.fleet.workers import FORGOTTEN_SECONDS, Reporter, Worker, forgotten
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


def test_who_has_left_does_not_write_itself_back() -> None:
    """A thread that still ends its round is not counted as at work."""
    store: Any = Hash()
    reporter = Reporter(store, Keys("default"), "janitor", "me")
    reporter.note()
    assert list(store.fields) == ["janitor/me"]
    reporter.leave()
    reporter.note(("a new reason",))
    assert store.fields == {}
