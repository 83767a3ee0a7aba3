"""Reads the simulator's ledger of all that happened (docs/simulator.md, "The ledger of truth")."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from harness.oracle import Truth

PAGE_RECORDS: Final = 100_000


def pages(
    get: Callable[[str], Any], since: int = 0, size: int = PAGE_RECORDS
) -> Iterator[dict[str, Any]]:
    """The records after `since`, oldest first, with all fields of the simulator.

    `get` takes a path of the simulator's admin API and returns the decoded answer. A page has at
    most `size` records.
    """
    while True:
        page = get(f"/_sim/ledger?since_seq={since}&limit={size}")
        yield from page["records"]
        if len(page["records"]) < size:
            return
        since = page["next_seq"]


def truths(get: Callable[[str], Any], since: int = 0, until: int | None = None) -> list[Truth]:
    """The records with `since` < `seq` <= `until`, as `Truth` for the oracle. `until` None: all."""
    found = msgspec.convert(list(pages(get, since)), list[Truth])
    return found if until is None else [truth for truth in found if truth.seq <= until]


def last_seq(get: Callable[[str], Any]) -> int:
    """The number of the newest record, 0 if there is none."""
    return int(get("/_sim/stats")["ledger"]["last_seq"])
