"""The life of a process, the same for all programs: start, work, ordered stop, exit code.

    def main(settings: Settings) -> int:
        return Process(settings).run(Janitor(settings))     # a `Program`

    main thread   waits for the start, then calls `Program.turn` until the process must stop
    start         runs `Program.start`, which waits for services and starts the other threads
    signals       waits for signals: the first stops the process in order, a second at once
    telemetry     `/metrics`, `/healthz` and `/livez`, and the repeated checks of `mirror doctor`

`Process.thread` starts a program's threads. If one of them or `turn` raises, the process logs
`thread_failed` once, stops in order and exits with `EXIT_FAILED`. If `start` raises an error, `run`
raises the same error; `mirror.runtime.command` prints it in one line and chooses the exit code. A
signal during the start ends the process after at most `START_GRACE_SECONDS`, whatever the start
waits for. This is safe: until its last wait is over, a program holds nothing that it would have to
give back to other processes.

The stop: `Program.stop` with the program's deadlines, then threads are joined, then telemetry is
closed. The joins end `JOIN_SECONDS` after the stop began. The whole stop takes less than
`STOP_SECONDS`, and supervisors must give the process this time.

Under supervisord the process beats (`mirror.supervision.heartbeat_file`) while it works and none of
its threads hangs (`mirror.base.thread_watch`, `Program.hung`). If another thread than the main
thread does the program's central work (`beats = False`), that thread calls `Process.beat`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from prometheus_client import CollectorRegistry

from mirror import __version__
from mirror.base.errors import EXIT_DONE, EXIT_FAILED, SettingsError
from mirror.base.health import Health
from mirror.base.log import logger
from mirror.base.thread_watch import ThreadWatch
from mirror.checks.checkup import Checkup
from mirror.checks.finding import Finding
from mirror.fleet.waiting import WaitNote
from mirror.kafka.client import check_properties
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.runtime import signals
from mirror.runtime.startup import Startup
from mirror.runtime.telemetry import Telemetry
from mirror.settings import Settings
from mirror.supervision.heartbeat_file import EVERY_SECONDS, HeartbeatFile

#: The longest stop; supervisors are configured to wait a little longer.
STOP_SECONDS: Final = 25.0
#: The time for `Program.stop`.
PROGRAM_STOP_SECONDS: Final = 22.5
#: The time from the beginning of the stop in which threads must end.
JOIN_SECONDS: Final = 20.0
#: The time that a start may still take after a signal. If it ends in time, its parts are stopped in
#: order.
START_GRACE_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.1


class Program:
    """The parts of a process that differ between programs. Subclasses override them.

    `name` is its name in logs; `beats` says whether the main thread beats for supervisord,
    `transactional` whether it writes to Kafka by transactions.
    """

    name = ""
    beats = True
    transactional = False

    def start(self, process: Process) -> None:
        """Wait for services (`process.startup`), build, start threads (`process.thread`).

        Called by the thread `start`. Raises `MirrorError` if the process cannot start.
        """
        raise NotImplementedError

    def turn(self) -> float:
        """One round of the main thread's work. Returns the seconds until the next round."""
        return EVERY_SECONDS

    def health(self) -> Health:
        """The program's health, from memory, for any thread; `degraded` and `down` with reasons.

        A program that should work but does nothing is not `ok`.
        """
        return Health("ok")

    def hung(self) -> Iterable[str]:
        """The threads that hang, besides those that `Process.thread_watch` finds. If there is one,
        the process is `down`."""
        return ()

    def checks(self) -> Iterable[Finding]:
        """The checks of `mirror doctor` to repeat for `/healthz`, in a thread of their own."""
        return ()

    def stop(self) -> None:
        """End the work in order, within `PROGRAM_STOP_SECONDS`. Not called before `start` is done.

        Threads that watch `Process.stopping` need no call here.
        """

    def details(self) -> dict[str, Any]:
        """Fields of the log event `started`."""
        return {}

    def summary(self) -> dict[str, Any]:
        """Fields of the log event `stopped`."""
        return {}


