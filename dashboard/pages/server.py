"""The web server of a dashboard: uvicorn on our sockets, in its own event loop."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Callable
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from dashboard.hub import Hub
from dashboard.pages.punctual import Punctual
from mirror.base.errors import SettingsError
from mirror.runtime import serving
from mirror.runtime.telemetry import ALL_ADDRESSES
from mirror.settings import Settings

GRACE_SECONDS: Final = 3  # for answers under way
BACKLOG_CONNECTIONS: Final = 512
# A browser that takes nothing for this long is gone, even if its machine still answers (Linux).
STALLED_MS: Final = 20_000
_LOOK_SECONDS: Final = 0.2


class WebServer:
    """Serves `app`. `run` is the body of a thread."""

    def __init__(self, app: ASGIApp, hub: Hub, listening: list[socket.socket]) -> None:
        self._hub = hub
        self._listening = listening
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=Punctual,
                lifespan="off",
                log_config=None,
                log_level="critical",  # we log errors ourselves: a cut stream is not an error
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )

    def run(self, stopping: threading.Event, beat: Callable[[], None]) -> None:
        """Serve until `stopping` is set. `beat` is called as long as the event loop runs."""
        asyncio.run(self._serve(stopping, beat))

    async def _serve(self, stopping: threading.Event, beat: Callable[[], None]) -> None:
        self._hub.start(asyncio.get_running_loop())
        watching = asyncio.create_task(self._watch(stopping, beat))
        await self._server.serve(self._listening)
        watching.cancel()

    async def _watch(self, stopping: threading.Event, beat: Callable[[], None]) -> None:
        while not stopping.is_set():
            beat()
            await asyncio.sleep(_LOOK_SECONDS)
        self._hub.stop()
        self._server.should_exit = True


def listen(settings: Settings) -> list[socket.socket]:
    """Listening sockets. Raises `SettingsError` if the address cannot be used."""
    host, port = settings.dashboard_host, settings.dashboard_port
    # "All addresses" of IPv6 include those of IPv4, as for metrics.
    hosts = ALL_ADDRESSES if host == ALL_ADDRESSES[0] else (host,)
    try:
        listening = serving.listen(hosts, port, BACKLOG_CONNECTIONS)
    except OSError as error:
        if serving.is_of_another_machine(error):
            raise SettingsError(
                f"MIRROR_DASHBOARD_HOST is '{host}', which cannot be listened on "
                f"({error.strerror}): it takes an address of this machine"
            ) from error
        raise SettingsError(
            f"MIRROR_DASHBOARD_PORT is '{port}', which cannot be listened on at {host} "
            f"({error.strerror}): it takes a free port"
        ) from error
    if sys.platform == "linux":
        for socket_ in listening:
            socket_.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_MS)
    return listening
