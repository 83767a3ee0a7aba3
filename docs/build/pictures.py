"""The pictures of docs/dashboard.md: `python -m docs.build.pictures [FOLDER]`.

Runs a simulator, the mirror and its dashboard on a Redis and a Kafka of their own, and lets
Chromium look at the page, in both themes and on a phone. With a folder it writes there the page in
every state, also in those that are not fine: the mirror down, Redis away, Kafka away, never run.
Without one it writes the pictures of the documentation, to docs/images.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from harness.browser import DESKTOP, PHONE, Browser
from harness.dashboard import ROOT, Dashboard, dashboard
from harness.kafka import KafkaCluster
from harness.kafka_topics import create_topic
from harness.process import ManagedProcess, wait_until
from harness.redis import RedisServer
from harness.simulated import Simulated, simulated
from mirror.fleet.backfill import file_backfill
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.settings import load

IMAGES: Final = ROOT / "docs" / "images"
FILLING_SECONDS: Final = 30.0
SHOWN_SECONDS: Final = 2.0
AWAY_SECONDS: Final = 30.0
HOUR_MS: Final = 3_600_000
_OPTIONS: Final = (
    "--users",
    "120",
    "--queues",
    "8",
    "--rate",
    "4",
    "--speed",
    "2",
    "--no-autostart",
)


class Studio:
    """A running mirror and a browser; a context manager that ends both."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self.mirror: list[ManagedProcess] = []

    def __enter__(self) -> Studio:
        stack, folder = self._stack, self._folder
        self.redis = stack.enter_context(RedisServer(folder / "redis"))
        self.kafka = stack.enter_context(KafkaCluster(folder / "kafka"))
        servers = self.kafka.bootstrap_servers
        create_topic(servers, "genesys-interactions", partitions=4)
        create_topic(servers, "genesys-interactions.once", partitions=4)
        compacted = {"cleanup.policy": "compact"}
        create_topic(servers, "genesys-conversations", partitions=4, config=compacted)
        create_topic(servers, "genesys-interactions.dlq")
        self.org: Simulated = stack.enter_context(simulated(folder, *_OPTIONS))
        self.env = {
            **self.org.env,
            "REDIS_URL": self.redis.url,
            "KAFKA_BOOTSTRAP_SERVERS": servers,
            "MIRROR_SPOOL_DIR": str(folder / "spool"),
            "MIRROR_STARTUP_TIMEOUT": "60s",
            "MIRROR_TOPICS_PER_CHANNEL": "16",
            "PYTHONPATH": str(ROOT),
        }
        self.browser = stack.enter_context(Browser())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def page(self, name: str) -> Dashboard:
        """A dashboard that has read the past."""
        made = dashboard(self._folder, self.env, name)
        self._stack.enter_context(made.process)
        return made.until_listening().until_open()

    def mirror_on(self) -> None:
        """Start a coordinator, two listeners, a janitor and a projector, and wait until all is
        subscribed.
        """
        for module, host in (
            ("coordinator", "office"),
            ("listeners", "north"),
            ("listeners", "south"),
            ("janitor", "office"),
            ("projector", "office"),
        ):
            process = ManagedProcess.python_module(
                module,
                folder=self._folder,
                name=f"{module}-{host}",
                env=self.env | {"MIRROR_HOST": host},
            )
            self.mirror.append(self._stack.enter_context(process))
        wait_until(
            lambda: self.org.get("/_sim/stats")["subscriptions"] >= 2 * 128, 120, "subscriptions"
        )

    def fill(self) -> None:
        """Let conversations begin, and wait until there are many."""
        self.org.post("/_sim/control", {"action": "start"})
        time.sleep(FILLING_SECONDS)

    def read_again(self) -> None:
        """A stretch of the past is asked for by hand."""
        settings = load(self.env)
        until_ms = round(time.time() * 1000)
        with connect(settings) as client:
            keys = Keys(settings.namespace)
            queue = self.org.get("/api/v2/routing/queues")["entities"][0]["id"]
            file_backfill(client, keys, until_ms - HOUR_MS, until_ms, queues=(queue,))

    def shoot(
        self,
        page: Dashboard,
        view: str,
        path: Path,
        *,
        size: tuple[int, int] = DESKTOP,
        dark: bool = False,
        before: Callable[[Browser], object] | None = None,
    ) -> None:
        """One picture of a view."""
        self.browser.resize(size)
        self.browser.prefer(dark=dark)
        self.browser.open(f"{page.url}/#{view}")
        time.sleep(SHOWN_SECONDS)
        if before is not None:
            before(self.browser)
            time.sleep(SHOWN_SECONDS)
        else:
            self.browser.run("scrollTo(0, 0)")
        self.browser.shot(path)


