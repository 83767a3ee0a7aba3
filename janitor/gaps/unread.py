"""What one reading of a gap could not read, and why. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from mirror.base.units import counted

MAX_ERRORS: Final = 5
MAX_ERROR_LENGTH: Final = 300
# Reasons that concern a listing and not a conversation.
TOO_MANY: Final = "too_many"
REPEATED: Final = "repeated"
INCOMPLETE: Final = "incomplete"
# Read, but its partition takes no events. That is no fault of the gap, however long it lasts.
PARTITION: Final = "partition"
_OF_LISTINGS: Final = frozenset({TOO_MANY, REPEATED, INCOMPLETE})


class Unread:
    """Counts unread conversations by reason, each with a line for people."""

    def __init__(self) -> None:
        self._found: Counter[tuple[str, str]] = Counter()  # (reason, line) → conversations

    def note(self, reason: str, line: str) -> None:
        """A conversation, or the rest of a listing, was not read."""
        self._found[(reason, line)] += 1

    def reasons(self) -> Mapping[str, int]:
        """Reason → number of conversations that were not read."""
        found: Counter[str] = Counter()
        for (reason, _), count in self._found.items():
            found[reason] += count
        return found

    def errors(self) -> tuple[str, ...]:
        """Why not everything was read, for people; empty if everything was."""
        return tuple(
            (line if reason in _OF_LISTINGS else f"{counted(count, 'conversation')}: {line}")[
                :MAX_ERROR_LENGTH
            ]
            for (reason, line), count in self._found.most_common(MAX_ERRORS)
        )
