"""Reads the simulator's ledger of all that happened (docs/simulator.md, "The ledger of truth")."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final

import msgspec

from simulator.ledger import Truth

PAGE_RECORDS: Final = 100_000


def pages(
    get: Callable[[str], Any], since: int = 0, size: int = PAGE_RECORDS
) -> Iterator[list[Truth]]:
    """The records after `since`, oldest first, in pages of at most `size`.

    `get` takes a path of the simulator's admin API and returns the decoded answer.
    """
    while True:
        page = get(f"/_sim/ledger?since_seq={since}&limit={size}")
        yield msgspec.convert(page["records"], list[Truth])
        if len(page["records"]) < size:
            return
        since = page["next_seq"]


def truths(get: Callable[[str], Any], since: int = 0, until: int | None = None) -> list[Truth]:
    """The records with `since` < `seq` <= `until`. `until` None: all."""
    found = chain.from_iterable(pages(get, since))
    return [truth for truth in found if until is None or truth.seq <= until]


def last_seq(get: Callable[[str], Any]) -> int:
    """The number of the newest record, 0 if there is none."""
    return int(get("/_sim/stats")["ledger"]["last_seq"])