class Process:
    """One process. `stopping` is set when the process must end, for any reason."""

    def __init__(self, settings: Settings, **fields: str) -> None:
        """`fields` identify the process in the log events of its start and end."""
        self.settings = settings
        self.stopping = threading.Event()
        self.thread_watch = ThreadWatch()
        self.registry = CollectorRegistry()
        self.startup = Startup(settings, waits=self._waits)
        self._fields = fields
        self._program = Program()
        self._wait_note: WaitNote | None = None
        self._heartbeat_file = HeartbeatFile.of(os.environ)
        self._log = logger("process")
        self._threads: list[threading.Thread] = []
        self._telemetry: Telemetry | None = None
        self._started = False
        self._waits_for = ""  # the last reason why the start waited
        self._crashed = ""  # the thread that raised first
        self._failure: Exception | None = None

    def run(self, program: Program) -> int:
        """Run until a signal or a crash. Returns the exit code. Raises errors of `program.start`.

        Raises `SettingsError` before that if no Kafka client can be made with the settings.

        Call it from the first thread of the process, before there are others.
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

        Raises `SettingsError` if an address or the port is not available.
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
        """Show the watchdog that the process works, unless a thread hangs."""
        if self.thread_watch.all_progress() and not tuple(self._program.hung()):
            self._heartbeat_file.touch()

    def health(self) -> Health:
        """The program's health; `down` if one of the process' threads hangs or has crashed, and not
        `ok` before the start is done."""
        hung = self.hung()
        own = self._program.health()
        starting = () if self._waits_for in own.reasons else self._starting()
        reasons = (*hung, *starting, *own.reasons)
        return Health("down", reasons) if hung or own.health == "down" else Health.of(reasons)

    def hung(self) -> tuple[str, ...]:
        """The threads that hang or have crashed, in words. If there is one, a restart helps."""
        hung = (*self.thread_watch.reasons(), *self._program.hung())
        if self._crashed:
            hung = (f"the thread {self._crashed} has crashed: the process stops", *hung)
        return hung

    def _starting(self) -> tuple[str, ...]:
        if self._started:
            return ()
        waits_for = self._waits_for
        return (f"the start waits: {waits_for}" if waits_for else "it is still starting",)

    def _start(self) -> None:
        try:
            program = self._program
            check_properties(self.settings, program.name, transactional=program.transactional)
            program.start(self)
            self.serve()
            self._started = True
        except Exception as error:  # noqa: BLE001 - raised again by `run`
            self._failure = error
            self.stopping.set()
        self._waits_no_more()

    def _waits(self, reason: str) -> None:
        """Note what the start waits for, here and in Redis.

        If no client can be made of REDIS_URL there is no note: programs that need Redis say why,
        and the others wait for Kafka.
        """
        settings = self.settings
        self._waits_for = reason
        if self._wait_note is None:
            try:
                client = connect(settings)
            except SettingsError:
                return
            self._wait_note = WaitNote(
                client,
                Keys(settings.namespace),
                program=self._program.name,
                host=settings.host,
                pid=os.getpid(),
            )
        self._wait_note.waits(reason)

    def _waits_no_more(self) -> None:
        if self._wait_note is not None:
            self._wait_note.ends()

    def _work(self) -> None:
        while not self.stopping.is_set():
            began = time.monotonic()
            pause = self._program.turn()
            if self._program.beats:
                self.beat()
            self.stopping.wait(max(0.0, pause - (time.monotonic() - began)))

    def _end(self) -> None:
        deadline = time.monotonic() + JOIN_SECONDS
        self._waits_no_more()
        if self._started:
            self._guarded("main", self._program.stop)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._telemetry is not None:
            self._telemetry.close()

    def _guarded(self, name: str, work: Callable[[], object]) -> None:
        """Do `work`. If it raises, the process stops; its supervisor starts it again."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever it was, the process must not live on
            self._crashed = self._crashed or name
            self._log.error("thread_failed", thread=name, error=error, exc_info=True)
            self.stopping.set()

    def _on_signal(self, name: str) -> None:
        self._log.info("stopping", signal=name)
        self.stopping.set()
