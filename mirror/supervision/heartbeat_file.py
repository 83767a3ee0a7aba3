"""The heartbeat file: a process that supervisord runs touches it to show that it works.

    file = HeartbeatFile.of(os.environ)
    file.touch()       # from the thread that matters, every second, while the work goes on
    file.ended(2)      # the exit code, for the watchdog that restarts processes

`<MIRROR_RUN_DIR>/heartbeats/<process name>` holds the process id, and at the end the exit code.
Each beat sets the file's time, which needs no room on a full disk. The beat depends on no service,
so a process that waits for Redis or Kafka does not look hung. `mirror.base.thread_watch` judges the
process' other threads. `mirror/supervision/watchdog.py` reads the files. Without supervisord there
is no file: containers ask `/healthz`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

FOLDER: Final = "heartbeats"
EVERY_SECONDS: Final = 1.0  # between two beats, at least


class Heartbeat(msgspec.Struct, frozen=True):
    """A heartbeat: process id, time of the file (ns, only for comparison) and exit code.

    `exit_code` is None while the process runs, and if it ended without noting a code.
    """

    pid: int
    written: int
    exit_code: int | None = None


class HeartbeatFile:
    """The heartbeat file of this process."""

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Without a `path` nothing is written."""
        self._path = path
        self._clock = clock
        self._next = 0.0
        self._known = False  # whether the file is there and names this process

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> HeartbeatFile:
        """This process' file under supervisord; without supervisord, a file that does nothing."""
        folder, name = environ.get("MIRROR_RUN_DIR"), environ.get("SUPERVISOR_PROCESS_NAME")
        return cls(Path(folder) / FOLDER / name if folder and name else None)

    def touch(self) -> None:
        """Note that the work goes on. Does nothing within a second of the last beat."""
        now = self._clock()
        if self._path is None or now < self._next:
            return
        self._next = now + EVERY_SECONDS
        try:
            if self._known:
                os.utime(self._path)
                return
        except OSError:
            self._known = False  # the file was removed: write it again
        self._known = self._write(f"{os.getpid()}\n")

    def ended(self, exit_code: int) -> None:
        """Note the exit code of this process."""
        self._write(f"{os.getpid()} {exit_code}\n")

    def _write(self, text: str) -> bool:
        if self._path is None:
            return False
        fresh = self._path.with_name(f".{self._path.name}")
        try:
            self._path.parent.mkdir(exist_ok=True)
            fresh.write_text(text, encoding="ascii")
            fresh.replace(self._path)
        except OSError:
            # No reason to end a working process: without a file the watchdog does not judge it.
            return False
        return True


def read_heartbeat(run_dir: Path, name: str) -> Heartbeat | None:
    """The last heartbeat of the process `name`; None if there is none."""
    path = run_dir / FOLDER / name
    try:
        words = path.read_text(encoding="ascii").split()
        written = path.stat().st_mtime_ns
        pid, *code = (int(word) for word in words)
    except (OSError, ValueError):
        return None
    return Heartbeat(pid, written, code[0] if code else None)
