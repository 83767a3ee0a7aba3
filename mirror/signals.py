"""The signals that end a process, waited for by its first thread.

    signals.block()                   # before other threads start, which inherit it
    while (name := signals.wait(1.0)) is None:
        ...
    signals.unblock()                 # a second one then ends the process at once

No handler runs between two lines of code, and every wait on a lock may be as long as it likes.
"""

from __future__ import annotations

import signal
from typing import Final

SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT})


def block() -> None:
    """From now on they wait to be asked for."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def wait(seconds: float) -> str | None:
    """The name of one that comes within so many seconds, null where none does.

    CPython answers with a `siginfo` that nobody filled in where its wait is interrupted behind its
    deadline, as by SIGCONT after a stop, by a debugger or a profiler. That is none of these.
    """
    received = signal.sigtimedwait(SIGNALS, seconds)
    if received is None or received.si_signo not in SIGNALS:
        return None
    return signal.Signals(received.si_signo).name


def unblock() -> None:
    """From now on they end the process at once."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
