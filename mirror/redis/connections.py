"""Connections of redis-py that know which server they lead to.

Promises, for every command of every process:

- A server of the wrong kind (Redis Cluster, a Sentinel) is refused as soon as it is reached.
- If a server turns out to be the wrong one (`mirror.redis.answers`), all connections made until
  then are closed, and the command is tried once more on a fresh connection. So a fail-over behind
  an address that leaves old connections open costs one command, not the process.
- A connection that only reads notices a fail-over too: it asks its server for the role at least
  every `LOOK_SECONDS`, and is closed if a master has become a replica.
- The question is `HELLO`: servers answer it even when they refuse `PING` (MISCONF), and no rights
  of a user can forbid it.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Any, Final

import redis
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection

from mirror.base.log import logger
from mirror.redis.answers import Refused, WrongServer, code_of, meaning

LOOK_SECONDS: Final = 15.0
_REPLICAS: Final = frozenset({"replica", "slave"})
_log = logger("redis")


class Standing:
    """Shared by a client's connections: the first generation that is still trusted."""

    def __init__(self) -> None:
        self.generation = 0
        self._lock = threading.Lock()

    def leave(self, generation: int, reason: str) -> None:
        """Close all connections of that generation. Several callers may do so at once."""
        with self._lock:
            if generation != self.generation:
                return
            self.generation += 1
        _log.warning("redis_server_left", reason=reason)


class _Knowing:
    """Mixin of each kind of connection: knows the server's role."""

    _sock: Any
    _command_packer: Any

    def __init__(self, *args: Any, standing: Standing, **kwargs: Any) -> None:
        self._standing = standing
        self._generation = standing.generation
        self._greeted = False
        self._was_master = False
        self._look_at = math.inf
        # redis-py's hook in place of `on_connect`, in all releases.
        super().__init__(  # type: ignore[call-arg]  # that of the class mixed with
            *args, redis_connect_func=self._greet, **kwargs
        )

    def _greet(self, _connection: object) -> None:
        self._generation = self._standing.generation
        self._was_master = False
        self.on_connect()  # type: ignore[attr-defined]  # redis-py's, of the class mixed with
        self._look()
        self._greeted = True

    def _look(self) -> None:
        """Ask for the server's kind and role. Raises `Refused`, or `WrongServer` for a replica."""
        self._look_at = time.monotonic() + LOOK_SECONDS
        super().send_packed_command(  # type: ignore[misc]  # as above
            self._command_packer.pack("HELLO"), check_health=False
        )
        try:
            answer = super().read_response()  # type: ignore[misc]  # as above
        except redis.ResponseError as error:
            if meaning(error) is not None:
                raise
            self._look_at = math.inf  # a proxy before Redis does not know the command
            return
        found = _pairs(answer)
        if found.get("mode") == "cluster":
            raise Refused("CLUSTERDOWN")
        if found.get("mode") == "sentinel":
            raise Refused("SENTINEL")
        is_replica = found.get("role") in _REPLICAS
        if is_replica and self._was_master:
            raise self._wrong_server("READONLY", "it became a replica")
        self._was_master = not is_replica

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Like redis-py's, but only to a server that is not known as the wrong one."""
        # redis-py's own sending reopens a connection that is closed here.
        if self._greeted and self._sock is not None:
            if self._generation != self._standing.generation:
                self.disconnect()
            elif time.monotonic() >= self._look_at:
                try:
                    self._look()
                except (redis.ConnectionError, redis.TimeoutError):
                    self.disconnect()
        super().send_packed_command(command, check_health)  # type: ignore[misc]  # as above

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        """Like redis-py's; an answer that means "wrong server" also closes the connection."""
        try:
            return super().read_response(*args, **kwargs)  # type: ignore[misc]  # as above
        except redis.RedisError as error:
            cause = error.__context__ if isinstance(error.__context__, redis.RedisError) else None
            code = code_of(error) or (code_of(cause) if cause else "")
            found = meaning(error) or (meaning(cause) if cause else None)
            if found is None or found.drops == "none":
                raise
            if found.drops == "all":
                raise self._wrong_server(code, str(error)) from error
            self.disconnect()
            raise

    def disconnect(self, *args: Any, **kwargs: Any) -> None:
        """Like redis-py's; the next connection looks at its server again."""
        self._greeted = False
        super().disconnect(*args, **kwargs)  # type: ignore[misc]  # as above

    def _wrong_server(self, code: str, text: str) -> WrongServer:
        self._standing.leave(self._generation, code)
        self.disconnect()
        return WrongServer(code, text)


class Plain(_Knowing, Connection):
    """By TCP."""


class Secure(_Knowing, SSLConnection):
    """By TLS."""


class Local(_Knowing, UnixDomainSocketConnection):
    """By a socket of this machine."""


class Watched(_Knowing, SentinelManagedConnection):
    """To the master that Sentinels name."""


class SecureWatched(_Knowing, SentinelManagedSSLConnection):
    """The same by TLS."""


def connection_class(scheme: str) -> type[Any]:
    """The class for a scheme of `REDIS_URL`."""
    return {
        "redis": Plain,
        "rediss": Secure,
        "unix": Local,
        "redis+sentinel": Watched,
        "rediss+sentinel": SecureWatched,
    }[scheme]


def _pairs(answer: Any) -> dict[str, str]:
    """`HELLO`'s answer as a dict: it is a list of names and values, or a map with RESP3."""
    if isinstance(answer, dict):
        return {str(name): str(value) for name, value in answer.items()}
    if not isinstance(answer, list):
        return {}
    return {str(name): str(value) for name, value in zip(answer[::2], answer[1::2], strict=False)}
