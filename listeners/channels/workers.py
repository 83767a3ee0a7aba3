"""A few threads for blocking calls: REST calls, handshakes, Redis reservations.

The number of jobs is bounded by the channels: each has at most one under way. The threads are
daemons, so a thread that waits for a time-out never delays the end of the process.

`mirror.base.thread_watch` does not watch these threads. A job that hangs costs one channel its
step, which has a deadline and is tried again, while the open sockets go on. Killing the process
would close them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

from mirror.base.log import logger

WORKERS: Final = 4
_IDLE_SECONDS: Final = 1.0

Job = Callable[[], None]


class Workers:
    """A pool of daemon threads."""

    def __init__(self, count: int = WORKERS) -> None:
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._stopped = threading.Event()
        self._log = logger("listener.workers")
        self._threads = [
            threading.Thread(target=self._run, name=f"worker-{index}", daemon=True)
            for index in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        """Have `job` done by the next free thread. It reports its own failures."""
        self._jobs.put(job)

    def stop(self, seconds: float) -> None:
        """Finish the queued jobs, for at most `seconds`."""
        for _ in self._threads:
            self._jobs.put(self._stopped.set)
        for thread in self._threads:
            thread.join(seconds / len(self._threads))

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                job = self._jobs.get(timeout=_IDLE_SECONDS)
            except Empty:
                continue
            try:
                job()
            except Exception as error:  # noqa: BLE001 - the pool must outlive a bug in a job
                # A job failed in an unforeseen way: its channel's deadline handles it.
                self._log.error("worker_failed", error=error, exc_info=True)
