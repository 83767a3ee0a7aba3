"""Repeats checks of `mirror doctor` while a process runs, so that `/healthz` shows them too.

A check may wait for a service that does not answer, and probes ask for health often. So the checks
run in a thread of their own, and `/healthz` answers with the last findings from memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final

from mirror.base import log
from mirror.checks.finding import Finding

EVERY_SECONDS: Final = 60.0
#: The interval while a check fails: a fixed problem should not be shown for another minute.
EVERY_ILL_SECONDS: Final = 10.0


class Checkup:
    """The findings of some checks, at most a minute old."""

    def __init__(self, checks: Callable[[], Iterable[Finding]]) -> None:
        self.findings: tuple[Finding, ...] = ()
        self._checks = checks
        self._log = log.logger("checkup")
        self._failed = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkup", daemon=True)

    def start(self) -> None:
        """Check at once, then repeat until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Begin no further round. Does not wait for a round that hangs on a dead service."""
        self._stop.set()

    def reasons(self) -> tuple[str, ...]:
        """The problems that an operator must fix, one line each."""
        return tuple(
            f"{finding.check}: {finding.subject}: {finding.detail}"
            for finding in self.findings
            if not finding.ok
        )

    def look(self) -> float:
        """Run one round. Returns for how many seconds its findings are valid."""
        try:
            self.findings = tuple(self._checks())
        except Exception as error:  # noqa: BLE001 - a check that fails must not end the process
            if not self._failed:
                self._log.error("checkup_failed", error=error, exc_info=True)
            self._failed = True
            self.findings = ()  # the earlier findings may be out of date
            return EVERY_SECONDS
        self._failed = False
        return EVERY_ILL_SECONDS if self.reasons() else EVERY_SECONDS

    def _run(self) -> None:
        pause = 0.0
        while not self._stop.wait(pause):
            pause = self.look()
