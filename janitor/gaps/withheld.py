"""Decides whether conversations that REST withholds count as read from analytics. Pure.

REST withholds a conversation that it refuses (403) or no longer knows (404), or about which its
answer is strange (another conversation's body, a gateway's page), although analytics lists it. A
few are exceptions: of another division, or purged. If REST withholds many, the answer may be about
to change: a right is missing that may come back, or REST itself is unwell. Then their events are
produced, but for `WAIT_MS` they do not count as read, so the gap is read again. If it gives only
strange answers, it is not Genesys that answers, however long that lasts: they never count as read.
"""

from __future__ import annotations

from typing import Final

import msgspec

# For this time, many withheld conversations count as a passing state.
WAIT_MS: Final = 3_600_000
# Below this number, the share says nothing.
LEAST_WITHHELD: Final = 5
MOST_SHARE: Final = 0.2


class Withheld(msgspec.Struct):
    """The answers of one reading about conversations that analytics lists.

    `given` counts the conversations that REST returned whole. `kinds` has the kind of answer for
    each withheld conversation, by id. `lines` has one line for each kind, because each answer has a
    correlation id of its own.
    """

    given: int = 0
    kinds: dict[str, str] = msgspec.field(default_factory=dict)
    lines: dict[str, str] = msgspec.field(default_factory=dict)

    def add(self, conversation_id: str, kind: str, line: str) -> None:
        """REST withholds this conversation; `line` says why."""
        self.kinds[conversation_id] = kind
        self.lines[kind] = line

    def are_exceptions(self) -> bool:
        """Whether only few are withheld, so that each may have its own cause."""
        many = len(self.kinds)
        if many >= LEAST_WITHHELD:
            return many <= MOST_SHARE * (many + self.given)
        # A right is missing for all of them. A single purged conversation is common.
        return self.given > 0 or all(kind == "forgotten" for kind in self.kinds.values())

    def are_read(self, kind: str, waited_ms: int) -> bool:
        """Whether those of a kind count as read, `waited_ms` after the first incomplete reading."""
        if self.are_exceptions():
            return True
        return waited_ms >= WAIT_MS and (kind != "strange" or self.given > 0)
