"""A janitor's thread: does its work round by round, and says how it is.

What a round cannot do now (a service is away, a lease was lost) is tried again after
`RETRY_SECONDS`, and is a reason why the janitor is `degraded` until a round does all its work. So
is a thread of which no round has ended for longer than it may take. A thread that hangs is found
by `mirror.base.turns`.
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
from mirror.base.turns import Turned
from mirror.runtime.startup import RETRY_SECONDS


class Round(msgspec.Struct, frozen=True):
    """How a round ended: seconds until the next, and what kept it from a part of its work."""

    pause: float
    trouble: str = ""


class Rounds:
    """The rounds of one thread. `run` belongs to it; the rest may be asked by others."""

    def __init__(
        self,
        name: str,
        work: Callable[[], Round],
        turned: Turned,
        *,
        late_after: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`work` does a round. It raises `DependencyError` or `LeaseLost` where it cannot now.

        No round has to end sooner than `late_after` seconds after the one before.
        """
        self.name = name
        self.trouble = ""
        self._work = work
        self._turned = turned
        self._late_after = late_after
        self._clock = clock
        self._ended_at = clock()
        self._log = logger("janitor")

    def run(self, stopping: threading.Event) -> None:
        """Do rounds until `stopping` is set."""
        self._ended_at = self._clock()
        while not stopping.is_set():
            self._turned()
            try:
                ended = self._work()
                self._ended_at = self._clock()
            except (DependencyError, LeaseLost) as error:
                ended = Round(RETRY_SECONDS, str(error))
            if ended.trouble != self.trouble:
                self.trouble = ended.trouble
                self._log.warning(
                    "waiting" if ended.trouble else "working_again",
                    thread=self.name,
                    why=ended.trouble,
                )
            self._turned(rest=ended.pause)
            stopping.wait(ended.pause)

    def reasons(self) -> tuple[str, ...]:
        """Why this thread's work is not done, for `/healthz`."""
        reasons = (self.trouble,) if self.trouble else ()
        late = self._clock() - self._ended_at
        if late > self._late_after:
            reasons = (*reasons, f"no round has ended for {late:.0f}s")
        return tuple(f"{self.name}: {why}" for why in reasons)
