"""A coordinator whose tracker can be made to hang: `python -m tests.integration.hanging`.

The real process, but for two things. At the file that `MIRROR_TEST_HANG` names, the tracker's
thread takes the file away and reads from a pipe into which nobody writes: a call without a
deadline. And a thread that does not turn is taken to hang after seconds, not minutes. One that is
started again finds no file, and works.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

import coordinator.program
import mirror.runtime.process
from console import run
from coordinator.tracker import Tracker
from mirror.base.thread_watch import ThreadWatch

PATIENCE_SECONDS: Final = 5.0


class Hanging(Tracker):
    """Waits for ever, once it is told to."""

    def _step(self, consumer: Any) -> None:
        told = Path(os.environ["MIRROR_TEST_HANG"])
        if told.exists():
            read_end, _write_end = os.pipe()
            told.unlink()
            os.read(read_end, 1)
        super()._step(consumer)


if __name__ == "__main__":
    vars(mirror.runtime.process).update(ThreadWatch=partial(ThreadWatch, PATIENCE_SECONDS))
    vars(coordinator.program).update(Tracker=Hanging)
    sys.exit(run(["coordinator"]))
