"""The whole scene, held: `python -m bench.scene`.

50,000 users and 500 queues on 102 channels, a steady 8,000 frames/s in all, ten minutes, with
everything on this machine: simulator, Apache Kafka, Redis, two coordinators that track every
conversation, listeners, janitors. Every ten seconds a line; at the end what it comes to:

- whether the frames were taken as fast as they were sent (the simulator makes a conversation wait
  while a socket has a megabyte unsent, and counts that), and how long after them the last record
  came;
- whether the trackers kept up (records between them and the end of the topic);
- CPU and memory of each process.

The exit code is 1 if anything was left behind. Does not show latency; `bench.latency` does.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, TopicPartition

from bench.deployment import whole_mirror
from bench.report import conditions, cpu_seconds, memory_mb, middle, table
from harness.deployment import Deployment
from harness.process import wait_until

CLIENTS: Final = 6
LINE_SECONDS: Final = 10.0
DRAIN_SECONDS: Final = 60.0
SETTLED_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 0.1
LANES: Final = 8000
# How many records trackers may be behind: what they take in a second or two.
LAG_LIMIT: Final = 60_000
RATE_TOLERANCE: Final = 0.98


def main() -> int:
    """Run, and print lines and the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--queues", type=int, default=500)
    parser.add_argument("--listeners", type=int, default=2)
    parser.add_argument("--rate", type=float, default=8000.0, help="frames/s over all sockets")
    parser.add_argument("--seconds", type=float, default=600.0)
    options = parser.parse_args()
    print(conditions(), flush=True)
    simulator = ["--users", str(options.users), "--queues", str(options.queues)]
    with (
        tempfile.TemporaryDirectory() as folder,
        whole_mirror(
            Path(folder), simulator, {}, clients=CLIENTS, listeners=options.listeners
        ) as mirror,
        closing(Scene(mirror, options)) as scene,
    ):
        return scene.run()


class Scene:
    """One run on a mirror that is live."""

    def __init__(self, mirror: Deployment, options: argparse.Namespace) -> None:
        self.mirror, self.options = mirror, options
        servers = mirror.settings.kafka.properties["bootstrap.servers"]
        self.consumer = Consumer({"bootstrap.servers": servers, "group.id": "scene"})
        self.lags: list[int] = []
        self.rates: list[float] = []

    def close(self) -> None:
        """Let go of Kafka before it ends."""
        self.consumer.close()

    def run(self) -> int:
        """Load for as long as asked, then the reckoning; the exit code."""
        channels = self.mirror.document("status")
        live = [r for s in channels["shards"] for r in s["replicas"] if r["state"] == "live"]
        print(f"{len(live)} channels live; {self.options.rate:,.0f} frames/s", flush=True)
        cpu = {name: cpu_seconds(process.pid) for name, process in self.mirror.processes.items()}
        began = time.monotonic()
        order = {"action": "load", "load": self.options.rate, "load_lanes": LANES}
        self.mirror.control(**order)
        while time.monotonic() - began < self.options.seconds:
            self._line(time.monotonic() - began)
        self.mirror.control(action="unload")
        stopped = time.monotonic()
        load = self._load()
        drained = self._settled() - stopped
        wait_until(lambda: self._lag() == 0, DRAIN_SECONDS, "the trackers at the end")
        seconds = stopped - began
        rows = [
            (name, f"{(cpu_seconds(p.pid) - cpu[name]) / seconds:.0%}", f"{memory_mb(p.pid):.0f}")
            for name, p in self.mirror.processes.items()
        ]
        print(table(("process", "CPU", "RSS MB"), rows))
        return self._reckon(load, seconds, drained)

    def _line(self, second: float) -> None:
        before, began = self._load()["frames"], time.monotonic()
        time.sleep(LINE_SECONDS)
        load = self._load()
        self.rates.append((load["frames"] - before) / (time.monotonic() - began))
        self.lags.append(self._lag())
        print(
            f"{second + LINE_SECONDS:5.0f} s  {self.rates[-1]:7,.0f} frames/s  "
            f"{load['held']:6,} held  {self.lags[-1]:7,} records behind",
            flush=True,
        )

    def _reckon(self, load: dict[str, Any], seconds: float, drained: float) -> int:
        rate = load["frames"] / seconds
        records = sum(self._ends().values())
        kept_up = rate >= RATE_TOLERANCE * self.options.rate and max(self.lags) <= LAG_LIMIT
        rows = [
            ("frames sent", f"{load['frames']:,}"),
            ("frames/s", f"{rate:,.0f}"),
            ("conversations", f"{load['conversations']:,}"),
            ("records in Kafka", f"{records:,}"),
            ("conversations held up by a full socket", f"{load['held']:,}"),
            ("last record in Kafka after", f"{drained:.1f} s"),
            ("trackers behind, median and most", f"{middle(self.lags):,.0f}, {max(self.lags):,}"),
            ("kept up", "yes" if kept_up else "no"),
        ]
        print(table(("scene", ""), rows))
        return 0 if kept_up else 1

    def _load(self) -> dict[str, Any]:
        load: dict[str, Any] = self.mirror.stats()["load"]
        return load

    def _settled(self) -> float:
        """When the last record came, once none has come for a while."""
        count, since = -1, time.monotonic()
        while time.monotonic() - since < SETTLED_SECONDS:
            if (now := sum(self._ends().values())) != count:
                count, since = now, time.monotonic()
            time.sleep(LOOK_SECONDS)
        return since

    def _lag(self) -> int:
        """Records between what the trackers have folded into Redis and the end of the topic."""
        stored: Any = self.mirror.redis.hgetall(
            self.mirror.keys.offsets(self.mirror.settings.topic)
        )
        return sum(end - int(stored.get(str(p), 0)) for p, end in self._ends().items())

    def _ends(self) -> dict[int, int]:
        """The end offset of each partition."""
        topic = self.mirror.settings.topic
        return {
            number: self.consumer.get_watermark_offsets(TopicPartition(topic, number), 30.0)[1]
            for number in range(self.mirror.settings.partitions)
        }


if __name__ == "__main__":
    sys.exit(main())
