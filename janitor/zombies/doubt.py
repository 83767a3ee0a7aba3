"""When Genesys' word that a conversation is over is not believed yet. Pure.

A finalised conversation that goes on is worse than a zombie that is found late. So the word is
doubted, said, and asked for again later

- where a frame contradicts it: a process of ours read within the last minutes that a leg lives,
  after the moment at which all is said to have ended;
- where nothing is known to Genesys at all: every GET says 404 and analytics lists none of those
  that it was asked for. A gateway, a wrong host or a wrong organisation answers so. It is believed
  where both are seen to know another conversation (`janitor.zombies.sweep`), or when they have said
  the same for a day.
"""

from __future__ import annotations

from typing import Final

from mirror.fleet.tracked import Tracked

FRESH_SECONDS: Final = 600.0
# Frames come late by seconds, clocks differ, and what was heard is kept rounded.
LATE_MS: Final = 60_000
BELIEVED_AFTER_SECONDS: Final = 24 * 3600.0

BY_FRAME: Final = "a frame of the last minutes shows a leg that lives"
NOTHING_KNOWN: Final = "REST and analytics know no conversation at all"


def contradicts(
    tracked: Tracked, now_ms: int, ended_ms: int | None, fresh_seconds: float = FRESH_SECONDS
) -> bool:
    """Whether a frame contradicts that all legs had ended at `ended_ms` (null: by now).

    What was heard further ahead than `fresh_seconds` is of a clock that has stepped back since.
    """
    if abs(now_ms - tracked.heard_ms) >= fresh_seconds * 1000:
        return False
    return ended_ms is None or tracked.heard_ms > ended_ms + LATE_MS
