"""Notices that Redis' clock went back, and moves the leader's stored times back too. Pure.

After a fail-over to a host with another clock Redis' time may be earlier than before, by minutes or
hours. A stored time is then in the future. The end of coverage (`coordinator.plan.coverage`) would
hide every gap before that time, and a dead channel would look like a new one.

So all stored times move back by as much as the clock did, and keep their distance from now. The
time between the last look and the step is not known. What was received is therefore moved back by
some more: by a lease for a leader that goes on, and by `UNSEEN_MS` for a new leader, which does not
know for how long there was no leader. At worst a gap is filed that begins too early. A channel that
receives through the step covers that time by itself: its next beat says for how long it has
received.

Beats from before the step say nothing about now: they count as `UNKNOWN` until they change.

Steps forward need nothing: a stored time is then too old, and a gap begins too early.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar, cast

import msgspec

from mirror.fleet.workers import is_ahead

T = TypeVar("T")

#: A beat at an unknown time.
UNKNOWN: Final = 0
# A new leader takes back this much of what was received, besides the step of the clock.
UNSEEN_MS: Final = 3_600_000


class Step(msgspec.Struct, frozen=True):
    """The clock went back by `by_ms`; what was received moves back by `received_ms`."""

    by_ms: int
    received_ms: int


class RedisClock:
    """The leader's memory of Redis' time."""

    def __init__(self, lease_ms: int) -> None:
        self._lease_ms = lease_ms
        self._last_ms = 0
        self._ahead_ms = 0
        self._outdated: Mapping[str, int] = {}

    def look(self, now_ms: int, beats: Mapping[str, int], stored: object = None) -> Step | None:
        """A pass sees Redis at `now_ms` and these `beats`. Returns the step, if the clock went back
        since the last pass.

        `stored`: for the first pass after an election, the state that was stored before.
        """
        received_ms = self._lease_ms
        last_ms = self._last_ms
        if stored is not None:
            last_ms = latest_ms(stored)
            received_ms = max(received_ms, UNSEEN_MS)
        self._last_ms = now_ms
        if last_ms <= now_ms:
            return None
        by_ms = last_ms - now_ms
        self._ahead_ms += by_ms
        self._outdated = dict(beats)
        return Step(by_ms, by_ms + received_ms)

    def known(self, now_ms: int, beats: Mapping[str, int]) -> dict[str, int]:
        """The beats. A beat from before a step of the clock is `UNKNOWN`."""
        self._outdated = {
            listener: beat_ms
            for listener, beat_ms in self._outdated.items()
            if beats.get(listener) == beat_ms
        }
        return {
            listener: UNKNOWN
            if listener in self._outdated or is_ahead(beat_ms, now_ms)
            else beat_ms
            for listener, beat_ms in beats.items()
        }

    def keep_ahead(self, highest_ms: int, now_ms: int) -> None:
        """Let no new epoch be lower than `highest_ms`, the highest that is known."""
        self._ahead_ms = max(self._ahead_ms, highest_ms - now_ms)

    def rising(self, now_ms: int) -> int:
        """A time for new epochs. It rises although the clock went back."""
        return now_ms + self._ahead_ms


def latest_ms(value: object) -> int:
    """The latest of all times in a value: the fields of its structs whose names end in `_ms`. 0 if
    there is none."""
    return max(_times(value), default=0)


def moved_back(value: T, by_ms: int) -> T:
    """The value with all its times moved back: the fields of its structs whose names end in `_ms`.
    0 and None are no times, and stay."""
    return cast("T", _moved(value, by_ms))


def earlier(time_ms: int, by_ms: int) -> int:
    """A time moved back; 0 is no time, and stays."""
    return max(1, time_ms - by_ms) if time_ms > 0 else time_ms


def _times(value: object) -> list[int]:
    if isinstance(value, Mapping):
        return [time for item in value.values() for time in _times(item)]
    if isinstance(value, (tuple, list)):
        return [time for item in value for time in _times(item)]
    if not isinstance(value, msgspec.Struct):
        return []
    found: list[int] = []
    for name in value.__struct_fields__:
        field = getattr(value, name)
        if name.endswith("_ms"):
            found += [field] if isinstance(field, int) else []
        else:
            found += _times(field)
    return found


def _moved(value: Any, by_ms: int) -> Any:
    if isinstance(value, dict):
        return {key: _moved(item, by_ms) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(_moved(item, by_ms) for item in value)
    if not isinstance(value, msgspec.Struct):
        return value
    fields: dict[str, Any] = {}
    for name in value.__struct_fields__:
        field = getattr(value, name)
        if name.endswith("_ms"):
            fields[name] = earlier(field, by_ms) if isinstance(field, int) else field
        else:
            fields[name] = _moved(field, by_ms)
    return msgspec.structs.replace(value, **fields)
