"""The work of one round of the janitor's threads: one sweep over zombies, or one gap."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from janitor.claims import Leases
from janitor.gaps.filler import Filler
from janitor.rounds import Round
from janitor.zombies.sweep import Sweep, Zombies
from mirror.base.log import logger
from mirror.runtime.startup import RETRY_SECONDS

# Between two looks into the gap ledger, which costs one Redis command.
LEDGER_SECONDS: Final = 1.0
FORGET_EVERY_SECONDS: Final = 600.0
# Sweeps are late when none has ended for this many intervals, and at least for this many seconds: a
# sweep over very many conversations takes minutes.
LATE_INTERVALS: Final = 3
LATE_SECONDS: Final = 900.0


def late_after(interval: float) -> float:
    """Seconds without the end of a sweep after which the janitor counts as not working."""
    return max(LATE_SECONDS, LATE_INTERVALS * interval)


class Sweeping:
    """Sweeps every `interval` seconds; `note` is called with the result of each.

    The problem of a sweep lasts until a sweep works. A sweep that claims nothing shows neither: it
    ends a problem only after conversations that could not be verified were due again. Conversations
    that wait for the tracker in some partitions are put back, and the next sweeps see none of them.
    So that problem lasts until the tracker has read these partitions.
    """

    def __init__(
        self,
        zombies: Zombies,
        interval: float,
        note: Callable[[Sweep], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._zombies = zombies
        self._interval = interval
        self._note = note
        self._clock = clock
        self._problem = ""
        self._problem_ends = 0.0
        self._is_behind = False
        self._log = logger("janitor")

    def round(self) -> Round:
        """One sweep. Raises `RedisUnavailable` and `KafkaUnavailable`."""
        sweep = self._zombies.sweep()
        self._note(sweep)
        if sweep.claimed:
            self._log.info("sweep_finished", **_fields(sweep))
        now = self._clock()
        if sweep.claimed or now >= self._problem_ends:
            self._problem = sweep.problem
            self._problem_ends = now + sweep.longest_pause + 2 * self._interval
        self._is_behind = sweep.obstacle == "behind" or (self._is_behind and bool(sweep.behind))
        obstacle = sweep.obstacle or ("behind" if self._is_behind else "")
        problems = [f"the tracker is {obstacle}"] if obstacle else []
        if self._problem:
            problems.append(self._problem)
        if sweep.doubted:
            problems.append(
                f"Genesys says that {sweep.doubted} are over, which is doubted: {sweep.doubt}"
            )
        holds_all = sweep.obstacle and not sweep.behind
        pause = min(RETRY_SECONDS, self._interval) if holds_all else self._interval
        return Round(pause, "; ".join(problems))


class Filling:
    """Fills gaps, and removes gaps from the ledger that were filled long ago."""

    def __init__(self, filler: Filler, leases: Leases) -> None:
        self._filler = filler
        self._leases = leases
        self._forget_at = 0.0

    def round(self) -> Round:
        """One gap, if one is due. Raises `RedisUnavailable`, `KafkaUnavailable`, `LeaseLost`."""
        if time.monotonic() >= self._forget_at:
            self._leases.forget_expired_gaps()
            self._forget_at = time.monotonic() + FORGET_EVERY_SECONDS
        return Round(0.0 if self._filler.fill_next() else LEDGER_SECONDS)


def _fields(sweep: Sweep) -> dict[str, float]:
    return {
        name: value
        for name in sweep.__struct_fields__
        if isinstance(value := getattr(sweep, name), int | float)
    }
