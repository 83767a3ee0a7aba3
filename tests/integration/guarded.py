"""A listener whose session is guarded: `python -m tests.integration.guarded`.

The real process, but for one thing: while the loop's thread lives, another thread that reads or
writes a datum of the session (not one of its methods by name alone) is told of on stderr as
`foreign access`, and fails.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

import listeners.program
from listeners.__main__ import listener
from listeners.channels.session import Session
from mirror.runtime.command import run

OWNER = "loop"


class Guarded(Session):
    """Belongs to the thread that runs the loop, from when it begins until it ends."""

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if not callable(found):
            _guard(name)
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        _guard(name)
        super().__setattr__(name, value)


def _guard(name: str) -> None:
    thread = threading.current_thread().name
    if thread != OWNER and any(living.name == OWNER for living in threading.enumerate()):
        sys.stderr.write(f"foreign access to {name} by {thread}\n")
        raise AssertionError(f"{thread} touches {name}")


if __name__ == "__main__":
    vars(listeners.program).update(Session=Guarded)
    sys.exit(run(listener, sys.argv[1:], "mirror listener"))
