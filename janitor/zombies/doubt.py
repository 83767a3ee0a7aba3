"""Doubts Genesys' answer that a conversation is over. Pure.

A finalized conversation that goes on is worse than a zombie that is found late. So in two cases the
answer is doubted, reported, and asked for again later:

- A frame contradicts it: a process of ours read within the last minutes that a leg was live after
  the alleged end. An end without a time contradicts each such frame.
- Genesys seems to know nothing at all: every GET returns 404, and analytics lists none of the
  requested conversations. A gateway, a wrong host or a wrong organisation answers like this. The
  answer is believed if both know some other conversation (`janitor.control`), or after they have
  said the same for a day.
"""

from __future__ import annotations

from typing import Final

from mirror.fleet.tracked import Tracked

FRESH_SECONDS: Final = 600.0
# Frames come seconds late, clocks differ, and `heard_ms` is rounded.
LATE_MS: Final = 60_000
BELIEVED_AFTER_SECONDS: Final = 24 * 3600.0

BY_FRAME: Final = "a frame of the last minutes shows a leg that lives"
NOTHING_KNOWN: Final = "REST and analytics know no conversation at all"


def contradicts(
    tracked: Tracked, now_ms: int, ended_ms: int | None, fresh_seconds: float = FRESH_SECONDS
) -> bool:
    """Whether a frame contradicts that all legs had ended at `ended_ms` (None: by now).

    A frame further in the future than `fresh_seconds` is from before a clock stepped back.
    """
    if abs(now_ms - tracked.heard_ms) >= fresh_seconds * 1000:
        return False
    return ended_ms is None or tracked.heard_ms > ended_ms + LATE_MS
