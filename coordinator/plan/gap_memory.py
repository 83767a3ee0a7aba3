"""The leader's memory of the gap ledger, so that no gap is lost when Redis loses data. Pure.

Every pass compares the memory with the ledger. Open gaps are remembered, whoever filed them; done
gaps are dropped; gaps that the ledger lost are filed again. A gap that was filled unnoticed just
before the loss is filled twice, which only repeats events with the same ids.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from mirror.fleet.gaps import Gap

# A gap of a thousand topics takes about 100 kB. Above this size a loss of Redis may lose gaps.
MAX_REMEMBERED: Final = 1_000


class LedgerView(msgspec.Struct, frozen=True):
    """The ledger at one moment.

    `scores`: id of a remembered gap → its score, None if the ledger does not have it.
    `fresh`: open gaps that were not remembered.
    """

    scores: Mapping[str, float | None]
    fresh: tuple[Gap, ...] = ()


class Filed:
    """Filed gaps that are not done, at most `most`."""

    def __init__(self, most: int = MAX_REMEMBERED) -> None:
        self._gaps: dict[str, Gap] = {}
        self._most = most

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all remembered gaps."""
        return tuple(self._gaps)

    @property
    def by_hand(self) -> int:
        """How many remembered gaps were asked for by hand."""
        return sum(gap.shown_kind == "hand" for gap in self._gaps.values())

    @property
    def room(self) -> int:
        """The number of gaps that still fit into the memory."""
        return max(0, self._most - len(self._gaps))

    def add(self, gaps: Iterable[Gap]) -> None:
        """Remember gaps, as far as there is room."""
        for gap in gaps:
            if gap.id in self._gaps or self.room:
                self._gaps[gap.id] = gap

    def look(self, view: LedgerView) -> list[Gap]:
        """Learn from the ledger. Returns the gaps that it lost, to file again from their begin."""
        for gap_id, score in view.scores.items():
            if score == math.inf:
                self._gaps.pop(gap_id, None)
        self.add(gap for gap in view.fresh if not gap.done)
        # The progress of a gap is lost with it: both readings are made again.
        return [
            msgspec.structs.replace(
                self._gaps[gap_id], state="open", attempts=0, found=0, read=0, readings=0, errors=()
            )
            for gap_id, score in view.scores.items()
            if score is None and gap_id in self._gaps
        ]
