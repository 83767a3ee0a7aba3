"""Talks to a running supervisord over the Unix socket in its run directory.

`processes` asks how its processes are. `Supervisord` starts and stops them, and ends it.
"""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from xmlrpc.client import Error, Fault, ServerProxy, Transport

import msgspec

from mirror.base.errors import MirrorError

TIMEOUT_SECONDS: Final = 5.0
SOCKET: Final = "supervisor.sock"


class ProcessInfo(msgspec.Struct, frozen=True):
    """One process: its name in its group, state in supervisord's words, and why it is in it."""

    group: str
    name: str
    state: str
    pid: int
    exit_code: int
    description: str


class SupervisordSilent(MirrorError):
    """There is a socket, and nobody answers on it."""


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket, with a deadline."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(TIMEOUT_SECONDS)
            self.sock.connect(str(self._path))
        except OSError:
            self.close()
            raise


class _Transport(Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._made = _Connection(path)

    def make_connection(self, _host: Any) -> http.client.HTTPConnection:
        return self._made

    def close(self) -> None:
        self._made.close()


class Supervisord:
    """The supervisord of a run directory.

    Each method raises `SupervisordSilent`, and `MirrorError` where supervisord refuses.
    """

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / SOCKET

    @property
    def is_there(self) -> bool:
        """Whether its socket is: it runs, or was killed."""
        return self._path.exists()

    def pid(self) -> int:
        """Its process id."""
        return int(self._ask(lambda server: server.supervisor.getPID()))

    def processes(self) -> list[ProcessInfo]:
        """All its processes but this one."""
        found: Any = self._ask(lambda server: server.supervisor.getAllProcessInfo())
        return [
            ProcessInfo(
                group=process["group"],
                name=process["name"],
                state=process["statename"],
                pid=process["pid"],
                exit_code=process["exitstatus"],
                description=process["description"],
            )
            for process in found
            if process["pid"] != os.getpid()
        ]

    def stop(self, process: ProcessInfo) -> None:
        """Ask a process to stop. Nothing waits for it."""
        name = f"{process.group}:{process.name}"
        self._ask(lambda server: server.supervisor.stopProcess(name, False))

    def start(self, process: ProcessInfo) -> None:
        """Start a process that does not run. Nothing waits for it."""
        name = f"{process.group}:{process.name}"
        self._ask(lambda server: server.supervisor.startProcess(name, False))

    def shut_down(self) -> None:
        """Stop all processes in order, and then supervisord. Nothing waits for it."""
        self._ask(lambda server: server.supervisor.shutdown())

    def _ask(self, question: Callable[[ServerProxy], Any]) -> Any:
        try:
            with ServerProxy("http://localhost/RPC2", transport=_Transport(self._path)) as server:
                return question(server)
        except Fault as error:
            raise MirrorError(f"supervisord refuses: {error.faultString}") from error
        except (Error, OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise SupervisordSilent(f"no answer on {self._path} ({reason})") from error


def processes(run_dir: Path) -> list[ProcessInfo] | None:
    """All processes of the supervisord in `run_dir`; None where there is none.

    Raises `SupervisordSilent` where its socket is there and it does not answer.
    """
    supervisord = Supervisord(run_dir)
    return supervisord.processes() if supervisord.is_there else None
