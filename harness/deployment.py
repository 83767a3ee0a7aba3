"""A whole mirror as processes of this machine, with services that the caller starts.

    with deployed(folder, org, env, TWO_HOSTS) as mirror:
        mirror.until_live()
        mirror.org.post("/_sim/control", {"action": "start"})

The caller starts Redis, Kafka and the simulator (`harness.redis`, `harness.kafka`,
`harness.simulated`) and names the topics: tests share a broker, benchmarks have one of their own,
chaos breaks it. Every process logs to a file in `folder`, answers `/healthz` on a free port, and
ends with the block.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import redis

from harness import ledger
from harness.kafka_topics import read_topic
from harness.pages import fetch
from harness.process import ManagedProcess, free_ports, wait_until
from harness.simulated import Simulated
from mirror.conversation.event import Event
from mirror.fleet.status import MirrorStatus
from mirror.fleet.status_reader import read
from mirror.kafka.record import read_event
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.settings import load
from simulator.ledger import Truth

# Process → the module that it runs; a listener's name is its MIRROR_HOST.
TWO_HOSTS: Final[Mapping[str, str]] = {
    "coordinator": "coordinator",
    "janitor": "janitor",
    "north": "listeners",
    "south": "listeners",
}
LIVE_SECONDS: Final = 90.0
READ_SECONDS: Final = 180.0
COMMAND_SECONDS: Final = 30.0
HTTP_SECONDS: Final = 5.0


class Deployment:
    """The running processes, and ways to look at them. `env` is the environment of every
    process."""

    def __init__(self, folder: Path, org: Simulated, env: Mapping[str, str]) -> None:
        self.folder = folder
        self.org = org
        self.env = dict(env)
        self.settings = load(self.env)
        self.keys = Keys(self.settings.namespace)
        self.redis: redis.Redis = connect(self.settings)
        self.processes: dict[str, ManagedProcess] = {}
        self.ports: dict[str, int] = {}
        self.http_seconds = HTTP_SECONDS

    def start(self, stack: ExitStack, programs: Mapping[str, str]) -> None:
        """Start processes, name → module; `stack` ends them."""
        for (name, module), port in zip(programs.items(), free_ports(len(programs)), strict=True):
            self.ports[name] = port
            more = {"MIRROR_HOST": name, "MIRROR_METRICS_PORT": str(port)}
            self.processes[name] = stack.enter_context(
                ManagedProcess.python_module(
                    module, folder=self.folder, name=name, env=self.env | more
                )
            )

    # --- waiting --------------------------------------------------------------------------------

    def status(self) -> MirrorStatus:
        """The status of `mirror status`. Raises `RedisUnavailable`."""
        return read(self.redis, self.settings)

    def until_live(self, seconds: float = LIVE_SECONDS) -> None:
        """Wait until every seat has a live channel and health is `ok`."""

        def live() -> bool:
            found = self.status()
            return found.health == "ok" and bool(found.shards)

        wait_until(live, seconds, "every seat has a live channel")

    def until_subscribed(self, channels: int, seconds: float = 40.0) -> None:
        """Wait until the simulator has this many channels, each with topics."""

        def subscribed() -> bool:
            found = self.org.get("/_sim/channels")["channels"]
            return len(found) >= channels and all(channel["topics"] for channel in found)

        wait_until(subscribed, seconds, f"{channels} subscribed channels")

    # --- the simulator --------------------------------------------------------------------------

    def control(self, **fields: Any) -> dict[str, Any]:
        """`POST /_sim/control`."""
        body: dict[str, Any] = self.org.post("/_sim/control", fields)
        return body

    def stats(self) -> dict[str, Any]:
        """`GET /_sim/stats`."""
        body: dict[str, Any] = self.org.get("/_sim/stats")
        return body

    def ledger(self) -> list[Truth]:
        """All records of the ledger."""
        return ledger.truths(self.org.get)

    # --- what came out --------------------------------------------------------------------------

    def records(self, topic: str) -> list[Any]:
        """All records of a topic."""
        servers = self.settings.kafka.properties["bootstrap.servers"]
        return list(read_topic(servers, topic, timeout=READ_SECONDS))

    def events(self) -> list[Event]:
        """All events of the interaction topic."""
        return [read_event(record.value()) for record in self.records(self.settings.topic)]

    def logged(self, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        """(process, line) of the log lines of all processes whose name begins with `prefix`."""
        for name, process in self.processes.items():
            if name.startswith(prefix):
                for line in process.stderr.splitlines():
                    if line.startswith("{"):
                        yield name, json.loads(line)

    def command(self, *arguments: str, expect: int = 0) -> tuple[bytes, str]:
        """Run `mirror …` to its end: stdout as bytes, stderr as text. Asserts the exit code."""
        process = ManagedProcess.mirror(
            *arguments, folder=self.folder, env=self.env, name="-".join(("cli", *arguments[:2]))
        )
        for path in (process.stdout_path, process.stderr_path):
            path.unlink(missing_ok=True)
        with process:
            code = process.wait(COMMAND_SECONDS)
        assert code == expect, process.describe(f"exit code {code}")
        return process.stdout_path.read_bytes(), process.stderr

    def document(self, *arguments: str) -> Any:
        """The document that `mirror … --json` prints."""
        return json.loads(self.command(*arguments, "--json")[0])

    def http(self, name: str, path: str) -> bytes:
        """The answer of a process on its metrics port, whatever its status."""
        return fetch(self.ports[name], path, self.http_seconds)[1]

    def health(self, name: str) -> dict[str, Any]:
        """The body of `/healthz`."""
        body: dict[str, Any] = json.loads(self.http(name, "/healthz"))
        return body


@contextmanager
def deployed(
    folder: Path, org: Simulated, env: Mapping[str, str], programs: Mapping[str, str] = TWO_HOSTS
) -> Iterator[Deployment]:
    """A deployment whose processes were started. They may not be live yet."""
    with ExitStack() as stack:
        made = Deployment(folder, org, env)
        stack.callback(made.redis.close)
        made.start(stack, programs)
        yield made
