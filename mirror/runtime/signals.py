"""The signals that end a process in order, waited for by a thread of their own.

    signals.watch(stop)        # by the first thread, before other threads start
    ...                        # `stop("SIGTERM")` is called once, by the thread `signals`
                               # the second SIGTERM, SIGINT or SIGQUIT ends the process at once

No handler runs between two lines of code, and every wait on a lock may be as long as it likes. All
threads of the process have the signals blocked: they inherit that from the first.

Which they are: all that a supervisor, a terminal, a container runtime or a limit may send and that
would else end the process without draining. One that is ignored when the process starts (`nohup`)
stays ignored. Only those by which people and supervisors insist (`INSISTING`) end it at once the
second time: some supervisors send SIGTERM and SIGHUP together.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Final

SIGNALS: Final = frozenset(
    getattr(signal, name)
    for name in (
        "SIGTERM",
        "SIGINT",
        "SIGQUIT",
        "SIGHUP",
        "SIGALRM",
        "SIGUSR1",
        "SIGUSR2",
        "SIGXCPU",
        "SIGPWR",
    )
    if hasattr(signal, name)
)
INSISTING: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
_WATCH_SECONDS: Final = 3600.0
_heard: Final[set[str]] = set()


def block() -> None:
    """From now on they wait to be asked for."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _awaited())


def wait(seconds: float) -> str | None:
    """The name of one that comes within so many seconds, null where none does.

    CPython answers with a `siginfo` that nobody filled in where its wait is interrupted behind its
    deadline, as by SIGCONT after a stop, by a debugger or a profiler. That is none of these.
    """
    name = _wait(_awaited(), seconds)
    if name is not None:
        _heard.add(name)
    return name


def watch(stop: Callable[[str], None]) -> None:
    """Block them, and have a thread wait for them: it calls `stop` with the name of the first.

    The second that insists ends the process at once. To be called by the first thread.
    """
    block()
    _by_default()
    threading.Thread(target=_watch, args=(stop,), name="signals", daemon=True).start()


def _watch(stop: Callable[[str], None]) -> None:
    while (name := wait(_WATCH_SECONDS)) is None:
        pass
    stop(name)
    _insist()


def _insist() -> None:
    left = 1 if _heard & {number.name for number in INSISTING} else 2
    name = None
    while left:
        name = _wait(INSISTING, _WATCH_SECONDS)
        left -= name is not None
    assert name is not None
    signal.pthread_sigmask(signal.SIG_UNBLOCK, INSISTING)  # in this thread, which then takes it
    os.kill(os.getpid(), signal.Signals[name])


def _by_default() -> None:
    for number in INSISTING:
        signal.signal(number, signal.SIG_DFL)


def _wait(numbers: frozenset[signal.Signals], seconds: float) -> str | None:
    received = signal.sigtimedwait(numbers, seconds)
    if received is None or received.si_signo not in numbers:
        return None
    return signal.Signals(received.si_signo).name


def _awaited() -> frozenset[signal.Signals]:
    """A blocked signal is kept although it is ignored, so what is ignored is not blocked."""
    return frozenset(number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN)
