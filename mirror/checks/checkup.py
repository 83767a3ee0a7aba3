"""Repeats checks of `mirror doctor` while a process runs, so that `/healthz` shows them too.

A check may wait for a service that does not answer, and probes ask for health often. So the checks
run in a thread of their own, and `/healthz` answers with the last findings from memory. A round
that fails or hangs is a finding too (`checkup`), because a check without a result is not `ok`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from mirror.base import log
from mirror.checks.finding import Finding, bad

EVERY_SECONDS: Final = 60.0
#: The interval while a check fails: a fixed problem should not be shown for another minute.
EVERY_ILL_SECONDS: Final = 10.0
#: Far longer than a pause and a round that waits for every service.
OLD_SECONDS: Final = 300.0


RESTART: Final = (
    "see whether Redis, Kafka and the disk answer (mirror doctor), then restart the process"
)
FIRST: Final = bad(
    "checkup", "checks", "the first round has not ended yet", f"if that lasts, {RESTART}"
)
REPORT: Final = "report checkup_failed of the log: it is an error of the mirror"


class Checkup:
    """The findings of some checks, about a minute old, or with the finding that they are older."""

    def __init__(
        self,
        checks: Callable[[], Iterable[Finding]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._found: tuple[Finding, ...] = ()
        self._checks = checks
        self._clock = clock
        self._ended = clock()  # when the last round ended
        self._log = log.logger("checkup")
        self._failed = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkup", daemon=True)

    def start(self) -> None:
        """Check at once, then repeat until `stop`. `findings` says so while there is no round."""
        self._found = self._found or (FIRST,)
        self._ended = self._clock()
        self._thread.start()

    def stop(self) -> None:
        """Begin no further round. Does not wait for a round that hangs on a dead service."""
        self._stop.set()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of the last round, or that there was none yet."""
        age = self._clock() - self._ended
        if age <= OLD_SECONDS or not self._thread.is_alive():
            return self._found
        detail = f"no round of checks has ended for {age:.0f} s: one hangs, the findings are old"
        return (*self._found, bad("checkup", "checks", detail, RESTART))

    def reasons(self) -> tuple[str, ...]:
        """The problems that an operator must fix, one line each."""
        return tuple(
            f"{finding.check}: {finding.subject}: {finding.detail}"
            for finding in self.findings
            if not finding.ok
        )

    def look(self) -> float:
        """Run one round. Returns for how many seconds its findings are valid."""
        found: list[Finding] = []
        failed = False
        try:
            found.extend(self._checks())
        except Exception as error:  # noqa: BLE001 - a check that fails must not end the process
            failed = True
            if not self._failed:
                self._log.error("checkup_failed", error=error, exc_info=True)
            detail = (
                f"a check ended with {type(error).__name__}: neither its result nor those of the "
                "checks after it are known"
            )
            found.append(bad("checkup", "checks", detail, REPORT))
        self._failed = failed
        self._found, self._ended = tuple(found), self._clock()
        return EVERY_ILL_SECONDS if self.reasons() else EVERY_SECONDS

    def _run(self) -> None:
        pause = 0.0
        while not self._stop.wait(pause):
            pause = self.look()
