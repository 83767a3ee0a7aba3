"""Runs a sandbox's supervisord, and ends everything with it: `python -m harness.guard FOLDER
ARGV…`.

    sandbox ──(a pipe on stdin)──▶ guard ──▶ supervisord ──▶ everything else

A sandbox may be killed, or its terminal closed, before it could stop anything. So it holds one end
of a pipe, and the guard notices when the pipe ends. All processes of supervisord are in the guard's
session. So the guard finds them even if supervisord itself was killed.

- SIGTERM ends supervisord in order, within `STOP_SECONDS`; a second one kills everything at once.
- The end of the pipe does the same. Then the guard also removes the sandbox's folder.
- At the end, the guard kills all processes that are left in the session. The exit code is
supervisord's.

It imports only the standard library, so that it starts first.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

# A sandbox has nothing worth keeping: a process that takes longer to end is killed.
STOP_SECONDS: Final = 7.0
KILL_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.1
_PR_SET_PDEATHSIG: Final = 1
KILLED: Final = 128 + signal.SIGKILL


class Guard:
    """A supervisord, and the requests for its end."""

    def __init__(self, command: list[str]) -> None:
        self.is_abandoned = False
        self._asked = 0
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask)
        self._supervisord = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  # no thread runs
        )

    def _ask(self, _number: int, _frame: object) -> None:
        self._asked += 1

    def run(self) -> int:
        """Wait for supervisord's end, and end it if that is requested."""
        supervisord, deadline = self._supervisord, None
        while supervisord.poll() is None:
            self._look()
            if deadline is None and (self._asked or self.is_abandoned):
                supervisord.terminate()
                deadline = time.monotonic() + STOP_SECONDS
            if self._asked > 1 or (deadline is not None and time.monotonic() > deadline):
                break
        kill_session()
        with suppress(subprocess.TimeoutExpired):
            return supervisord.wait(KILL_SECONDS)
        return KILLED

    def _look(self) -> None:
        """Wait a moment, and check whether the sandbox still lives."""
        if self.is_abandoned:
            time.sleep(_LOOK_SECONDS)
            return
        ready, _, _ = select.select([sys.stdin], [], [], _LOOK_SECONDS)
        if ready and not os.read(sys.stdin.fileno(), 1):
            self.is_abandoned = True


def kill_session() -> None:
    """Kill all other processes of this session."""
    until = time.monotonic() + KILL_SECONDS
    while left := session():
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > until:
            return
        time.sleep(_LOOK_SECONDS)


def session() -> list[int]:
    """The other processes of this session that live."""
    own = os.getsid(0)
    found = []
    for pid in _pids():
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == own and pid != os.getpid() and not _is_over(pid):
                found.append(pid)
    return found


def _pids() -> list[int]:
    """All processes of this machine."""
    if Path("/proc/self").exists():
        return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal()]
    listed = subprocess.run(["ps", "-A", "-o", "pid="], capture_output=True, text=True, check=False)
    return [int(pid) for pid in listed.stdout.split()]


def _is_over(pid: int) -> bool:
    """Whether the process has ended and only waits for its parent (a zombie)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "Z"


def _end_with_parent() -> None:
    """If the guard itself is killed, the kernel signals supervisord (Linux)."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def main() -> int:
    """Run and guard the command in the arguments."""
    folder, *command = sys.argv[1:]
    guard = Guard(command)
    code = guard.run()
    if guard.is_abandoned:
        shutil.rmtree(folder, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
