"""A disk that is slow holds up the spool's thread, and never the loop.

The database's commits, and the checkpoints in them, take half a second more each, and so does a
look at a damaged spool; the disk itself is the machine's. Kafka is real and goes away.

Not shown here: a kernel that holds a whole process up while it writes.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.kafka import KafkaCluster
from harness.kafka_topics import create_topic, read_topic
from listeners.publish import extent
from listeners.publish.spool import DATABASE
from tests.integration.test_listener_publisher import Driver, configure, event, first_seen

pytestmark = pytest.mark.alone

SLOW = 0.5  # seconds
LONGEST = 0.1
RATE = 0.005  # between two events


class Connection(sqlite3.Connection):
    """A database on a disk that takes its time: each statement that ends a transaction waits."""

    commits = 0

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            Connection.commits += 1
            time.sleep(SLOW)
        return super().execute(sql, *arguments)


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits take half a second, and so does the judgement on a damaged spool."""
    connect = sqlite3.connect

    def slowly(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return connect(*arguments, factory=Connection, **options)

    judge = extent.judge

    def judge_slowly(*arguments: Any) -> Any:
        time.sleep(SLOW)
        return judge(*arguments)

    Connection.commits = 0
    monkeypatch.setattr(sqlite3, "connect", slowly)
    monkeypatch.setattr(extent, "judge", judge_slowly)


class Watched(Driver):
    """A driver that measures its ticks, and sends all the while."""

    longest = 0.0
    sent = 0

    def run(self, done: Callable[[], bool], timeout: float = 60.0) -> None:
        """An event each few milliseconds, until `done`."""
        deadline = time.monotonic() + timeout
        while not done():
            assert time.monotonic() < deadline, f"{self.publisher.mode}: {self.counters}"
            began = time.monotonic()
            self.publisher.events([event(self.sent % 5, self.sent)])
            self.sent += 1
            self.publisher.tick(time.monotonic())
            self.longest = max(self.longest, time.monotonic() - began)
            time.sleep(RATE)


def for_seconds(seconds: float) -> Callable[[], bool]:
    """True when so much time has passed."""
    until = time.monotonic() + seconds
    return lambda: time.monotonic() > until


@pytest.mark.usefixtures("slow_disk")
def test_a_slow_disk_does_not_stop_the_loop(
    kafka_cluster_factory: Callable[[int], KafkaCluster], tmp_path: Path
) -> None:
    """Through an outage, a damaged spool and the way back: no tick takes a tenth of a second, what
    is not on disk is not told to be durable, and each conversation is whole and in order."""
    cluster = kafka_cluster_factory(1)
    topic = create_topic(cluster.bootstrap_servers, "events", partitions=3)
    letters = create_topic(cluster.bootstrap_servers, "letters")
    driver = Watched(configure(cluster.bootstrap_servers, topic, letters, tmp_path / "spool"))
    publisher = driver.publisher
    driver.until(lambda: publisher.mode == "direct")
    driver.run(for_seconds(2.0))
    cluster.brokers[0].pause()
    driver.run(lambda: driver.counters.spool_records > 200)
    driver.run(for_seconds(3.0))
    assert Connection.commits > 3
    late = time.monotonic() - publisher.durable_at()
    assert SLOW / 2 < late < 4 * SLOW + 1.0, "behind by what the disk takes, and not more"
    cluster.brokers[0].resume()
    driver.run(lambda: publisher.mode == "direct", timeout=40.0)
    driver.until(lambda: not publisher.pending)
    assert driver.longest < LONGEST
    assert driver.counters.lost == 0
    publisher.stop(5.0)
    seen = first_seen(read_topic(cluster.bootstrap_servers, topic))
    assert seen == {
        f"conversation-{number}": list(range(number, driver.sent, 5)) for number in range(5)
    }


@pytest.mark.usefixtures("slow_disk")
def test_a_damaged_spool_is_salvaged_beside_the_loop(tmp_path: Path) -> None:
    """Its file is cut while records wait: what is whole goes on, and no tick waits for it."""
    driver = Watched(configure("127.0.0.1:9", "events", "letters", tmp_path))
    driver.run(lambda: driver.counters.spool_records > 300)
    path = tmp_path / "listener-1" / DATABASE
    wal = path.with_name(f"{DATABASE}-wal")
    wal.write_bytes(wal.read_bytes()[:8192])
    driver.run(lambda: driver.counters.spools_damaged == 1)
    kept = driver.counters.spool_records
    driver.run(lambda: driver.counters.spool_records > kept + 100)
    assert driver.longest < LONGEST
    assert driver.publisher.losses
    driver.publisher.stop(1.0)
