"""Whether a service answers, and since when it does not: what the page says when it cannot know.

Written by one thread, read by others; what is read is one whole value.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Reach(msgspec.Struct, frozen=True):
    """How a service was at its last look. `since_ms` is epoch milliseconds."""

    state: str = "unknown"  # `unknown`, `ok` or `away`
    since_ms: int = 0
    why: str = ""

    def document(self) -> dict[str, Any]:
        """For the page."""
        return {"state": self.state, "since": self.since_ms, "why": self.why}


def answered(before: Reach, now_ms: int) -> Reach:
    """It answers now."""
    return before if before.state == "ok" else Reach("ok", now_ms)


def failed(before: Reach, now_ms: int, why: str) -> Reach:
    """It does not; since when it has not is kept."""
    since = before.since_ms if before.state == "away" else now_ms
    return Reach("away", since, why)
