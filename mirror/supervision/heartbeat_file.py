"""The heartbeat file: a process that supervisord runs touches it to show that it works.

    file = HeartbeatFile.of(os.environ)
    file.touch()       # from the thread that matters, every second, while the work goes on
    file.ended(2)      # with which exit code it ends, where that matters to who starts it again

`<MIRROR_RUN_DIR>/heartbeats/<process name>` holds the process id, and behind it the exit code once
there is one; each beat sets the file's time, which needs no room on a full disk. It depends on
nothing else, so that a process which waits for Redis or Kafka is not taken for one that hangs.
Whether the threads beside the one that beats do their part, `mirror.base.thread_watch` says.
`mirror/supervision/watchdog.py` reads the files. Elsewhere than under supervisord nothing is
written: containers ask `/healthz`.
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
    """What a file says: whose it is, when it was written (ns, only to be compared), how it ended.

    `exit_code` is None while the process lives, and for one that ended without a word.
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
        """That of a process of the supervisord that `environ` names; else one that does nothing."""
        folder, name = environ.get("MIRROR_RUN_DIR"), environ.get("SUPERVISOR_PROCESS_NAME")
        return cls(Path(folder) / FOLDER / name if folder and name else None)

    def touch(self) -> None:
        """Say that the work goes on; does nothing within a second of the last time."""
        now = self._clock()
        if self._path is None or now < self._next:
            return
        self._next = now + EVERY_SECONDS
        try:
            if self._known:
                os.utime(self._path)
                return
        except OSError:
            self._known = False  # it was taken away: written anew
        self._known = self._write(f"{os.getpid()}\n")

    def ended(self, exit_code: int) -> None:
        """Say with which exit code this process ends."""
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
            # Not a reason to end a process that works: without a file of its own it is not judged.
            return False
        return True


def read_heartbeat(run_dir: Path, name: str) -> Heartbeat | None:
    """What the process `name` said last; None where it never did."""
    path = run_dir / FOLDER / name
    try:
        words = path.read_text(encoding="ascii").split()
        written = path.stat().st_mtime_ns
        pid, *code = (int(word) for word in words)
    except (OSError, ValueError):
        return None
    return Heartbeat(pid, written, code[0] if code else None)
