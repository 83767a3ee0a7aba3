"""Time that passes only where a thread waits, for tests of what long outages do to
`ThreadWatch`."""

from __future__ import annotations

import threading
from typing import Final

from mirror.base.thread_watch import ThreadWatch

DAY: Final = 24 * 3600.0
#: More than any call of Genesys, Kafka or Redis takes, all its attempts and waits together.
SLOW: Final = 800.0


class Waiting(threading.Event):
    """The `stop` of a thread: set after a day, and waiting for it moves the clock.

    `hung` is what was ever seen to hang.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.thread_watch = ThreadWatch(clock=lambda: self.now)
        self.hung: set[str] = set()
        self.calls = 0

    def wait(self, timeout: float | None = None) -> bool:
        """Let a pause pass."""
        self.spend(timeout or 0.0)
        return self.is_set()

    def spend(self, seconds: float) -> None:
        """Something takes its time."""
        self.now += seconds
        self.hung |= self.thread_watch.hung().keys()
        if self.now > DAY:
            self.set()

    def watched(self) -> set[str]:
        """Threads that are found to hang when nobody is heard of any more."""
        self.now += 2 * DAY
        return set(self.thread_watch.hung())

    def call(self) -> None:
        """A service is asked, and takes as long as it may."""
        self.calls += 1
        self.spend(SLOW)
