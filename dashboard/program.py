"""The dashboard's program: its web page, and the threads that read for it.

    web     uvicorn: pages and streams; beats (`dashboard.pages.server`)
    redis   reads the mirror's state, asks whether Kafka answers (`dashboard.reader.watch`)
    kafka   reads the topics, makes a message a tick (`dashboard.reader.reader`)
    past    reads what came earlier today, once (`dashboard.reader.past`)

The page is served while the start waits for Kafka and Redis, and says so. Start-up fails with exit
code 3 if they do not answer within `MIRROR_STARTUP_TIMEOUT`.
"""

from __future__ import annotations

from collections.abc import Iterator

from dashboard.hub import Hub
from dashboard.metrics import Metrics
from dashboard.pages.guard import check
from dashboard.pages.server import WebServer, listen
from dashboard.pages.web import make_app
from dashboard.reader.past import Past
from dashboard.reader.reader import Reader
from dashboard.reader.watch import Watch
from mirror.base.health import Health
from mirror.base.log import logger
from mirror.checks.finding import Finding, good
from mirror.checks.growth import growth_of
from mirror.checks.redis import check_redis
from mirror.redis.connect import connect
from mirror.runtime.process import Process, Program
from mirror.settings import Settings


def main(settings: Settings) -> int:
    """Run a dashboard until a signal ends it. Returns its exit code.

    Raises `MirrorError` if start-up fails (see `mirror.base.errors` for the exit code).
    """
    check(settings)
    return Process(settings).run(Dashboard(settings))


class Dashboard(Program):
    """One dashboard."""

    name = "dashboard"
    beats = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._growth = growth_of(settings)
        self._hub = Hub()

    def start(self, process: Process) -> None:
        """Serve the page, wait for Kafka and Redis, then read."""
        settings, thread_watch, stopping = self._settings, process.thread_watch, process.stopping
        client = connect(settings)
        self._reader = reader = Reader(settings, client, self._hub, thread_watch.of("kafka"))
        self._watch = Watch(settings, client, self._hub, reader, thread_watch.of("redis"))
        listening = listen(settings)
        app = make_app(settings, self._hub, reader, process.health)
        web = WebServer(app, self._hub, listening)
        Metrics(process.registry, self._hub, reader)
        process.serve()
        process.thread("redis", lambda: self._watch.run(stopping))
        process.thread("web", lambda: web.run(stopping, process.beat))
        host, port = listening[0].getsockname()[:2]
        logger("dashboard").info("listening", host=host, port=port)
        process.startup.kafka()
        process.startup.redis(client)
        process.thread("kafka", lambda: reader.run(stopping))
        past = Past(settings, reader, thread_watch.of("past"))
        process.thread("past", lambda: past.run(stopping))

    def health(self) -> Health:
        """A dashboard without Kafka or Redis is degraded, and still serves."""
        return Health.of(self._watch.reasons())

    def checks(self) -> Iterator[Finding]:
        """Checks of the topics that it reads."""
        yield from check_redis(self._settings)
        yield from self._growth.findings()
        opened = self._reader.opened
        if opened.topic:
            reason = f", folded: {opened.reason}" if opened.reason else ""
            yield good("kafka.projector", "the floor", f"opened from {opened.topic}{reason}")

    def summary(self) -> dict[str, int]:
        """Counts of its work, for the log."""
        return {"sent": self._hub.sent}
