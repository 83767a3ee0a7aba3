"""Finds a thread that hangs: the long-lived threads of a process report their progress.

    watch = ThreadWatch()
    tracker = Tracker(settings, report_progress=watch.of("tracker"))
    if watch.all_progress():                                      # from the thread that beats
        heartbeat_file.touch()

The beat of a process (`mirror.supervision.heartbeat_file`) shows that one of its threads works. A
second thread that waits for ever, through a bug or a call without a deadline, would go unnoticed.
So each thread calls `report_progress()` at every pass of its loop and before each of several calls
in a row. Before a pause it calls `report_progress(rest=seconds)`. A thread that has not reported
for `PATIENCE_SECONDS` hangs: the process stops beating, is `down`, and the watchdog kills it.

Waiting for a service is not a hang, however long the outage: every call has a deadline, and each
retry reports progress. A thread is watched from its first report on.

Left to others: the thread that beats (its beat is its report), a listener's loop
(`listeners.health`) and workers (`listeners.channels.workers` says why), and the threads that only
report (`/metrics`, the checkup), without which the work goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

from mirror.base.log import logger

#: Seconds between two reports; no wait for a service takes longer. The longest call is one of
#: Genesys: a wait for another thread's token, a token, then the call itself. Each of the three may
#: take 60 s of request budget, a connection to several addresses (5 s each), 15 s for an answer to
#: begin and 75 s for its body, and 60 s of attempts before. With a name server that does not answer
#: that is some 12 minutes. Kafka's calls take up to 10 s, Redis' some 8 s, 12 s with three silent
#: Sentinels, minutes if their names do not resolve. The longest wait seen was 70 s, with Redis,
#: Kafka and Genesys silent for three minutes. Other processes take over the work of a hung thread:
#: a tracker's partitions go to another coordinator, a janitor's leases lapse, a listener's seats
#: move.
PATIENCE_SECONDS: Final = 900.0


class ReportProgress(Protocol):
    """Reports a thread's progress. `rest` is the pause, in seconds, that the thread begins now."""

    def __call__(self, rest: float = 0.0) -> None: ...


def unwatched(rest: float = 0.0) -> None:
    """Does nothing. For work outside a watched thread: a command, a test."""


class ThreadWatch:
    """The time of each thread's last report. Any thread may call `report_progress`."""

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
        """The function by which `thread` reports its progress."""

        def report_progress(rest: float = 0.0) -> None:
            self._expected[thread] = self._clock() + rest

        return report_progress

    def hung(self) -> dict[str, float]:
        """Threads that hang → seconds since their last report."""
        now = self._clock()
        silent = {thread: now - since for thread, since in list(self._expected.items())}
        return {thread: seconds for thread, seconds in silent.items() if seconds > self._patience}

    def reasons(self) -> tuple[str, ...]:
        """The same in words, for `/healthz`. Not empty means that the process is `down`."""
        return tuple(
            f"the thread {thread} hangs: no progress for {seconds:.0f}s"
            for thread, seconds in sorted(self.hung().items())
        )

    def all_progress(self) -> bool:
        """Whether no thread hangs. For the thread that beats: logs each hang and its end once."""
        hung = self.hung()
        for thread in sorted(hung.keys() - self._told):
            self._log.error("thread_hung", thread=thread, seconds=round(hung[thread]))
        for thread in sorted(self._told - hung.keys()):
            self._log.info("thread_recovered", thread=thread)
        self._told = set(hung)
        return not hung
