"""For tests of the dashboard: a dashboard process, and handmade events and beats."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import redis
from confluent_kafka import Producer

from harness.browser import Browser
from harness.process import ManagedProcess, free_ports, wait_until
from mirror.conversation.event import Event, identity
from mirror.conversation.times import show_epoch
from mirror.fleet.gaps import Gap, file_gap
from mirror.fleet.words import Beat, ChannelReport, Shard
from mirror.kafka.config import producer_config
from mirror.kafka.record import Recorder
from mirror.redis.keys import Keys
from mirror.settings import Settings, load

ROOT = Path(__file__).parents[1]
QUEUES = tuple(f"{number:08x}-0000-4000-8000-000000000000" for number in range(1, 9))


@dataclass
class Dashboard:
    """A dashboard process and how to reach it."""

    process: ManagedProcess
    url: str
    env: dict[str, str]

    @property
    def settings(self) -> Settings:
        """The settings of the dashboard's environment."""
        return load(self.env)

    def until_listening(self) -> Dashboard:
        """Wait until it answers."""
        self.process.wait_for(lambda: self.status("/healthz") == 200, 30, "the page is served")
        return self

    def until_open(self) -> Dashboard:
        """Wait until it has read the past."""
        self.process.wait_for(
            lambda: '"backlog_read"' in self.process.stderr, 40, "the past is read"
        )
        return self

    def fetch(
        self, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> Any:
        """Status, headers and body; redirects are not followed."""
        request = urllib.request.Request(self.url + path, data=body, headers=headers or {})
        try:
            with urllib.request.build_opener(_Stay).open(request, timeout=5) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def status(self, path: str, headers: dict[str, str] | None = None) -> int:
        """Only the status, 0 without an answer."""
        try:
            found: int = self.fetch(path, headers)[0]
        except OSError:
            return 0
        return found


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def dashboard(folder: Path, env: dict[str, str], name: str = "dashboard") -> Dashboard:
    """A dashboard on a free port of loopback, not started."""
    (port,) = free_ports(1)
    env = {"MIRROR_DASHBOARD_PORT": str(port), "PYTHONPATH": str(ROOT), **env}
    process = ManagedProcess.python_module("dashboard", folder=folder, env=env, name=name)
    return Dashboard(process, f"http://127.0.0.1:{port}", env)


def produce(settings: Settings, events: Iterable[Event], producer: Producer | None = None) -> None:
    """Write events as listeners do. Without `producer`, it makes a producer of its own."""
    producer = producer or Producer(producer_config(settings, "test"))
    recorder = Recorder(settings.topic, settings.region, settings.encoding)
    for event in events:
        record = recorder.record(event)
        while True:
            try:
                producer.produce(
                    record.topic, key=record.key, value=record.value, headers=record.headers
                )
                break
            except BufferError:
                producer.poll(0.05)
    assert producer.flush(30) == 0


def conversation(number: int, course: str, since: float = 60.0) -> list[Event]:
    """Events of a call that is waiting, ringing, talking, held or over, since so many seconds."""
    name = f"{number:08x}-1111-4111-8111-111111111111"
    queue = QUEUES[number % len(QUEUES)]
    began = time.time() - since
    made: list[Event] = []

    def add(kind: str, agent: str | None, after: float = 0.0, **more: Any) -> None:
        states = {"alert": "alerting", "disconnect": "disconnected", "end": "ended"}
        fields = dict[str, Any](
            event_id=identity(name, kind, agent or "", str(len(made))),
            event_type=kind,
            conversation_id=name,
            state=states.get(kind, "connected"),
            occurred_at=show_epoch(began + after),
            received_at=show_epoch(time.time()),
        )
        if agent is not None:
            fields |= {
                "participant_id": f"{name}-{agent}",
                "media_type": "call",
                "purpose": agent,
                "queue_id": queue,
                "agent_id": f"{number:08x}-agent" if agent == "agent" else None,
                "direction": "inbound",
            }
        made.append(Event(**fields | more))

    add("start", None)
    add("answer", "customer")
    add("answer", "acd")
    if course == "waiting":
        return made
    add("alert", "agent", since * 0.2)
    if course == "ringing":
        return made
    add("answer", "agent", since * 0.3)
    add("disconnect", "acd", since * 0.3)
    if course == "held":
        held = show_epoch(began + since * 0.5)
        add("hold", "agent", since * 0.5, held=True, hold_started_at=held)
    if course == "over":
        add("disconnect", "agent", since * 0.8)
        add("disconnect", "customer", since * 0.8)
        add("end", None, since * 0.8)
    return made


def fleet_by_hand(client: redis.Redis, settings: Settings, shards: int = 12) -> None:
    """Write what a leader and listeners would write: shards, beats and a few gaps."""
    keys = Keys(settings.namespace)
    now_ms = round(time.time() * 1000)
    client.set(keys.leader, "vm-4711-leader")
    reports: dict[str, list[ChannelReport]] = {"north": [], "south": [], "west": []}
    hosts = list(reports)
    for number in range(shards):
        shard = Shard(str(number + 1), tuple(f"t{number}-{topic}" for topic in range(900)), 1)
        client.set(keys.shard(shard.id), msgspec.json.encode(shard))
        client.hset(keys.shards, shard.id, "1")
        for offset, replica in enumerate("ab"):
            state: Any = "rotating" if (number, replica) == (4, "b") else "live"
            if (number, replica) == (7, "b"):
                continue  # a seat without a listener
            reports[hosts[(number + offset) % 3]].append(
                ChannelReport(
                    shard=shard.id,
                    replica=replica,
                    epoch=1,
                    client=("client-of-the-north-0815", "client-of-the-south-4711")[offset],
                    state=state,
                    channel=f"streaming-{offset}-{number:04x}…",
                    topics=900,
                    last_frame_ms=400 + 97 * number,
                    frames=1000 * number,
                )
            )
    for host, channels in reports.items():
        listener = f"{host}-100-abcd"
        beat = Beat(
            listener=listener,
            host=host,
            pid=100,
            version="0",
            state="draining" if host == "west" else "live",
            channels=tuple(channels),
            spool_records=42 if host == "south" else 0,
        )
        client.set(keys.listener(listener), msgspec.json.encode(beat))
        client.zadd(keys.beats, {listener: now_ms})
    hour = 3_600_000
    for number, state in enumerate(("filled", "filling", "open", "unfillable")):
        gap = Gap(
            id=f"5f3a{number}-s{number + 1}-00000{number}",
            shard=str(number + 1),
            topics=tuple(f"t{number}-{topic}" for topic in range(900)),
            from_ms=now_ms - (5 - number) * hour,
            to_ms=now_ms - (5 - number) * hour + hour // 3,
            state=state,
            events=100 * number,
        )
        assert file_gap(client, keys, gap)


def figures(browser: Browser) -> dict[str, int]:
    """The figures on the page. -1 for a figure that is not a number yet."""
    found: dict[str, str] = browser.run(
        "return Object.fromEntries([...document.querySelectorAll('#figures b')]"
        ".map((one) => [one.dataset.figure, one.textContent]))"
    )
    plain = {name: text.replace(",", "") for name, text in found.items()}
    return {name: int(text) if text.isdecimal() else -1 for name, text in plain.items()}


def until_shown(browser: Browser, timeout: float = 10.0, **wanted: int) -> None:
    """Wait until the page shows these figures."""

    def shown() -> bool:
        found = figures(browser)
        return all(found.get(name) == value for name, value in wanted.items())

    wait_until(shown, timeout, f"the page shows {wanted}")
