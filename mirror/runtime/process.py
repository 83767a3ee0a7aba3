"""The life of a process, the same for all programs: start, work, ordered stop, exit code.

    def main(settings: Settings) -> int:
        return Process(settings).run(Janitor(settings))     # a `Program`

    main thread   waits for the start, then calls `Program.turn` until the process is to stop
    start         runs `Program.start`, which waits for services and starts the other threads
    signals       waits for the first signal (`mirror.runtime.signals`); a second ends it at once
    telemetry     `/metrics`, `/healthz` and `/livez`, and the checkup behind them

A program's threads are made by `Process.thread`. When one of them, or `turn`, raises, that is
logged once as `thread_failed`, the process stops in order and exits with `EXIT_FAILED`. An error of
`start` is raised by `run`: the entry (`mirror.runtime.command`) says it in one line and picks the
exit code. A signal during the start ends the process within `START_GRACE_SECONDS`, whatever it
waits for: a program takes nothing that others need back before its last wait is over.

The stop: `Program.stop` with the deadlines of the program, then up to `JOIN_SECONDS` for threads,
then telemetry. All of that takes less than `STOP_SECONDS`, which supervisors must grant.

Under supervisord the process beats (`mirror.supervision.heartbeat_file`) while it works and no
thread of it hangs (`mirror.base.thread_watch`, `Program.hung`). A program whose heart is not the
main thread (`beats = False`) calls `Process.beat` from the thread that is.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from prometheus_client import CollectorRegistry

from mirror import __version__
from mirror.base.errors import EXIT_DONE, EXIT_FAILED
from mirror.base.health import Health
from mirror.base.log import logger
from mirror.base.thread_watch import ThreadWatch
from mirror.checks.checkup import Checkup
from mirror.checks.finding import Finding
from mirror.runtime import signals
from mirror.runtime.startup import Startup
from mirror.runtime.telemetry import Telemetry
from mirror.settings import Settings
from mirror.supervision.heartbeat_file import EVERY_SECONDS, HeartbeatFile

#: What a whole stop may take, at the most; supervisors are told to wait a little longer.
STOP_SECONDS: Final = 25.0
#: What `Program.stop` may take.
PROGRAM_STOP_SECONDS: Final = 22.5
#: From the first signal on, for threads that end by `Process.stopping` alone.
JOIN_SECONDS: Final = 20.0
#: For a start that is behind its last wait: what it has begun is then stopped in order.
START_GRACE_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.1


class Program:
    """What one program has of its own. Subclasses override what they need.

    `name` is its name in logs; `beats` says whether the main thread beats for supervisord.
    """

    name = ""
    beats = True

    def start(self, process: Process) -> None:
        """Wait for services (`process.startup`), build, start threads (`process.thread`).

        Called by the thread `start`. Raises `MirrorError` where the process cannot start.
        """
        raise NotImplementedError

    def turn(self) -> float:
        """One round of the main thread's work; the seconds until the next."""
        return EVERY_SECONDS

    def health(self) -> Health:
        """How the program is, from memory, by any thread; `degraded` and `down` with reasons.

        A program that works on nothing it should work on is not `ok`.
        """
        return Health("ok")

    def hung(self) -> Iterable[str]:
        """Which of its threads hang, beside those that `Process.thread_watch` knows: it is
        `down`."""
        return ()

    def checks(self) -> Iterable[Finding]:
        """The checks of `mirror doctor` that are repeated for `/healthz`, by a thread of theirs."""
        return ()

    def stop(self) -> None:
        """End the work in order, within `PROGRAM_STOP_SECONDS`. Not called before `start` is done.

        Threads that watch `Process.stopping` need nothing more.
        """

    def details(self) -> dict[str, Any]:
        """Fields of the log event `started`."""
        return {}

    def summary(self) -> dict[str, Any]:
        """Fields of the log event `stopped`."""
        return {}


