"""A whole mirror for a measurement: simulator, Apache Kafka, Redis, and the processes around them.

Everything runs on loopback in a folder of its own and ends with the block. Settings that a
measurement shortens (so that hours fit into minutes) are its own to name and to tell.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import redis

from harness.oracle import Truth
from mirror.conversation.event import Event
from mirror.fleet.status import read
from mirror.kafka.admin import ensure_topics
from mirror.kafka.record import EventReader
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.settings import Settings, load
from tests.integration.simulator_support import Simulated, simulated
from tests.services.kafka import KafkaCluster, read_topic
from tests.services.process import ManagedProcess, free_ports, wait_until
from tests.services.redis import RedisServer

ROOT: Final = Path(__file__).parents[1]
LEDGER_PAGE: Final = 10_000
LIVE_SECONDS: Final = 90.0
READ_SECONDS: Final = 180.0
SCRAPE_SECONDS: Final = 10.0


@dataclass
class House:
    """What runs, and how to look at it."""

    sim: Simulated
    env: dict[str, str]
    settings: Settings
    client: redis.Redis
    processes: dict[str, ManagedProcess] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)  # of `/metrics`, by process
    broker: KafkaCluster | None = None

    @property
    def kafka(self) -> KafkaCluster:
        """The broker, where it is this house's own."""
        assert self.broker is not None
        return self.broker

    @property
    def keys(self) -> Keys:
        """The namespace's keys."""
        return Keys(self.settings.namespace)

    def control(self, **fields: Any) -> dict[str, Any]:
        """Tell the simulator something."""
        body: dict[str, Any] = self.sim.post("/_sim/control", fields)
        return body

    def stats(self) -> dict[str, Any]:
        """The simulator's figures."""
        body: dict[str, Any] = self.sim.get("/_sim/stats")
        return body

    def ledger(self) -> list[Truth]:
        """Everything that truly happened."""
        return msgspec.convert(self.raw_ledger(), list[Truth])

    def raw_ledger(self) -> list[dict[str, Any]]:
        """The same with all fields of the simulator."""
        records: list[dict[str, Any]] = []
        while True:
            since = records[-1]["seq"] if records else 0
            page = self.sim.get(f"/_sim/ledger?since_seq={since}&limit={LEDGER_PAGE}")
            records += page["records"]
            if len(page["records"]) < LEDGER_PAGE:
                return records

    def events(self) -> list[Event]:
        """All that is on the topic."""
        reader = EventReader()
        servers = self.settings.kafka.properties["bootstrap.servers"]
        records = read_topic(servers, self.settings.topic, timeout=READ_SECONDS)
        return [reader.decode(record.value(), record.headers()) for record in records]

    def metrics(self, name: str) -> dict[str, float]:
        """What a process tells Prometheus: name with labels → value."""
        url = f"http://127.0.0.1:{self.ports[name]}/metrics"
        with urllib.request.urlopen(url, timeout=SCRAPE_SECONDS) as answer:
            text = answer.read().decode()
        lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {key: float(value) for key, _, value in lines}

    def until_live(self) -> None:
        """Wait until every seat has a live channel."""

        def live() -> bool:
            found = read(self.client, self.settings)
            return found.health == "ok" and bool(found.shards)

        wait_until(live, LIVE_SECONDS, "every seat has a live channel")

    def logged(self, room: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """(process, line) of all log lines of one room's processes."""
        for name, process in self.processes.items():
            if name.startswith(room):
                for line in process.stderr.splitlines():
                    if line.startswith("{"):
                        yield name, json.loads(line)

    def command(self, *words: str) -> Any:
        """What `mirror WORDS --json` prints."""
        program = Path(sys.executable).parent / "mirror"
        done = subprocess.run(
            [program, *words, "--json"],
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        return json.loads(done.stdout)


@contextmanager
def house(
    folder: Path,
    simulator: Sequence[str],
    settings: Mapping[str, str],
    *,
    clients: int = 8,
    listeners: int = 2,
    coordinators: int = 2,
    janitors: int = 2,
) -> Iterator[House]:
    """All of it, live; conversations begin when they are told to."""
    names = [f"client-{number}" for number in range(clients)]
    options = ["--no-autostart", *simulator]
    for name in ("sandbox", *names):
        options += ["--client", f"{name}:secret" if name in names else "sandbox:sandbox"]
    with ExitStack() as stack:
        kafka = stack.enter_context(KafkaCluster.to_measure(folder / "kafka"))
        server = stack.enter_context(RedisServer(folder / "redis"))
        sim = stack.enter_context(simulated(folder, *options))
        env = {
            "GENESYS_API_URL": sim.url,
            "GENESYS_CLIENTS": ",".join(f"{name}:secret" for name in names),
            "REDIS_URL": server.url,
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "MIRROR_SPOOL_DIR": str(folder / "spool"),
            "MIRROR_STARTUP_TIMEOUT": "60s",
            "PYTHONPATH": str(ROOT),
            **settings,
        }
        made = load(env)
        ensure_topics(made)
        built = House(sim, env, made, connect(made), broker=kafka)
        stack.callback(built.client.close)
        rooms = (("coordinator", coordinators), ("listeners", listeners), ("janitor", janitors))
        names = [f"{room}-{number}" for room, count in rooms for number in range(count)]
        built.ports = dict(zip(names, free_ports(len(names)), strict=True))
        for room, count in rooms:
            for number in range(count):
                name = f"{room}-{number}"
                own = {"MIRROR_HOST": name, "MIRROR_METRICS_PORT": str(built.ports[name])}
                process = ManagedProcess.python_module(
                    room, folder=folder, name=name, env=env | own
                )
                built.processes[name] = stack.enter_context(process)
        built.until_live()
        yield built


def table(title: str, rows: Mapping[str, object]) -> None:
    """Print figures as a table."""
    width = max(map(len, rows))
    print(f"\n{title}")
    for name, value in rows.items():
        print(f"  {name:<{width}}  {value}")
    sys.stdout.flush()
