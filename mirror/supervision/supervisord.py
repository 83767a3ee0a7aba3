"""Asks a running supervisord about its processes, over the Unix socket in its run directory."""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from xmlrpc.client import Error, ServerProxy, Transport

import msgspec

from mirror.base.errors import MirrorError
from mirror.settings import value

TIMEOUT: Final = 5.0
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
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(TIMEOUT)
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


def run_directory(environ: Mapping[str, str]) -> Path:
    """Where the supervisord of `mirror up` has its socket: `MIRROR_RUN_DIR`, or the default."""
    if given := value(environ, "MIRROR_RUN_DIR"):
        return Path(given)
    return state_directory(environ) / "run"


def state_directory(environ: Mapping[str, str]) -> Path:
    """Where the mirror keeps its state for this user, where nothing else is set."""
    state = environ.get("XDG_STATE_HOME") or f"{environ.get('HOME', '/var/lib')}/.local/state"
    return Path(state) / "interaction-mirror"


def processes(run_dir: Path) -> list[ProcessInfo] | None:
    """All processes of the supervisord in `run_dir`; None where there is none.

    Raises `SupervisordSilent` where its socket is there and it does not answer.
    """
    path = run_dir / SOCKET
    if not path.exists():
        return None
    try:
        with ServerProxy("http://localhost/RPC2", transport=_Transport(path)) as server:
            found: Any = server.supervisor.getAllProcessInfo()
    except (Error, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise SupervisordSilent(f"no answer on {path} ({reason})") from error
    return [
        ProcessInfo(
            group=one["group"],
            name=one["name"],
            state=one["statename"],
            pid=one["pid"],
            exit_code=one["exitstatus"],
            description=one["description"],
        )
        for one in found
        if one["pid"] != os.getpid()
    ]
