"""The whole mirror as processes, for tests of what it leaves behind.

A coordinator, two listeners and a janitor between a simulated org, a Redis of their own and the
run's Kafka, all at log level `debug`. `House` also collects every byte that they wrote somewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import redis

from mirror.conversation.event import Event
from mirror.kafka.record import EventReader
from tests.integration.simulator_support import Simulated, simulated
from tests.services.kafka import create_topic, read_topic
from tests.services.process import ManagedProcess, free_ports, wait_until
from tests.services.redis import RedisServer

CLIENT, SECRET = "house-client", "house-secret"
HOSTS = ("north", "south")
GROUP_OFFSETS = "__consumer_offsets"  # what consumer groups tell Kafka is in Kafka too


class House:
    """The processes, and what is around them."""

    def __init__(
        self, org: Simulated, store: RedisServer, env: dict[str, str], folder: Path
    ) -> None:
        self.org, self.env, self.folder = org, env, folder
        self.redis = redis.Redis.from_url(store.url)
        self.processes: dict[str, ManagedProcess] = {}
        self.ports: dict[str, int] = {}

    def start(self, stack: ExitStack) -> None:
        """Start everything, and wait until both listeners are subscribed."""
        names = {"coordinator": "coordinator", "janitor": "janitor"}
        names |= dict.fromkeys(HOSTS, "listeners")
        for (name, module), port in zip(names.items(), free_ports(len(names)), strict=True):
            self.ports[name] = port
            more = {"MIRROR_HOST": name, "MIRROR_METRICS_PORT": str(port)}
            self.processes[name] = stack.enter_context(
                ManagedProcess.python_module(
                    module, folder=self.folder, name=name, env=self.env | more
                )
            )

        def covered() -> bool:
            channels = self.org.get("/_sim/channels")["channels"]
            return len(channels) >= len(HOSTS) and all(c["topics"] for c in channels)

        wait_until(covered, 40.0, "two subscribed channels")

    def command(self, *arguments: str, expect: int = 0) -> tuple[bytes, str]:
        """Run `mirror …` to its end: stdout as bytes, stderr as text."""
        process = ManagedProcess.mirror(
            *arguments, folder=self.folder, env=self.env, name="-".join(("cli", *arguments[:2]))
        )
        for path in (process.stdout_path, process.stderr_path):
            path.unlink(missing_ok=True)
        with process:
            code = process.wait(30.0)
        assert code == expect, process.describe(f"exit code {code}")
        return process.stdout_path.read_bytes(), process.stderr

    def http(self, name: str, path: str) -> bytes:
        """What a process answers on its metrics port, whatever the status."""
        try:
            with urlopen(f"http://127.0.0.1:{self.ports[name]}{path}", timeout=5) as response:
                return bytes(response.read())
        except HTTPError as error:
            with error:
                return error.read()

    def health(self, name: str) -> dict[str, Any]:
        """The body of `/healthz`."""
        body: dict[str, Any] = json.loads(self.http(name, "/healthz"))
        return body

    def records(self, setting: str) -> list[Any]:
        """What is in the topic that a setting names."""
        return list(read_topic(self.env["KAFKA_BOOTSTRAP_SERVERS"], self.env[setting]))

    def events(self) -> list[Event]:
        """Events in Kafka."""
        reader = EventReader()
        return [
            reader.decode(record.value(), record.headers())
            for record in self.records("MIRROR_TOPIC")
        ]

    def traces(self) -> Iterator[tuple[str, bytes]]:
        """Every byte that the mirror left: where, and what. Values of dead letters are left out."""
        kafka = self.env["KAFKA_BOOTSTRAP_SERVERS"]
        letters = self.env["MIRROR_DEAD_LETTER_TOPIC"]
        topics = [self.env[f"MIRROR_{name}"] for name in ("TOPIC", "AGENTS_TOPIC")]
        for topic in (*topics, letters, GROUP_OFFSETS):
            for record in read_topic(kafka, topic):
                yield f"key in {topic}", record.key() or b""
                for name, content in headers_of(record).items():
                    yield f"header {name} in {topic}", name.encode() + b"=" + content
                if topic != letters:
                    yield f"value in {topic}", record.value() or b""
        for key in self.redis.scan_iter():
            yield f"Redis {key!r}", bytes(key) + b"=" + _value(self.redis, bytes(key))
        for name, process in self.processes.items():
            yield f"log of {name}", process.stderr_path.read_bytes()
            yield f"output of {name}", process.stdout_path.read_bytes()
            for path in ("/metrics", "/healthz"):
                yield f"{path} of {name}", self.http(name, path)


def headers_of(record: Any) -> dict[str, bytes]:
    """The headers of a record that was read."""
    return dict(record.headers() or ())


def _value(client: redis.Redis, key: bytes) -> bytes:
    """All that a key of any type holds."""
    kind = client.type(key)
    held: Any = None
    if kind == b"string":
        held = client.get(key)
    elif kind == b"hash":
        held = client.hgetall(key)
    elif kind == b"set":
        held = client.smembers(key)
    elif kind == b"zset":
        held = client.zrange(key, 0, -1, withscores=True)
    elif kind == b"list":
        held = client.lrange(key, 0, -1)
    elif kind == b"stream":
        held = client.xrange(key)
    elif kind != b"none":  # gone meanwhile
        raise AssertionError(f"{key!r} is a {kind!r}, which nobody looks into")
    return repr(held).encode()


@contextmanager
def house(folder: Path, kafka: str, settings: Mapping[str, str], *options: str) -> Iterator[House]:
    """A house with these settings and these options of the simulator, gone when it is left."""
    with ExitStack() as stack:
        store = stack.enter_context(RedisServer(folder / "redis"))
        arguments = ["--client", f"{CLIENT}:{SECRET}", "--users", "12", "--queues", "2"]
        arguments += ["--heartbeat", "1", "--rate-limit", "0", "--no-autostart", *options]
        org = stack.enter_context(simulated(folder, *arguments, login=False))
        org.client, org.secret = CLIENT, SECRET
        assert org.login().status == 200
        name = f"house-{folder.name}"
        env = {
            "GENESYS_API_URL": org.url,
            "GENESYS_CLIENT_ID": CLIENT,
            "GENESYS_CLIENT_SECRET": SECRET,
            "REDIS_URL": store.url,
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "MIRROR_NAMESPACE": name,
            "MIRROR_TOPIC": create_topic(kafka, name, partitions=3),
            "MIRROR_AGENTS_TOPIC": create_topic(kafka, f"{name}.agents"),
            "MIRROR_DEAD_LETTER_TOPIC": create_topic(kafka, f"{name}.dlq"),
            "MIRROR_SPOOL_DIR": str(folder / "spool"),
            "MIRROR_HEARTBEAT": "500ms",
            "MIRROR_LEASE": "2s",
            "MIRROR_ZOMBIE_AFTER": "2s",
            "MIRROR_JANITOR_INTERVAL": "1s",
            "MIRROR_ANALYTICS_LAG": "1s",
            "MIRROR_STARTUP_TIMEOUT": "10s",
            "MIRROR_LOG_LEVEL": "debug",
            **settings,
        }
        made = House(org, store, env, folder)
        made.start(stack)
        yield made
