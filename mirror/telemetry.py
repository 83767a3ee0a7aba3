"""`/metrics` and `/healthz` of a process, on `MIRROR_METRICS_PORT`.

Metrics are Prometheus' own: a process registers its collectors in one `CollectorRegistry` and hands
it here; what every process tells is added. Health is a function that the process gives; it is asked
at each request and must answer from memory. To it come the checks of `mirror doctor` that the
process repeats (`mirror.doctor.checkup`): what they find ill makes an `ok` process `degraded`.
`/healthz` answers 200 while `ok` or `degraded` (a degraded process does its work) and 503 when
`down`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Literal, Self, get_args
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app

from mirror import __version__, log
from mirror.errors import SettingsError
from mirror.metrics import BUILD, HEALTH, LOG_DROPPED, Numbers, States, gauge

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from mirror.doctor.checkup import Checkup
    from mirror.doctor.finding import Finding

Status = Literal["ok", "degraded", "down"]


class Health(msgspec.Struct, frozen=True):
    """How a process or the whole mirror is, and why it is not better."""

    health: Status
    reasons: tuple[str, ...] = ()

    @classmethod
    def of(cls, reasons: Iterable[str], hung: Iterable[str] = ()) -> Self:
        """`ok` without reasons, `degraded` with some, `down` where `hung` tells of threads too."""
        hung, reasons = tuple(hung), tuple(reasons)
        return cls("down" if hung else "degraded" if reasons else "ok", (*hung, *reasons))


class Page(msgspec.Struct, frozen=True):
    """What `/healthz` answers: `Health`, and what was checked, as `mirror doctor --json` has it."""

    health: Status
    reasons: tuple[str, ...]
    checks: tuple[Finding, ...]


class _LogFigures:
    """What Prometheus is told of the log."""

    @property
    def dropped(self) -> int:
        return log.dropped()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its parent's name
        """Scrapes are no events."""


class Telemetry:
    """The endpoint of one process; does nothing on port 0."""

    def __init__(
        self,
        port: int,
        registry: CollectorRegistry,
        health: Callable[[], Health],
        checkup: Checkup | None = None,
    ) -> None:
        """Listens at once. Raises `SettingsError` where the port is taken."""
        self._own_health = health
        self._checkup = checkup
        registry.register(States(HEALTH, self._states))
        gauge(BUILD, registry).labels(__version__).set(1)
        registry.register(Numbers({"dropped": LOG_DROPPED}, _LogFigures()))
        ProcessCollector(registry=registry)  # CPU, memory, files and start, by their usual names
        self._metrics = make_wsgi_app(registry)
        self._server: WSGIServer | None = None
        if port:
            try:
                self._server = make_server("", port, self._app, _Server, _Quiet)
            except OSError as error:
                raise SettingsError(
                    f"MIRROR_METRICS_PORT is '{port}', which cannot be listened on "
                    f"({error.strerror}): it takes a free port, another one for each process of "
                    "a host, or 0"
                ) from error
            threading.Thread(
                target=self._server.serve_forever, name="telemetry", daemon=True
            ).start()
            if checkup is not None:
                checkup.start()

    def _health(self) -> Health:
        """The worse of what the process knows of itself and what was checked."""
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
            self._server.shutdown()
            self._server.server_close()

    def _app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            pages: Iterable[bytes] = self._metrics(environ, start_response)
            return pages
        if path != "/healthz":
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"/metrics or /healthz\n"]
        health = self._health()
        status = "503 Service Unavailable" if health.health == "down" else "200 OK"
        start_response(status, [("Content-Type", "application/json")])
        checks = () if self._checkup is None else self._checkup.findings
        return [msgspec.json.encode(Page(health.health, health.reasons, checks))]
