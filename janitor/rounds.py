"""A janitor's thread: does its work round by round, and says how it is.

What a round cannot do now (a service is away, a lease was lost) is tried again after
`RETRY_SECONDS`, and is a reason why the janitor is `degraded` until a round does all its work. So
is a thread of which no round has ended for longer than it may take. A thread that hangs is found
by `mirror.base.thread_watch`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import msgspec

from janitor.gaps.reading import LeaseLost
from mirror.base.errors import DependencyError
from mirror.base.log import logger
from mirror.base.thread_watch import ReportProgress
from mirror.runtime.startup import RETRY_SECONDS


class Round(msgspec.Struct, frozen=True):
    """How a round ended: seconds until the next, and what kept it from a part of its work."""

    pause: float
    problem: str = ""


class Rounds:
    """The rounds of one thread. `run` belongs to it; the rest may be asked by others."""

    def __init__(
        self,
        name: str,
        work: Callable[[], Round],
        report_progress: ReportProgress,
        *,
        late_after: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`work` does a round. It raises `DependencyError` or `LeaseLost` where it cannot now.

        No round has to end sooner than `late_after` seconds after the one before.
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
                    why=ended.problem,
                )
            self._report_progress(rest=ended.pause)
            stopping.wait(ended.pause)

    def reasons(self) -> tuple[str, ...]:
        """Why this thread's work is not done, for `/healthz`."""
        reasons = (self.problem,) if self.problem else ()
        late = self._clock() - self._ended_at
        if late > self._late_after:
            reasons = (*reasons, f"no round has ended for {late:.0f}s")
        return tuple(f"{self.name}: {why}" for why in reasons)
