"""What the benchmarks run: a whole mirror with Apache Kafka, Redis and a simulator of its own.

Settings that a measurement shortens (so that hours fit into minutes) are its own to name and to
tell.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final

from harness.deployment import Deployment, deployed
from harness.kafka import KafkaCluster
from harness.redis import RedisServer
from harness.simulated import simulated
from mirror.kafka.admin import ensure_topics
from mirror.settings import load

ROOT: Final = Path(__file__).parents[1]


@contextmanager
def whole_mirror(
    folder: Path,
    simulator: Sequence[str],
    settings: Mapping[str, str],
    *,
    clients: int = 8,
    listeners: int = 2,
    coordinators: int = 2,
    janitors: int = 2,
    kafka: KafkaCluster | None = None,
) -> Iterator[Deployment]:
    """All of it, live; conversations begin when the simulator is told to start them.

    `kafka` is the caller's own, to break; else it has one that nobody touches.
    """
    names = [f"client-{number}" for number in range(clients)]
    options = ["--no-autostart", *simulator, "--client", "sandbox:sandbox"]
    for name in names:
        options += ["--client", f"{name}:secret"]
    rooms = (("coordinator", coordinators), ("listeners", listeners), ("janitor", janitors))
    programs = {f"{room}-{number}": room for room, count in rooms for number in range(count)}
    with (
        nullcontext(kafka) if kafka else KafkaCluster.to_measure(folder / "kafka") as cluster,
        RedisServer(folder / "redis") as server,
        simulated(folder, *options) as org,
    ):
        env = {
            "GENESYS_API_URL": org.url,
            "GENESYS_CLIENTS": ",".join(f"{name}:secret" for name in names),
            "REDIS_URL": server.url,
            "KAFKA_BOOTSTRAP_SERVERS": cluster.bootstrap_servers,
            "MIRROR_SPOOL_DIR": str(folder / "spool"),
            "MIRROR_STARTUP_TIMEOUT": "60s",
            "PYTHONPATH": str(ROOT),
            **settings,
        }
        ensure_topics(load(env))
        with deployed(folder, org, env, programs) as mirror:
            mirror.until_live()
            yield mirror


def print_table(title: str, rows: Mapping[str, object]) -> None:
    """Print figures as a table."""
    width = max(map(len, rows))
    print(f"\n{title}")
    for name, value in rows.items():
        print(f"  {name:<{width}}  {value}")
    sys.stdout.flush()
