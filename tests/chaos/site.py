"""The whole mirror with all it stands on, for tests that break it.

Two hosts under supervisord, each with listeners, a coordinator, a janitor and a projector; Redis
with a replica and three Sentinels; Apache Kafka; the simulator under load. Timings are as short as
a busy machine allows, so that a trial takes seconds: `TIMINGS`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from confluent_kafka import KafkaException

from harness.deployment import Deployment
from harness.kafka import KafkaCluster
from harness.kafka_topics import read_topic
from harness.process import ManagedProcess, ServiceError, wait_until
from harness.redis import SentinelRedis
from harness.simulated import Simulated
from mirror.base.errors import RedisUnavailable
from mirror.fleet.gaps import Gap, list_gaps
from mirror.fleet.status import MirrorStatus
from mirror.fleet.words import SERVING
from mirror.kafka.admin import ensure_topics
from mirror.kafka.projected import group_id
from tests.chaos.account import Account, Books
from tests.chaos.disk import small_disk
from tests.chaos.host import Host
from tests.chaos.network import Loopback, Network
from tests.chaos.projected import Once, Views

HOSTS = ("north", "south")
PLACES = (*HOSTS, "redis", "kafka", "genesys")
CLIENTS = {f"chaos-{number}": f"secret-{number}" for number in range(1, 5)}
BROKER_HEAP_MIB = 256
DOWN_AFTER_MS = 5_000
LIVE_SECONDS = 60.0
LEDGER_SECONDS = 30.0
GROUP_SECONDS = 5.0

TIMINGS = {
    "MIRROR_HEARTBEAT": "500ms",
    "MIRROR_LEASE": "3s",
    "MIRROR_SILENCE": "4s",
    "MIRROR_DISCOVERY_INTERVAL": "20s",
    "MIRROR_JANITOR_INTERVAL": "2s",
    "MIRROR_ANALYTICS_LAG": "1s",
    "MIRROR_ZOMBIE_AFTER": "60s",
}
# A conversation lives for some ten seconds, so that each trial finds many in their midst.
SIMULATOR = (
    *("--users", "40", "--queues", "6", "--rate", "4", "--speed", "10"),
    *("--heartbeat", "1", "--no-autostart"),
)
KAFKA = {
    "min.insync.replicas": 2,
    "broker.session.timeout.ms": 4_000,
    "broker.heartbeat.interval.ms": 1_000,
    "replica.lag.time.max.ms": 4_000,
    # How often a broker looks for transactions that were left open; 10 s by default.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1_000,
}


class Site:
    """Everything; a context manager that starts and ends it."""

    def __init__(
        self,
        folder: Path,
        network: Network | None = None,
        *,
        brokers: int = 3,
        listeners: int = 2,
    ) -> None:
        """`listeners` is their number on each host."""
        self.folder = folder
        self.network: Network = network or Loopback()
        self.blamed: set[str] = set()  # ids of events that a trial has already complained of
        self.strangers: set[str] = set()  # conversations of frames that no ledger knows
        self._brokers = brokers
        self._listeners = listeners
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        enter, net = stack.enter_context, self.network
        enter(net)
        self.sentinel = enter(
            SentinelRedis(
                self.folder / "redis",
                address=net.address("redis"),
                prefix=net.prefix("redis"),
                down_after_ms=DOWN_AFTER_MS,
            )
        )
        copies = min(2, self._brokers)
        self.kafka = enter(
            KafkaCluster(
                self.folder / "kafka",
                size=self._brokers,
                properties={**KAFKA, "min.insync.replicas": copies},
                address=net.address("kafka"),
                prefix=net.prefix("kafka"),
                heap_mib=BROKER_HEAP_MIB,
            )
        )
        self.org = self._simulator(stack)
        environment = {
            **TIMINGS,
            "GENESYS_API_URL": self.org.url,
            "GENESYS_LOGIN_URL": self.org.url,
            "GENESYS_CLIENTS": ",".join(f"{name}:{key}" for name, key in CLIENTS.items()),
            "REDIS_URL": self.sentinel.url,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "MIRROR_PARTITIONS": "6",
            "MIRROR_TOPICS_PER_CHANNEL": "12",
        }
        self.mirror = Deployment(self.folder, self.org, {**os.environ, **environment})
        self.settings, self.redis, self.keys = (
            self.mirror.settings,
            self.mirror.redis,
            self.mirror.keys,
        )
        ensure_topics(self.settings)
        self.account = enter(Account(self.settings))
        self.books = Books(self.account, self.org.get)
        self.once, self.views = enter(Once(self.settings)), enter(Views(self.settings))
        self.hosts = {}
        for name in HOSTS:
            host = Host(
                name,
                self.folder / name,
                environment,
                prefix=net.prefix(name),
                listeners=self._listeners,
            )
            if net.severable:
                enter(small_disk(host.spool))
            self.hosts[name] = host
        for host in self.hosts.values():
            enter(host)
        self.until(self.live, LIVE_SECONDS, "every seat has a live channel")
        self.org.post("/_sim/control", {"action": "start"})

    def _simulator(self, stack: ExitStack) -> Simulated:
        address = self.network.address("genesys")
        clients = [word for pair in CLIENTS.items() for word in ("--client", ":".join(pair))]
        process = stack.enter_context(
            ManagedProcess(
                [
                    *self.network.prefix("genesys"),
                    *(sys.executable, "-m", "simulator", "--host", address, "--port", "0"),
                    *SIMULATOR,
                    *clients,
                ],
                self.folder,
                name="simulator",
            )
        )
        process.wait_for(lambda: "\n" in process.stdout, 30.0, "the ready line")
        return Simulated(json.loads(process.stdout.splitlines()[0])["url"], process)

    # --- what a trial looks at ------------------------------------------------------------------

    def until(
        self, predicate: Callable[[], object], timeout: float, goal: str, interval: float = 0.2
    ) -> None:
        """Wait; while Redis is away a look that asks it is not true yet."""

        def look() -> bool:
            try:
                return bool(predicate())
            except RedisUnavailable:
                return False

        wait_until(look, timeout, goal, interval=interval)

    def live(self) -> bool:
        """Every seat is taken by a channel that lives, and nobody complains."""
        return not complaints(self.mirror.status())

    def spooled(self) -> int:
        """Records on the disks of the living listeners, as their beats say.

        A dead listener's last word stays for minutes, also when its spool was adopted.
        """
        alive = [
            listener for listener in self.mirror.status().listeners if listener.state != "dead"
        ]
        return sum(beat.spool_records for beat in alive)

    def gaps(self) -> list[Gap]:
        """The gap ledger; waits for Redis where that has just failed over."""
        found: list[Gap] = []

        def look() -> bool:
            found[:] = list_gaps(self.redis, self.keys)
            return True

        self.until(look, LEDGER_SECONDS, "the gap ledger can be read")
        return found

    def holders(self) -> dict[str, int]:
        """Listener id → how many seats it holds."""
        found: dict[str, int] = {}
        for shard in self.mirror.status().shards:
            for replica in shard.replicas:
                if replica.listener and replica.state in SERVING:
                    found[replica.listener] = found.get(replica.listener, 0) + 1
        return found

    def projectors_group(self) -> tuple[int, list[int]]:
        """The broker that coordinates the projectors' group, and how many partitions each has.

        Raises `ServiceError` where Kafka does not say.
        """
        group = group_id(self.settings)
        admin = self.kafka.admin()  # kept: its answers end with it
        try:
            admin.list_topics(timeout=GROUP_SECONDS)
            answer = admin.describe_consumer_groups([group], request_timeout=GROUP_SECONDS)
            found = answer[group].result(GROUP_SECONDS)
        except (KafkaException, TimeoutError) as error:
            raise ServiceError(f"the group {group} is not known: {error}") from error
        shares = [len(member.assignment.topic_partitions) for member in found.members]
        return found.coordinator.id, shares

    def dead_letters(self) -> int:
        """How many there are."""
        return len(read_topic(self.kafka.bootstrap_servers, self.settings.dead_letter_topic))

    def process(self, identity: str) -> tuple[Host, str, int]:
        """Host, program and pid of a listener or coordinator by its id `<host>-<pid>-<random>`."""
        name, pid, _ = identity.rsplit("-", 2)
        host = self.hosts[name]
        program = host.owner(int(pid))
        assert program, f"{identity} runs no more"
        return host, program, int(pid)

    def fault(self, **fields: Any) -> int:
        """Let the simulator misbehave; how many sockets, channels or tokens were struck."""
        return int(self.org.fault(**fields).get("struck", 0))

    def calm(self) -> None:
        """Let the simulator behave again."""
        assert self.org.call("DELETE", "/_sim/faults").status == 200


def complaints(status: MirrorStatus) -> list[str]:
    """Why a mirror is not whole. The dead are told of for minutes; only the living count here."""
    return [reason for reason in status.reasons if not reason.endswith(" is dead")]


def signal_process(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
