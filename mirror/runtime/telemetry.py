"""`/metrics`, `/healthz` and `/livez` of a process, on `MIRROR_METRICS_PORT`.

Metrics use Prometheus' client: a process passes a `CollectorRegistry` with its collectors, and the
metrics of all processes are added. Health is a function of the process; it is called at each
request and must answer from memory. The repeated checks of `mirror doctor`
(`mirror.checks.checkup`) are added: a problem makes an `ok` process `degraded`. `/healthz` answers
200 while `ok` or `degraded` (a degraded process does its work) and 503 when `down`. `/livez`
answers 503 only if a restart would help: a thread hangs or has crashed. A process that is `down`
because it must not work (a projector with uneven topics) is still live. The server
(`mirror.runtime.serving`) uses one thread and few descriptors, however many clients connect.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec
from prometheus_client import (
    CollectorRegistry,
    ProcessCollector,
    disable_created_metrics,
    make_wsgi_app,
)

from mirror import __version__
from mirror.base import log
from mirror.base.errors import SettingsError
from mirror.base.health import Health, Status
from mirror.runtime.metrics import BUILD, HEALTH, LOG_DROPPED, Numbers, States, gauge
from mirror.runtime.serving import Answer, Request, Server, is_of_another_machine, listen

if TYPE_CHECKING:
    from mirror.checks.checkup import Checkup
    from mirror.checks.finding import Finding

ALL_ADDRESSES: Final = ("::", "0.0.0.0")  # noqa: S104 - what a platform probes


class Page(msgspec.Struct, frozen=True):
    """The answer of `/healthz`: `Health`, and the checks in the form of `mirror doctor --json`."""

    health: Status
    reasons: tuple[str, ...]
    checks: tuple[Finding, ...]


class _LogFigures:
    """The log's counters for Prometheus."""

    @property
    def dropped(self) -> int:
        return log.dropped()


class Telemetry:
    """The endpoint of one process; does nothing on port 0."""

    def __init__(
        self,
        port: int,
        registry: CollectorRegistry,
        health: Callable[[], Health],
        checkup: Checkup | None = None,
        hosts: Iterable[str] = ALL_ADDRESSES,
        hung: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        """Listens at once. `hung` returns the threads that hang or have crashed, from memory.

        Raises `SettingsError` if an address or the port is not available.
        """
        self._own_health = health
        self._hung = hung
        self._checkup = checkup
        registry.register(States(HEALTH, self._states))
        gauge(BUILD, registry).labels(__version__).set(1)
        registry.register(Numbers({"dropped": LOG_DROPPED}, _LogFigures()))
        ProcessCollector(registry=registry)  # CPU, memory, files and start, by their usual names
        # Otherwise each counter has a series more, which docs/metrics.md does not know.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it so
        self._metrics = make_wsgi_app(registry)
        self._server: Server | None = None
        if port:
            self._server = Server(listen_for_metrics(tuple(hosts), port), self._answer)
            self._server.start()
            if checkup is not None:
                checkup.start()

    def _health(self) -> Health:
        """The process' own health and that of the checks, whichever is worse."""
        own = self._own_health()
        found = () if self._checkup is None else self._checkup.reasons()
        if not found:
            return own
        return Health("degraded" if own.health == "ok" else own.health, (*own.reasons, *found))

    def _states(self) -> dict[str, int]:
        now = self._health().health
        return {state: int(state == now) for state in get_args(Status)}

    def close(self) -> None:
        """Stop listening."""
        if self._checkup is not None:
            self._checkup.stop()
        if self._server is not None:
            self._server.close()

    def _answer(self, request: Request) -> Answer:
        if request.path == "/metrics":
            return self._metrics_answer(request)
        if request.path == "/livez":
            return self._live_answer()
        if request.path != "/healthz":
            return Answer(HTTPStatus.NOT_FOUND, b"/metrics, /healthz or /livez\n")
        health = self._health()
        is_down = health.health == "down"
        checks = () if self._checkup is None else self._checkup.findings
        return Answer(
            HTTPStatus.SERVICE_UNAVAILABLE if is_down else HTTPStatus.OK,
            msgspec.json.encode(Page(health.health, health.reasons, checks)),
            (("Content-Type", "application/json"),),
        )

    def _live_answer(self) -> Answer:
        hung = tuple(self._hung())
        status = HTTPStatus.SERVICE_UNAVAILABLE if hung else HTTPStatus.OK
        return Answer(status, ("\n".join(hung) or "lives").encode() + b"\n")

    def _metrics_answer(self, request: Request) -> Answer:
        """The same answer as Prometheus' own WSGI application: its formats, `name[]`, gzip."""
        started: list[Any] = []
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": request.path,
            "QUERY_STRING": request.query,
            "HTTP_ACCEPT": request.headers.get("accept", ""),
            "HTTP_ACCEPT_ENCODING": request.headers.get("accept-encoding", ""),
        }
        body = b"".join(self._metrics(environ, lambda *given: started.extend(given)))
        return Answer(int(started[0].split()[0]), body, tuple(started[1]))


def listen_for_metrics(hosts: tuple[str, ...], port: int) -> list[socket.socket]:
    """Listening sockets. Raises `SettingsError` if an address is not available."""
    try:
        return listen(hosts, port)
    except OSError as error:
        if is_of_another_machine(error):
            raise SettingsError(
                f"MIRROR_METRICS_HOST is '{','.join(hosts)}', which cannot be listened on "
                f"({error.strerror}): it takes addresses of this machine"
            ) from error
        raise SettingsError(
            f"MIRROR_METRICS_PORT is '{port}', which cannot be listened on at {', '.join(hosts)} "
            f"({error.strerror}): it takes a free port, another one for each process of a host, "
            "or 0"
        ) from error
