"""Finds a thread that hangs: the long-lived threads of a process report their progress.

    watch = ThreadWatch()
    tracker = Tracker(settings, report_progress=watch.of("tracker"))
    if turns.all_progress():                                      # from the thread that beats
        heartbeat_file.touch()

The beat of a process (`mirror.supervision.heartbeat_file`) shows that one of its threads works. A
thread beside it that waits for ever, through a bug or a call without a deadline, would go
unnoticed. So each calls `report_progress()` at every pass of a loop, and before each call of a row
of calls. Before a pause it calls `report_progress(rest=seconds)`. One that has not come by for
`PATIENCE_SECONDS` hangs: the process beats no more and is `down`, and the watchdog ends it.

To wait for a service is not to hang, however long it is away: every call has a deadline, and who
tries again comes by. A thread is judged from its first report on.

Left to others: the thread that beats (it shows that by beating), a listener's loop
(`listeners.health`) and its workers (`listeners.channels.workers` says why), and the threads that
only tell (`/metrics`, the checkup), without which the work goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

from mirror.base.log import logger

#: Seconds between two reports, beyond which no wait for a service goes. The longest call is one of
#: Genesys: a wait for another thread's token, a token, then the call itself. Each of the three may
#: take 60 s of request budget, a connection to several addresses (5 s each), 15 s for an answer to
#: begin and 75 s for its body, and 60 s of attempts before; with a name server that does not answer
#: some 12 minutes. Kafka's calls take up to 10 s, Redis' some 8 s, 12 s where three Sentinels are
#: silent, minutes where nobody resolves their names. Seen were 70 s while Redis, Kafka and Genesys
#: were silent for three minutes. What a hang costs meanwhile others bear: a tracker's partitions go
#: to another coordinator, a janitor's leases lapse, a listener's seats move.
PATIENCE_SECONDS: Final = 900.0


class ReportProgress(Protocol):
    """How a thread reports progress. `rest` is for how many seconds it means to pause now."""

    def __call__(self, rest: float = 0.0) -> None: ...


def unwatched(rest: float = 0.0) -> None:
    """For work outside of a watched thread: a command, a test."""


class ThreadWatch:
    """When each thread of this process was last heard of. `report_progress` may be called by any
    thread."""

    def __init__(
        self, patience: float = PATIENCE_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`patience` in seconds; `clock` is monotonic."""
        self._patience = patience
        self._clock = clock
        self._expected: dict[str, float] = {}  # thread → when its last rest ended
        self._told: set[str] = set()
        self._log = logger("thread_watch")

    def of(self, thread: str) -> ReportProgress:
        """What `thread` is to call."""

        def report_progress(rest: float = 0.0) -> None:
            self._expected[thread] = self._clock() + rest

        return report_progress

    def hung(self) -> dict[str, float]:
        """Threads that hang → for how many seconds they were not heard of."""
        now = self._clock()
        silent = {thread: now - since for thread, since in list(self._expected.items())}
        return {thread: seconds for thread, seconds in silent.items() if seconds > self._patience}

    def reasons(self) -> tuple[str, ...]:
        """The same in words, for `/healthz`: not empty where the process is `down`."""
        return tuple(
            f"the thread {thread} hangs: no progress for {seconds:.0f}s"
            for thread, seconds in sorted(self.hung().items())
        )

    def all_progress(self) -> bool:
        """Whether no thread hangs. For the thread that beats: logs a hang once, and its end."""
        hung = self.hung()
        for thread in sorted(hung.keys() - self._told):
            self._log.error("thread_hung", thread=thread, seconds=round(hung[thread]))
        for thread in sorted(self._told - hung.keys()):
            self._log.info("thread_recovered", thread=thread)
        self._told = set(hung)
        return not hung
