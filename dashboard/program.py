"""A dashboard process: start-up checks, threads, signals.

    main thread   waits for what the page needs, then for signals
    web           uvicorn: pages and streams; beats while the other two turn
    kafka         reads the topics, makes a message a tick (`dashboard.reader.reader`)
    redis         reads the mirror's state once a second (`dashboard.reader.watch`)

The page is served while Kafka and Redis are awaited and says so; start-up fails with exit code 3
where they are still away after `MIRROR_STARTUP_TIMEOUT`. A signal ends streams and the process in
well under 25 seconds; the second one at once.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

import msgspec
import redis
import uvicorn
from prometheus_client import CollectorRegistry

from dashboard.pages.guard import check
from dashboard.pages.hub import Hub
from dashboard.pages.web import make_app
from dashboard.reader.punctual import Punctual
from dashboard.reader.reader import Reader
from dashboard.reader.watch import Watch
from mirror import __version__
from mirror.base import log
from mirror.base.errors import EXIT_DONE, EXIT_FAILED, MirrorError, SettingsError
from mirror.base.turns import Turns
from mirror.kafka.admin import check_topics
from mirror.redis.connect import connect, wait_for
from mirror.runtime import serving, signals
from mirror.runtime.metrics import Described, Numbers
from mirror.runtime.telemetry import ALL_ADDRESSES, Telemetry
from mirror.settings import Settings
from mirror.supervision.pulse import EVERY, Pulse

GRACE_SECONDS: Final = 3  # for answers under way
JOIN_SECONDS: Final = 10.0
BACKLOG_CONNECTIONS: Final = 512
# A browser that takes nothing for so long is gone, whatever its machine says (Linux).
STALLED_MS: Final = 20_000
_LOOK_SECONDS: Final = 0.2

METRICS: Final = {
    "streams": Described("mirror_dashboard_streams", "gauge", "Browsers that are connected."),
    "cut": Described(
        "mirror_dashboard_streams_cut_total", "counter", "Streams that did not keep up."
    ),
    "sent": Described("mirror_dashboard_messages_total", "counter", "Messages sent to streams."),
    "events": Described("mirror_dashboard_events_total", "counter", "Events, repeats dropped."),
    "repeats": Described("mirror_dashboard_repeats_total", "counter", "Events seen before."),
    "conversations": Described(
        "mirror_dashboard_conversations", "gauge", "Conversations with a live leg."
    ),
    "unreadable": Described(
        "mirror_dashboard_unreadable_total", "counter", "Records that hold no event."
    ),
}


def main(settings: Settings) -> int:
    """Run a dashboard until a signal ends it. Returns its exit code.

    Raises `MirrorError` where start-up fails (see `mirror.base.errors` for the exit code).
    """
    check(settings)
    log.configure("dashboard", settings.log_level)
    return Service(settings).run()


def read_names(settings: Settings) -> dict[str, str]:
    """What the page calls queues. Raises `SettingsError` where the file does not say."""
    path = settings.dashboard_names
    if path is None:
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(
            f"MIRROR_DASHBOARD_NAMES is {str(path)!r}, which cannot be read ({reason}): it takes "
            'the path of a JSON file {"<queue id>": "name"}'
        ) from error


class Figures:
    """What Prometheus is told of a dashboard; the keys of `METRICS`."""

    def __init__(self, hub: Hub, reader: Reader) -> None:
        self._hub = hub
        self._reader = reader

    def __getattr__(self, name: str) -> int:
        hub, reader = self._hub, self._reader
        known = {
            "streams": hub.streams,
            "cut": hub.cut,
            "sent": hub.sent,
            "events": reader.pulse.events,
            "repeats": reader.pulse.repeats,
            "conversations": reader.floor.live,
            "unreadable": reader.unreadable,
        }
        return known[name]


class Service:
    """One dashboard."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._log = log.logger("dashboard")
        self._stop = threading.Event()
        self._failure: MirrorError | None = None
        self._crashed = False
        self._hub = Hub()
        self._redis: redis.Redis = connect(settings)
        self._turns = turns = Turns()
        self._reader = Reader(
            settings, self._redis, self._hub, read_names(settings), turns.of("kafka")
        )
        self._watch = Watch(settings, self._redis, self._hub, self._reader, turns)
        app = make_app(settings, self._hub, self._reader, self._watch)
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=Punctual,
                lifespan="off",
                log_config=None,
                log_level="critical",  # its errors are ours to tell: a cut stream is none
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )

    def run(self) -> int:
        """Start, wait for a signal, stop."""
        self._log.info("starting", version=__version__)
        listening = listen(self.settings)
        registry = CollectorRegistry()
        registry.register(Numbers(METRICS, Figures(self._hub, self._reader)))
        # Before the first thread: signals are the main thread's alone.
        signals.block()
        telemetry = Telemetry(
            self.settings.metrics_port,
            registry,
            self._watch.health,
            hosts=self.settings.metrics_hosts,
        )
        threads = [
            self._thread("kafka", self._read),
            self._thread("redis", lambda: self._watch.run(self._stop)),
            self._thread("web", lambda: asyncio.run(self._serve(listening))),
        ]
        for thread in threads:
            thread.start()
        host, port = listening[0].getsockname()[:2]
        self._log.info("listening", host=host, port=port)
        self._wait()
        self._hub.stop()
        self._server.should_exit = True
        deadline = time.monotonic() + JOIN_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        telemetry.close()
        if self._failure is not None:
            raise self._failure
        self._log.info("stopped", sent=self._hub.sent)
        return EXIT_FAILED if self._crashed else EXIT_DONE

    def _read(self) -> None:
        """Wait for what the page needs, then read for as long as the process runs."""
        try:
            check_topics(self.settings, self.settings.startup_timeout)
            wait_for(self._redis, self.settings, self._stop)
        except MirrorError as error:
            self._failure = error
            self._stop.set()
            return
        self._log.info("started")
        self._reader.run(self._stop)

    async def _serve(self, listening: list[socket.socket]) -> None:
        self._hub.start(asyncio.get_running_loop())
        breath = asyncio.create_task(_breathe(self._turns))
        await self._server.serve(listening)
        breath.cancel()

    def _thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        def body() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - the process ends by it, and says so
                self._crashed = True
                self._log.error("thread_failed", part=name, error=error, exc_info=True)
                self._stop.set()

        return threading.Thread(target=body, name=name, daemon=True)

    def _wait(self) -> None:
        while not self._stop.is_set():
            name = signals.wait(_LOOK_SECONDS)
            if name is not None:
                self._log.info("stopping", signal=name)
                self._stop.set()
        signals.unblock()  # the second one ends the process at once


async def _breathe(turns: Turns) -> None:
    """Show that the loop which serves pages turns, and so do the threads behind it."""
    pulse = Pulse.of(os.environ)
    while True:
        if turns.all_turn():
            pulse.beat()
        await asyncio.sleep(EVERY)


def listen(settings: Settings) -> list[socket.socket]:
    """Sockets that listen. Raises `SettingsError` where the address cannot be had."""
    host, port = settings.dashboard_host, settings.dashboard_port
    # "All addresses" of IPv6 means those of IPv4 too, as for metrics.
    hosts = ALL_ADDRESSES if host == ALL_ADDRESSES[0] else (host,)
    try:
        listening = serving.listen(hosts, port, BACKLOG_CONNECTIONS)
    except OSError as error:
        raise SettingsError(
            f"MIRROR_DASHBOARD_PORT is '{port}', which cannot be listened on at {host} "
            f"({error.strerror}): it takes a free port, and MIRROR_DASHBOARD_HOST an address of "
            "this machine"
        ) from error
    if sys.platform == "linux":
        for one in listening:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_MS)
    return listening
