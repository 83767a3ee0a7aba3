"""Ends a process in order on a signal; a thread of its own waits for the signals.

    signals.watch(stop)        # by the first thread, before other threads start
    ...                        # `stop("SIGTERM")` is called once, by the thread `signals`
                               # the second SIGTERM, SIGINT or SIGQUIT ends the process at once

So no signal handler interrupts other code, and waits on locks may be long. All threads of the
process block the signals; they inherit the mask from the first thread.

The signals are those that a supervisor, a terminal, a container runtime or a limit may send, and
that would otherwise end the process without draining: all whose default is to end it, but for those
of faults. Some images are stopped by SIGQUIT or SIGRTMIN+3. A signal that is ignored when the
process starts (`nohup`) stays ignored, and a signal that C code handled before Python started is
left to it. A profiler in the process must use another signal than these. Only the second of the
signals by which people and supervisors insist (`INSISTING`) ends the process at once: some
supervisors send SIGTERM and SIGHUP together.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Final

_REAL_TIME: Final = (
    range(signal.SIGRTMIN, signal.SIGRTMAX + 1) if hasattr(signal, "SIGRTMIN") else range(0)
)
SIGNALS: Final[frozenset[int]] = frozenset(_REAL_TIME) | frozenset(
    getattr(signal, name)
    for name in (
        "SIGTERM",
        "SIGINT",
        "SIGQUIT",
        "SIGHUP",
        "SIGALRM",
        "SIGUSR1",
        "SIGUSR2",
        "SIGVTALRM",
        "SIGPROF",
        "SIGIO",
        "SIGXCPU",
        "SIGSTKFLT",
        "SIGPWR",
    )
    if hasattr(signal, name)
)
INSISTING: Final[frozenset[int]] = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
_WATCH_SECONDS: Final = 3600.0
_heard: Final[set[str]] = set()


def name_of(number: int) -> str:
    """`SIGTERM`, `SIGRTMIN+3`."""
    if number in _REAL_TIME[1:]:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"
    return signal.Signals(number).name


def block() -> None:
    """Block the signals: from now on they stay pending until `wait` or `watch`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _awaited())


def wait(seconds: float) -> str | None:
    """The name of a signal that comes within `seconds`, None if none comes.

    If the wait is interrupted after its deadline (by SIGCONT after a stop, a debugger or a
    profiler), CPython returns an uninitialised `siginfo`. That is no signal.
    """
    name = _wait(_awaited(), seconds)
    if name is not None:
        _heard.add(name)
    return name


def watch(stop: Callable[[str], None]) -> None:
    """Block the signals and start a thread that calls `stop` with the first signal's name.

    The second insisting signal ends the process at once. Call it from the first thread.
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
    left = 1 if _heard & set(map(name_of, INSISTING)) else 2
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


def _wait(numbers: frozenset[int], seconds: float) -> str | None:
    received = signal.sigtimedwait(numbers, seconds)
    if received is None or received.si_signo not in numbers:
        return None
    return name_of(received.si_signo)


def _awaited() -> frozenset[int]:
    """The signals to block, without ignored ones: a blocked signal is kept although ignored.

    `None` stands for a handler that Python did not install.
    """
    left = {signal.SIG_IGN, None}
    return frozenset(number for number in SIGNALS if signal.getsignal(number) not in left)
