"""The leader's memory of the gap ledger, so that a Redis that forgets loses no gap. Pure.

Every pass shows the memory what the ledger has. What is open there is remembered, whoever filed it;
what is done is dropped from the memory; what the ledger lost is to be filed again. A gap that was
filled unseen, just before the loss, is filled twice, which repeats events under their own ids.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from mirror.fleet.gaps import Gap

# A gap of a thousand topics takes about 100 kB. Beyond this a loss of Redis may cost gaps.
MAX_REMEMBERED: Final = 1_000


class LedgerView(msgspec.Struct, frozen=True):
    """The ledger at one moment.

    `scores`: id of a remembered gap → its score, None where the ledger does not have it.
    `fresh`: open gaps that were not remembered.
    """

    scores: Mapping[str, float | None]
    fresh: tuple[Gap, ...] = ()


class Filed:
    """Gaps that are filed and not done, at most `most` of them."""

    def __init__(self, most: int = MAX_REMEMBERED) -> None:
        self._gaps: dict[str, Gap] = {}
        self._most = most

    @property
    def ids(self) -> tuple[str, ...]:
        """Of all that is remembered."""
        return tuple(self._gaps)

    @property
    def room(self) -> int:
        """How many more gaps can be remembered."""
        return max(0, self._most - len(self._gaps))

    def add(self, gaps: Iterable[Gap]) -> None:
        """Remember gaps, as far as there is room."""
        for gap in gaps:
            if gap.id in self._gaps or self.room:
                self._gaps[gap.id] = gap

    def look(self, view: LedgerView) -> list[Gap]:
        """Learn from the ledger; returns what it lost, to be filed again from its beginning."""
        for gap_id, score in view.scores.items():
            if score == math.inf:
                self._gaps.pop(gap_id, None)
        self.add(gap for gap in view.fresh if not gap.done)
        # What was read for it was lost with it: both readings are made again.
        return [
            msgspec.structs.replace(
                self._gaps[gap_id], state="open", attempts=0, found=0, read=0, readings=0, errors=()
            )
            for gap_id, score in view.scores.items()
            if score is None and gap_id in self._gaps
        ]
