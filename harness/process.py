"""Runs processes for tests: their output goes to files, and every wait has a deadline.

`ManagedProcess` starts a program in its own session, waits until it is ready, signals it by its
process id, and ends all its processes. The output is kept in `<folder>/<name>.out` and `.err`, and
its tail is part of every failure.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

POLL_SECONDS = 0.05
STOP_SECONDS = 30.0
TAIL_LINES = 40
TAIL_BYTES = 64 * 1024
# Below the ports that kernels give to outgoing connections, above those that browsers refuse.
PORTS = range(11_000, 21_000)


class ServiceError(AssertionError):
    """A service that a test needs failed. The message has the tail of its log."""


def wait_until(
    predicate: Callable[[], object],
    timeout: float,
    goal: str,
    *,
    interval: float = POLL_SECONDS,
) -> None:
    """Poll `predicate` until it is true.

    Raises `ServiceError` naming `goal` after `timeout` seconds of monotonic time. It asks the
    predicate at least once, and once more after the time.
    """
    deadline = time.monotonic() + timeout
    while True:
        late = time.monotonic() >= deadline
        if predicate():
            return
        if late:
            raise ServiceError(f"{goal}: not within {timeout:g} s")
        time.sleep(interval)


def free_ports(count: int) -> list[int]:
    """Distinct loopback TCP ports that were free a moment ago.

    The kernel does not choose them, because an outgoing connection could get such a port before the
    server does. Parallel test runs (pytest-xdist) choose from ranges of their own.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    candidates = PORTS[worker % workers :: workers]
    with ExitStack() as stack:
        free: list[int] = []
        for port in random.sample(candidates, len(candidates)):
            held = stack.enter_context(socket.socket())
            with suppress(OSError):  # it is in use
                held.bind(("127.0.0.1", port))
                free.append(port)
            if len(free) == count:
                return free
    raise ServiceError(f"{count} ports are not free between {PORTS.start} and {PORTS.stop}")


def accepts_connections(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a process listens on this TCP port now."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0


def tail(path: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a file, or the reason why there are none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return "(no such file)"
    return "\n".join(text.splitlines()[-lines:]) or "(empty)"


class ManagedProcess:
    """A program, from start to end. A context manager that ends it.

    `argv` is run without a shell in `cwd` (default: the folder). `env` is added to the environment
    of the tests, where None removes a variable; `clean_env` starts from an empty one instead.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        folder: Path,
        *,
        name: str = "process",
        env: Mapping[str, str | None] | None = None,
        clean_env: bool = False,
        cwd: Path | None = None,
    ) -> None:
        self.argv = [str(argument) for argument in argv]
        self.name = name
        self.stdout_path = folder / f"{name}.out"
        self.stderr_path = folder / f"{name}.err"
        self._folder = folder
        self._cwd = cwd or folder
        merged: dict[str, str | None] = {} if clean_env else dict(os.environ)
        merged.update(env or {})
        self._env = {key: value for key, value in merged.items() if value is not None}
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def python_module(
        cls,
        module: str,
        *arguments: str,
        folder: Path,
        env: Mapping[str, str | None] | None = None,
        name: str | None = None,
    ) -> Self:
        """`python -m module arguments` under the interpreter of the tests."""
        argv = [sys.executable, "-m", module, *arguments]
        return cls(argv, folder, name=name or module.replace(".", "-"), env=env)

    @classmethod
    def mirror(
        cls,
        *arguments: str,
        folder: Path,
        env: Mapping[str, str | None] | None = None,
        name: str | None = None,
    ) -> Self:
        """`mirror arguments`: the console script installed beside the tests' interpreter."""
        argv = [str(Path(sys.executable).parent / "mirror"), *arguments]
        return cls(argv, folder, name=name or "-".join(["mirror", *arguments[:1]]), env=env)

    @property
    def pid(self) -> int:
        """The process id. It stays readable after the end."""
        return self._started().pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative: minus the signal that ended it."""
        return self._started().poll()

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def stdout(self) -> str:
        """Its whole output on stdout, over all its starts."""
        return self._read(self.stdout_path)

    @property
    def stderr(self) -> str:
        """Its whole output on stderr, over all its starts."""
        return self._read(self.stderr_path)

    def start(self) -> Self:
        """Start it, or start it again after its end. Its output is appended."""
        if self.running:
            raise ServiceError(f"{self.name} runs already")
        self._folder.mkdir(parents=True, exist_ok=True)
        with self.stdout_path.open("ab") as out, self.stderr_path.open("ab") as err:
            self._process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=self._cwd,
                env=self._env,
                start_new_session=True,  # a group of its own: grandchildren can be ended with it
            )
        return self

    def wait_for(self, predicate: Callable[[], object], timeout: float, goal: str) -> Self:
        """Wait until `predicate` is true. Fail at once if the process ends before."""

        def ready_or_ended() -> bool:
            return bool(predicate()) or not self.running

        try:
            wait_until(ready_or_ended, timeout, f"{self.name}: {goal}")
        except ServiceError as late:
            raise ServiceError(self.describe(str(late))) from None
        if not self.running and not predicate():
            message = f"{self.name} ended with {self.returncode} before: {goal}"
            raise ServiceError(self.describe(message))
        return self

    def wait(self, timeout: float) -> int:
        """Wait until it ends by itself, and return the exit code. Raises `ServiceError` if it still
        runs."""
        try:
            return self._started().wait(timeout)
        except subprocess.TimeoutExpired:
            message = f"{self.name} still runs after {timeout:g} s"
            raise ServiceError(self.describe(message)) from None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, not to its children. Nothing happens if it has ended."""
        if self.running:
            self._started().send_signal(number)

    def stop(self, timeout: float = STOP_SECONDS) -> int:
        """SIGTERM, then SIGKILL after `timeout` seconds; returns the exit code.

        All processes of its group are killed too, so that a test cannot leak servers.
        """
        process = self._started()
        self.send(signal.SIGCONT)  # a stopped process would not see the next signal
        self.send(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout)
        return self.kill()

    def kill(self) -> int:
        """Kill the process and its group by SIGKILL. Returns the exit code."""
        process = self._started()
        self.send(signal.SIGKILL)
        code = process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError, PermissionError):  # nobody left, or only zombies (macOS)
            os.killpg(process.pid, signal.SIGKILL)
        return code

    def describe(self, message: str) -> str:
        """The message with the command and the tails of its output."""
        return (
            f"{message}\n$ {' '.join(self.argv)}\n"
            f"--- tail of {self.stdout_path}\n{tail(self.stdout_path)}\n"
            f"--- tail of {self.stderr_path}\n{tail(self.stderr_path)}"
        )

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.stop()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ServiceError(f"{self.name} was never started")
        return self._process

    @staticmethod
    def _read(path: Path) -> str:
        try:
            return path.read_text(errors="replace")
        except FileNotFoundError:
            return ""
