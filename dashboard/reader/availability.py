"""Whether services answer and the mirror works, and if not, since when. Explains a page that is not
live.

One thread writes, others read. Each value is whole: a struct that never changes.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Availability(msgspec.Struct, frozen=True):
    """The state of a service when it was last asked. `since_ms` is epoch milliseconds."""

    state: str = "unknown"  # `unknown`, `ok` or `away`
    since_ms: int = 0
    reason: str = ""

    def document(self) -> dict[str, Any]:
        """For the page."""
        return {"state": self.state, "since": self.since_ms, "reason": self.reason}


def answered(before: Availability, now_ms: int) -> Availability:
    """The service answers now."""
    return before if before.state == "ok" else Availability("ok", now_ms)


def failed(before: Availability, now_ms: int, reason: str) -> Availability:
    """The service does not answer. Keeps the time since when."""
    since = before.since_ms if before.state == "away" else now_ms
    return Availability("away", since, reason)


class Standing(msgspec.Struct, frozen=True):
    """The health of the mirror in the words of `mirror status`, or `unknown` without Redis.

    `since_ms` (epoch milliseconds) is when this health began, 0 if unknown.
    """

    word: str = "unknown"
    since_ms: int = 0

    def document(self) -> dict[str, Any]:
        """For the page."""
        return {"state": self.word, "since": self.since_ms}


def stands(before: Standing, word: str | None, now_ms: int, last_event_ms: int) -> Standing:
    """The health after a look at the mirror. `None`: Redis did not answer.

    A mirror that is down at the first look has been down since its last event. If it never ran,
    `last_event_ms` is 0.
    """
    after = word or "unknown"
    if after == before.word:
        return before
    was_unseen = before.word == "unknown"
    return Standing(after, last_event_ms if was_unseen and after == "down" else now_ms)