class Process:
    """One process. `stopping` is set once it is to end, whatever the reason."""

    def __init__(self, settings: Settings, **fields: str) -> None:
        """`fields` say which process this is, in the log events of its start and end."""
        self.settings = settings
        self.stopping = threading.Event()
        self.thread_watch = ThreadWatch()
        self.registry = CollectorRegistry()
        self.startup = Startup(settings)
        self._fields = fields
        self._program = Program()
        self._heartbeat_file = HeartbeatFile.of(os.environ)
        self._log = logger("process")
        self._threads: list[threading.Thread] = []
        self._telemetry: Telemetry | None = None
        self._started = False
        self._crashed = ""  # the thread that raised first
        self._failure: Exception | None = None

    def run(self, program: Program) -> int:
        """Live until a signal or a crash; the exit code. Raises what `program.start` raises.

        To be called by the first thread of the process, before it has others.
        """
        self._program = program
        self._log = log = logger(program.name)
        signals.watch(self._on_signal)
        log.info("starting", **self._fields, version=__version__)
        starter = threading.Thread(target=self._start, name="start", daemon=True)
        starter.start()
        while starter.is_alive() and not self.stopping.wait(_LOOK_SECONDS):
            pass
        starter.join(START_GRACE_SECONDS)
        if self._started and not self.stopping.is_set():
            log.info("started", **self._fields, **program.details())
        if self._started:
            self._guarded("main", self._work)
        self.stopping.set()
        self._end()
        if self._failure is not None:
            raise self._failure
        summary = program.summary() if self._started else {}
        log.info("stopped", **self._fields, **summary)
        return EXIT_FAILED if self._crashed else EXIT_DONE

    def thread(self, name: str, work: Callable[[], object]) -> threading.Thread:
        """Start a thread of the program. If `work` raises, the process ends."""
        thread = threading.Thread(target=self._guarded, args=(name, work), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def serve(self) -> None:
        """Serve `/metrics`, `/healthz` and `/livez` now, while `start` goes on. Safe to repeat.

        Raises `SettingsError` where an address or the port cannot be had.
        """
        if self._telemetry is None:
            self._telemetry = Telemetry(
                self.settings.metrics_port,
                self.registry,
                self.health,
                Checkup(self._program.checks),
                self.settings.metrics_hosts,
                self.hung,
            )

    def beat(self) -> None:
        """Tell supervisord's watchdog that the work goes on, unless a thread hangs."""
        if self.thread_watch.all_progress() and not tuple(self._program.hung()):
            self._heartbeat_file.touch()

    def health(self) -> Health:
        """The program's health; `down` where one of its threads hangs or has crashed."""
        hung = self.hung()
        own = self._program.health()
        return Health("down", (*hung, *own.reasons)) if hung else own

    def hung(self) -> tuple[str, ...]:
        """Which of its threads hang or have crashed: another process would help."""
        hung = (*self.thread_watch.reasons(), *self._program.hung())
        if self._crashed:
            hung = (f"the thread {self._crashed} has crashed: the process stops", *hung)
        return hung

    def _start(self) -> None:
        try:
            self._program.start(self)
            self.serve()
            self._started = True
        except Exception as error:  # noqa: BLE001 - raised again by `run`
            self._failure = error
            self.stopping.set()

    def _work(self) -> None:
        while not self.stopping.is_set():
            began = time.monotonic()
            pause = self._program.turn()
            if self._program.beats:
                self.beat()
            self.stopping.wait(max(0.0, pause - (time.monotonic() - began)))

    def _end(self) -> None:
        deadline = time.monotonic() + JOIN_SECONDS
        if self._started:
            self._guarded("main", self._program.stop)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._telemetry is not None:
            self._telemetry.close()

    def _guarded(self, name: str, work: Callable[[], object]) -> None:
        """Do `work`; without it the process is of no use, so that it ends and is restarted."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever it was, the process must not live on
            self._crashed = self._crashed or name
            self._log.error("thread_failed", thread=name, error=error, exc_info=True)
            self.stopping.set()

    def _on_signal(self, name: str) -> None:
        self._log.info("stopping", signal=name)
        self.stopping.set()