def open_longest(browser: Browser) -> None:
    """Open the conversation of the list that has the most legs so far: one that is talked to."""
    browser.run(
        "const rows = [...document.querySelectorAll('#rows tr')];"
        "const held = rows.find((row) => row.textContent.includes('on hold'));"
        "(held ?? rows.at(-1)).querySelector('button').click()"
    )


def document(studio: Studio, folder: Path) -> None:
    """The pictures of the documentation."""
    page = studio.page("page")
    studio.mirror_on()
    for scenario in ("abandoned_call", "flowed_out_call"):
        studio.org.post("/_sim/control", {"action": "spawn", "scenario": scenario, "count": 6})
    studio.fill()
    studio.read_again()
    studio.shoot(page, "floor", folder / "dashboard-floor-light.png")
    studio.shoot(page, "floor", folder / "dashboard-floor-dark.png", dark=True)
    late = studio.page("late")
    studio.shoot(late, "mirror", folder / "dashboard-mirror-light.png")
    studio.shoot(late, "mirror", folder / "dashboard-mirror-dark.png", dark=True)
    studio.shoot(page, "floor", folder / "dashboard-timeline.png", before=open_longest)
    studio.shoot(page, "floor", folder / "dashboard-phone.png", size=PHONE)


def every_state(studio: Studio, folder: Path) -> None:
    """The page in every state, in both themes and on a phone."""
    tall, long_phone = (DESKTOP[0], 1500), (PHONE[0], 3200)
    page = studio.page("page")

    def all_of(state: str) -> None:
        for view in ("floor", "mirror"):
            studio.shoot(page, view, folder / f"{state}-{view}-light.png", size=tall)
            studio.shoot(page, view, folder / f"{state}-{view}-dark.png", size=tall, dark=True)
            studio.shoot(page, view, folder / f"{state}-{view}-phone.png", size=long_phone)

    all_of("never-ran")
    studio.mirror_on()
    all_of("empty")
    studio.fill()
    all_of("live")
    queue = studio.org.get("/api/v2/routing/queues")["entities"][0]["id"]
    studio.shoot(page, f"floor?queue={queue}", folder / "filtered.png", size=tall)
    studio.shoot(page, "floor?state=talking&page=2", folder / "second-page.png", size=tall)
    studio.shoot(page, "floor", folder / "timeline.png", before=open_longest)
    studio.shoot(page, "floor", folder / "timeline-phone.png", size=PHONE, before=open_longest)
    studio.redis.stop()
    time.sleep(AWAY_SECONDS)
    all_of("redis-away")
    studio.redis.start()
    time.sleep(AWAY_SECONDS)
    studio.kafka.brokers[0].kill()
    time.sleep(AWAY_SECONDS)
    all_of("kafka-away")
    studio.kafka.brokers[0].start()
    studio.kafka.wait_ready()
    for process in studio.mirror:
        process.kill()
    time.sleep(AWAY_SECONDS)
    all_of("mirror-down")


def main(arguments: list[str]) -> int:
    """Make the pictures."""
    with tempfile.TemporaryDirectory() as made, Studio(Path(made)) as studio:
        if arguments:
            every_state(studio, Path(arguments[0]))
        else:
            document(studio, IMAGES)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
