"""Whether services answer and the mirror works, and since when not: why the page is not live.

Written by one thread, read by others; what is read is one whole value.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Availability(msgspec.Struct, frozen=True):
    """How a service was at its last look. `since_ms` is epoch milliseconds."""

    state: str = "unknown"  # `unknown`, `ok` or `away`
    since_ms: int = 0
    why: str = ""

    def document(self) -> dict[str, Any]:
        """For the page."""
        return {"state": self.state, "since": self.since_ms, "why": self.why}


def answered(before: Availability, now_ms: int) -> Availability:
    """It answers now."""
    return before if before.state == "ok" else Availability("ok", now_ms)


def failed(before: Availability, now_ms: int, why: str) -> Availability:
    """It does not; since when it has not is kept."""
    since = before.since_ms if before.state == "away" else now_ms
    return Availability("away", since, why)


class Standing(msgspec.Struct, frozen=True):
    """How the mirror is, in the words of `mirror status`, or `unknown` where Redis is away.

    `since_ms` (epoch milliseconds) is when it came to be so; 0 where nobody knows.
    """

    word: str = "unknown"
    since_ms: int = 0

    def document(self) -> dict[str, Any]:
        """For the page."""
        return {"state": self.word, "since": self.since_ms}


def stands(before: Standing, word: str | None, now_ms: int, last_event_ms: int) -> Standing:
    """The mirror is like this now; None where it could not be asked.

    A mirror that is down already when it is first asked has been so since its last event, or it
    never ran: `last_event_ms` is 0 then.
    """
    after = word or "unknown"
    if after == before.word:
        return before
    was_unseen = before.word == "unknown"
    return Standing(after, last_event_ms if was_unseen and after == "down" else now_ms)
