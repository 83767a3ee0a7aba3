"""Apache Kafka for tests: one broker or several, KRaft, started straight from its jars.

kafka_install.py fetches the jars, and Java if there is none. Every broker is also a controller, so
a cluster of three survives the loss of one broker. Data lives in the caller's folder and survives a
restart of the broker. Settings are tuned for start-up time and memory, never for durability.
Defaults that producers and consumers can notice stay as they are, with two exceptions: groups do
not wait for more members, and a request for a topic does not create it.
"""

from __future__ import annotations

import base64
import signal
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from harness import kafka_install
from harness.kafka_topics import admin_client
from harness.process import ManagedProcess, ServiceError, free_ports, wait_until

KafkaUnavailable = kafka_install.KafkaUnavailable
FORMAT_SECONDS = 60.0
READY_SECONDS = 90.0
STOP_SECONDS = 30.0
START_ATTEMPTS = 3
HEAP_MIB = 512
# For tests, on two cores: compile less, start sooner.
QUICK_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
# For measurements: as in Apache's own start script.
SHIPPED_JVM = (
    "-server",
    "-Xms1g",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
)
SHIPPED_HEAP_MIB = 1024


class Broker:
    """A broker process with its folder. It is started, stopped, killed and paused by its pid."""

    def __init__(
        self,
        node: int,
        folder: Path,
        properties: dict[str, object],
        *,
        heap_mib: int = HEAP_MIB,
        jvm: Sequence[str] = QUICK_JVM,
        prefix: Sequence[str] = (),
    ) -> None:
        """`prefix` goes before the command, as `nsenter …` does; it must not fork."""
        self.node = node
        self.folder = folder
        self._properties_path = folder / "server.properties"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{key}={value}\n" for key, value in properties.items()]
        self._properties_path.write_text("".join(lines))
        self._java = [
            *prefix,
            kafka_install.find_java(),
            f"-Xmx{heap_mib}m",
            *jvm,
            "-XX:-UsePerfData",
            "-Djava.awt.headless=true",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
            *("-cp", f"{kafka_install.find_libs()}/*"),
        ]
        argv = [*self._java, "kafka.Kafka", str(self._properties_path)]
        self.process = ManagedProcess(argv, folder, name=f"kafka-{node}")

    @property
    def running(self) -> bool:
        """Whether the process lives. A paused process lives."""
        return self.process.running

    def format(self, cluster_id: str, more: Sequence[str] = ()) -> None:
        """Write the cluster's id, and what `more` asks for, into the still empty data folder."""
        arguments = ["format", "-t", cluster_id, "-c", str(self._properties_path), *more]
        argv = [*self._java, "kafka.tools.StorageTool", *arguments]
        with ManagedProcess(argv, self.folder, name=f"format-{self.node}") as process:
            if process.wait(FORMAT_SECONDS) != 0:
                raise ServiceError(process.describe("the storage tool failed"))

    def start(self) -> None:
        """Start it, or start it again with its data. Returns before it is ready."""
        self.process.start()

    def stop(self) -> None:
        """Shut down in order: leadership moves first."""
        self.process.stop(STOP_SECONDS)

    def kill(self) -> None:
        """Kill it, as a crash would."""
        self.process.kill()

    def pause(self) -> None:
        """Freeze it: its sockets stay open, but it does not answer."""
        self.process.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused broker go on."""
        self.process.send(signal.SIGCONT)


class KafkaCluster:
    """`size` brokers on loopback, ready when `start` returns; a context manager that ends them."""

    def __init__(
        self,
        folder: Path,
        *,
        size: int = 1,
        properties: dict[str, object] | None = None,
        address: str = "127.0.0.1",
        heap_mib: int = HEAP_MIB,
        jvm: Sequence[str] = QUICK_JVM,
        prefix: Sequence[str] = (),
        listeners: Mapping[str, str] | None = None,
        format_arguments: Sequence[str] = (),
    ) -> None:
        """Brokers listen on `address`, which belongs to the namespace in which `prefix` runs them.
        `listeners` maps names of further listeners to their security protocols. `properties` has
        what these need (stores, SASL users), and `servers` has their addresses. `format_arguments`
        go to the storage tool, for example for SCRAM users.
        """
        self.size = size
        self._listeners = {"PLAINTEXT": "PLAINTEXT", **(listeners or {})}
        self._format_arguments = format_arguments
        self.servers: dict[str, str] = {}
        self._address = address
        self._heap_mib = heap_mib
        self._jvm = jvm
        self._prefix = prefix
        self._folder = folder
        self._properties = properties or {}
        self._starts = 0
        self.brokers: list[Broker] = []
        self.bootstrap_servers = ""
        self._lay_out()

    @classmethod
    def to_measure(cls, folder: Path) -> Self:
        """One broker for benchmarks. Its JVM has Apache's settings, and warms up slowly."""
        return cls(folder, heap_mib=SHIPPED_HEAP_MIB, jvm=SHIPPED_JVM)

    def _lay_out(self) -> None:
        """Choose ports and write the configuration of every broker."""
        self._starts += 1
        address, count = self._address, len(self._listeners)
        ports = free_ports((count + 1) * self.size)
        controllers = ports[count * self.size :]
        nodes = range(1, self.size + 1)
        addresses = {
            name: [f"{address}:{port}" for port in ports[at * self.size : (at + 1) * self.size]]
            for at, name in enumerate(self._listeners)
        }
        self.servers = {name: ",".join(hosts) for name, hosts in addresses.items()}
        protocols = {"CONTROLLER": "PLAINTEXT", **self._listeners}
        voters = ",".join(
            f"{node}@{address}:{port}" for node, port in zip(nodes, controllers, strict=True)
        )
        copies = min(3, self.size)
        self.bootstrap_servers = self.servers["PLAINTEXT"]
        self.brokers = []
        for node, controller in zip(nodes, controllers, strict=True):
            own = ",".join(f"{name}://{hosts[node - 1]}" for name, hosts in addresses.items())
            folder = self._folder / f"broker-{node}-{self._starts}"
            properties: dict[str, object] = {
                "process.roles": "broker,controller",
                "node.id": node,
                "controller.quorum.voters": voters,
                "controller.listener.names": "CONTROLLER",
                "listeners": f"{own},CONTROLLER://{address}:{controller}",
                "advertised.listeners": own,
                "listener.security.protocol.map": ",".join(
                    f"{name}:{protocol}" for name, protocol in protocols.items()
                ),
                "log.dirs": folder / "data",
                "auto.create.topics.enable": "false",
                "group.initial.rebalance.delay.ms": 0,
                "offsets.topic.num.partitions": 4,
                "offsets.topic.replication.factor": copies,
                "transaction.state.log.num.partitions": 2,
                "transaction.state.log.replication.factor": copies,
                "transaction.state.log.min.isr": min(2, copies),
                "share.coordinator.state.topic.num.partitions": 2,
                "share.coordinator.state.topic.replication.factor": copies,
                "share.coordinator.state.topic.min.isr": min(2, copies),
                "num.network.threads": 2,
                "num.io.threads": 4,
                "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
                "log.index.size.max.bytes": 1024 * 1024,
                **self._properties,
            }
            self.brokers.append(
                Broker(
                    node,
                    folder,
                    properties,
                    heap_mib=self._heap_mib,
                    jvm=self._jvm,
                    prefix=self._prefix,
                )
            )

    def start(self) -> Self:
        """Format and start every broker, and wait until all of them serve.

        If another process took a port meanwhile, it tries again with other ports.
        """
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                self._start_once()
            except BaseException:
                self.kill()
                taken = any("Address already in use" in b.process.stderr for b in self.brokers)
                if not taken or attempt == START_ATTEMPTS:
                    raise
                self._lay_out()
            else:
                return self
        raise AssertionError("unreachable")

    def _start_once(self) -> None:
        raw = uuid.uuid4().bytes
        cluster_id = "M" + base64.urlsafe_b64encode(raw).decode().rstrip("=")[1:]  # no leading dash
        with ThreadPoolExecutor(self.size) as pool:
            list(
                pool.map(
                    lambda broker: broker.format(cluster_id, self._format_arguments), self.brokers
                )
            )
        for broker in self.brokers:
            broker.start()
        self.wait_ready()

    def wait_ready(self, timeout: float = READY_SECONDS, size: int | None = None) -> None:
        """Wait until `size` brokers (default: all running ones) are in the cluster's metadata."""
        running = [broker for broker in self.brokers if broker.running]
        wanted = size if size is not None else len(running)
        admin = self.admin()

        def all_serve() -> bool:
            for broker in running:
                if not broker.running:
                    message = f"broker {broker.node} ended with {broker.process.returncode}"
                    raise ServiceError(broker.process.describe(message))
            try:
                return len(admin.list_topics(timeout=1.0).brokers) >= wanted
            except KafkaException:
                return False

        try:
            wait_until(all_serve, timeout, f"{wanted} Kafka broker(s) ready")
        except ServiceError as late:
            first = self.brokers[0].process
            raise ServiceError(first.describe(str(late))) from None

    def stop(self) -> None:
        """Shut down every broker that runs, all at once."""
        with ThreadPoolExecutor(self.size) as pool:
            list(pool.map(Broker.stop, [broker for broker in self.brokers if broker.running]))

    def kill(self) -> None:
        """Kill every running broker, paused ones included."""
        for broker in self.brokers:
            if broker.running:
                broker.kill()

    def admin(self) -> AdminClient:
        """Return an administration client that keeps quiet about refused connections."""
        return admin_client(self.bootstrap_servers)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        # The folder and its data will be deleted, so an orderly end has no use.
        self.kill()
