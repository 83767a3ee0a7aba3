"""Measures calls to Genesys: durations and outcomes by kind of call.

There are few kinds. A kind has no id, client or path. Programs export the sums over their OAuth
clients as `mirror_genesys_request_seconds`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from functools import reduce
from itertools import product
from typing import Final, Literal, get_args

from mirror.base.tally import Tally

Kind = Literal[
    "token", "channels", "subscriptions", "listing", "conversation", "analytics", "other"
]
Outcome = Literal["done", "refused", "not_found", "limited", "failed", "no_answer"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)
BOUNDS: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
# Parts of a call's name → kind, narrow before wide.
_PARTS: Final[tuple[tuple[str, Kind], ...]] = (
    ("/oauth/token", "token"),
    ("/subscriptions", "subscriptions"),
    ("/notifications/channels", "channels"),
    ("/analytics/", "analytics"),
    ("/api/v2/conversations/", "conversation"),
    ("/routing/queues", "listing"),
    ("/api/v2/users", "listing"),
)


class Calls:
    """The calls of one OAuth client. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.tallies: dict[tuple[str, ...], Tally] = {
            pair: Tally(BOUNDS) for pair in product(KINDS, OUTCOMES)
        }

    def add(self, name: str, status: int | None, seconds: float) -> None:
        """Count one request that took `seconds`; `status` is None if there was no answer."""
        with self._lock:
            self.tallies[kind_of(name), outcome_of(status)].add(seconds)


def kind_of(name: str) -> Kind:
    """The kind of a call, by its method and path template."""
    return next((kind for part, kind in _PARTS if part in name), "other")


def outcome_of(status: int | None) -> Outcome:
    """The outcome of a call, by its status."""
    if status is None:
        return "no_answer"
    if status < 300:
        return "done"
    if status in {401, 403}:
        return "refused"
    if status in {404, 410}:
        return "not_found"
    return "limited" if status == 429 else "failed"


def total(all_calls: Iterable[Calls]) -> Mapping[tuple[str, ...], Tally]:
    """Kind and outcome → the calls of all clients."""
    parts = [calls.tallies for calls in all_calls]
    return {
        pair: reduce(Tally.merged, (part[pair] for part in parts), Tally(BOUNDS))
        for pair in product(KINDS, OUTCOMES)
    }
