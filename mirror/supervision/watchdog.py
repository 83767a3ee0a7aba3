"""The watchdog of supervisord: kills hung processes, restarts those that supervisord gave up.

An event listener of supervisord (`[eventlistener:watchdog]`), called at each of its ticks. It
handles two cases that supervisord does not:

- A process runs but hangs. Each process touches a file every second while it works and none of its
  threads hangs (`mirror.supervision.heartbeat_file`, `mirror.base.thread_watch`). A process whose
  beats stop for `MIRROR_HANG_AFTER` (default `20s`) is killed; supervisord starts it again. The
  signal is SIGKILL, because a hung process does not react to SIGTERM. Acknowledged records are not
  lost.
- Supervisord gave up a process (FATAL) because it ended at once several times: it crashed, or what
  it needs was missing for longer than its `MIRROR_STARTUP_TIMEOUT`. The watchdog starts it again
  after `RETRY_FIRST_SECONDS`, then after twice the time each, up to `RETRY_LAST_SECONDS`, until it
  stays up. A process that ended with exit code 2 is left stopped: a setting is wrong, which no
  restart fixes.

A process is judged from its first beat on, by this process' monotonic clock: neither a wrong wall
clock nor a machine that slept makes it look dead. `judge` is the rule, pure; the rest is I/O.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TextIO
from xmlrpc.client import Error, ServerProxy

import msgspec
from supervisor import childutils
from supervisor.states import ProcessStates

from mirror.base import log
from mirror.base.errors import EXIT_USAGE
from mirror.settings.reader import SettingsReader
from mirror.settings.supervised import read_supervised
from mirror.supervision.heartbeat_file import Heartbeat, read_heartbeat

RETRY_FIRST_SECONDS: Final = 5.0
RETRY_LAST_SECONDS: Final = 60.0
# After such a long pause of its own, the watchdog cannot know which processes beat meanwhile.
ASLEEP_SECONDS: Final = 15.0


class Process(msgspec.Struct, frozen=True):
    """A process: its state in supervisord, and its own heartbeat."""

    group: str
    name: str
    state: int
    pid: int
    heartbeat: Heartbeat | None = None

    @property
    def full_name(self) -> str:
        """The name in the form of supervisorctl."""
        return f"{self.group}:{self.name}"


class Action(msgspec.Struct, frozen=True):
    """An action on a process, with the reason."""

    kind: Literal["kill", "start", "leave"]
    process: Process
    reason: str


class Memory(msgspec.Struct):
    """The watchdog's memory between two ticks, by process name."""

    looked_at: float = 0.0
    beats: dict[str, tuple[Heartbeat, float]] = {}
    retries: dict[str, tuple[float, float]] = {}  # → time of the next try, the pause before it
    left: set[str] = set()


def judge(processes: list[Process], memory: Memory, now: float, hang_after: float) -> list[Action]:
    """The actions at `now` (monotonic seconds). Changes `memory`."""
    slept = now - memory.looked_at > ASLEEP_SECONDS
    memory.looked_at = now
    if slept:
        memory.beats.clear()
    actions = []
    for process in processes:
        if process.state == ProcessStates.FATAL:
            actions += _fatal(process, memory, now)
        elif process.state == ProcessStates.RUNNING:
            actions += _running(process, memory, now, hang_after)
        else:
            memory.beats.pop(process.name, None)
    return actions


def _running(process: Process, memory: Memory, now: float, hang_after: float) -> list[Action]:
    memory.retries.pop(process.name, None)
    memory.left.discard(process.name)
    heartbeat = process.heartbeat
    if heartbeat is None or heartbeat.pid != process.pid:
        return []
    seen, since = memory.beats.get(process.name, (None, now))
    if heartbeat != seen:
        memory.beats[process.name] = (heartbeat, now)
        return []
    silent = now - since
    if silent < hang_after:
        return []
    del memory.beats[process.name]
    return [Action("kill", process, f"no beat for {silent:.0f} s")]


def _fatal(process: Process, memory: Memory, now: float) -> list[Action]:
    if process.heartbeat is not None and process.heartbeat.exit_code == EXIT_USAGE:
        if process.name in memory.left:
            return []
        memory.left.add(process.name)
        return [Action("leave", process, "exit code 2: a setting is wrong, see its log")]
    due, pause = memory.retries.get(process.name, (now + RETRY_FIRST_SECONDS, RETRY_FIRST_SECONDS))
    if now < due:
        memory.retries[process.name] = (due, pause)
        return []
    longer = min(2 * pause, RETRY_LAST_SECONDS)
    memory.retries[process.name] = (now + longer, longer)
    return [Action("start", process, f"supervisord gave it up; next try in {longer:.0f} s")]


class Watchdog:
    """Looks at supervisord's processes and does what `judge` says."""

    def __init__(
        self,
        rpc: Any,
        run_dir: Path,
        hang_after: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`rpc` is supervisord's XML-RPC interface."""
        self._rpc = rpc
        self._run_dir = run_dir
        self._hang_after = hang_after
        self._clock = clock
        self._memory = Memory(looked_at=clock())
        self._log = log.logger("watchdog")

    def look(self) -> None:
        """Look at all processes once. A refused action is logged and tried again next time."""
        try:
            found = self._rpc.supervisor.getAllProcessInfo()
        except (Error, OSError) as error:
            self._log.warning("supervisord_silent", error=error)
            return
        processes = [
            Process(
                info["group"],
                info["name"],
                info["state"],
                info["pid"],
                read_heartbeat(self._run_dir, info["name"]),
            )
            for info in found
            if info["pid"] != os.getpid()
        ]
        for action in judge(processes, self._memory, self._clock(), self._hang_after):
            self._do(action)

    def _do(self, action: Action) -> None:
        process = action.process
        try:
            if action.kind == "kill":
                self._log.warning(
                    "hung_process_killed", process_name=process.name, reason=action.reason
                )
                self._rpc.supervisor.signalProcess(process.full_name, int(signal.SIGKILL))
            elif action.kind == "start":
                self._log.info(
                    "fatal_process_restarted", process_name=process.name, reason=action.reason
                )
                self._rpc.supervisor.startProcess(process.full_name, False)
            else:
                self._log.warning(
                    "fatal_process_left_stopped", process_name=process.name, reason=action.reason
                )
        except (Error, OSError) as error:
            self._log.warning("supervisord_refused", process_name=process.name, error=error)


def serve(watchdog: Watchdog, stdin: TextIO, stdout: TextIO) -> None:
    """Answer supervisord's events until it goes away: each is a reason to look."""
    protocol = childutils.EventListenerProtocol()
    while True:
        protocol.ready(stdout)
        line = stdin.readline()
        if not line:
            return
        stdin.read(int(childutils.get_headers(line)["len"]))
        watchdog.look()
        protocol.ok(stdout)


def hang_after(environ: Mapping[str, str]) -> float:
    """Seconds of `MIRROR_HANG_AFTER`. Raises `SettingsError`."""
    return read_supervised(SettingsReader(environ)).hang_after


def main() -> int:
    """Run as supervisord's event listener."""
    environ = os.environ
    log.configure("watchdog")
    rpc: ServerProxy = childutils.getRPCInterface(environ)
    watchdog = Watchdog(rpc, Path(environ["MIRROR_RUN_DIR"]), hang_after(environ))
    serve(watchdog, sys.stdin, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
