"""A janitor's thread: works round by round, and reports its health.

A round that fails (a service is away, a lease was lost) is tried again after `RETRY_SECONDS`. Until
a round does all its work, the janitor is `degraded`. It is also `degraded` if no round has ended
for longer than allowed. `mirror.base.thread_watch` finds threads that hang.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import msgspec

from janitor.claims import LeaseLost
from mirror.base.errors import DependencyError
from mirror.base.log import logger
from mirror.base.thread_watch import ReportProgress
from mirror.runtime.startup import RETRY_SECONDS


class Round(msgspec.Struct, frozen=True):
    """The end of a round: seconds until the next, and the reason if a part was not done."""

    pause: float
    problem: str = ""


class Rounds:
    """The rounds of one thread. `run` belongs to that thread; others may call the rest."""

    def __init__(
        self,
        name: str,
        work: Callable[[], Round],
        report_progress: ReportProgress,
        *,
        late_after: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`work` does a round. It raises `DependencyError` or `LeaseLost` if it fails for now.

        A round is late if it has not ended `late_after` seconds after the one before.
        """
        self.name = name
        self.problem = ""
        self._work = work
        self._report_progress = report_progress
        self._late_after = late_after
        self._clock = clock
        self._ended_at = clock()
        self._log = logger("janitor")

    def run(self, stopping: threading.Event) -> None:
        """Do rounds until `stopping` is set."""
        self._ended_at = self._clock()
        while not stopping.is_set():
            self._report_progress()
            try:
                ended = self._work()
                self._ended_at = self._clock()
            except (DependencyError, LeaseLost) as error:
                ended = Round(RETRY_SECONDS, str(error))
            if ended.problem != self.problem:
                self.problem = ended.problem
                self._log.warning(
                    "work_suspended" if ended.problem else "work_resumed",
                    thread=self.name,
                    reason=ended.problem,
                )
            self._report_progress(rest=ended.pause)
            stopping.wait(ended.pause)

    def reasons(self) -> tuple[str, ...]:
        """Why this thread does not do its work, for `/healthz`."""
        reasons = (self.problem,) if self.problem else ()
        late = self._clock() - self._ended_at
        if late > self._late_after:
            reasons = (*reasons, f"no round has ended for {late:.0f}s")
        return tuple(f"{self.name}: {reason}" for reason in reasons)
