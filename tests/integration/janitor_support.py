"""What the janitor's tests share: settings, a tracker, and listeners that go blind on cue."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import redis
from confluent_kafka import Consumer, TopicPartition

from coordinator.tracker import Tracker
from harness.kafka_topics import read_topic
from harness.process import ServiceError, wait_until
from harness.simulated import Simulated, simulated
from janitor.claims import Leases
from janitor.gaps.filler import Filler
from janitor.genesys import GenesysPool
from janitor.producer import AckedProducer
from janitor.zombies.sweep import Zombies
from mirror.conversation.event import Event
from mirror.conversation.normaliser import Normaliser
from mirror.conversation.times import show_epoch
from mirror.fleet.words import Shard
from mirror.kafka.record import read_event
from mirror.redis.keys import Keys
from mirror.settings import Settings, load

CLIENTS = [f"c{number}" for number in range(20)]
SLOW, FAST = 2, 50
# What `GET /conversations/{id}` tells of every conversation.
RESTORED = {"answer", "disconnect", "acw", "acw_end", "end", "wrapup"}


def environment(
    kafka: str, redis_url: str, topic: str, sim: Simulated, **more: str
) -> dict[str, str]:
    """The settings of a test, as a process gets them."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "REDIS_URL": redis_url,
        "GENESYS_API_URL": sim.url,
        "GENESYS_CLIENTS": ",".join(f"{name}:sandbox" for name in CLIENTS),
        "MIRROR_TOPIC": topic,
        "MIRROR_DEAD_LETTER_TOPIC": f"{topic}.dlq",
        "MIRROR_PARTITIONS": "3",
        "MIRROR_NAMESPACE": topic,
        "MIRROR_ZOMBIE_AFTER": "1ms",
        "MIRROR_JANITOR_INTERVAL": "4s",
        **more,
    }


@contextmanager
def quiet_org(folder: Path) -> Iterator[Simulated]:
    """A Genesys Cloud in which nothing happens unasked, with many clients' budgets."""
    options = ["--no-autostart", "--speed", str(FAST), "--users", "30", "--queues", "3"]
    for name in ("sandbox", *CLIENTS):
        options += ["--client", f"{name}:sandbox"]
    with simulated(folder, *options, "--rate-limit", "3000") as made:
        yield made


@contextmanager
def tracking(settings: Settings) -> Iterator[Tracker]:
    """A tracker in a thread."""
    tracker, stop = Tracker(settings), threading.Event()
    thread = threading.Thread(target=tracker.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield tracker
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


@dataclass
class Stage:
    """A simulator, a topic, a Redis; the janitor's parts, to be run by hand."""

    settings: Settings
    sim: Simulated
    client: redis.Redis
    listener: Normaliser = field(default_factory=Normaliser)

    @property
    def keys(self) -> Keys:
        """The namespace's keys."""
        return Keys(self.settings.namespace)

    @property
    def leases(self) -> Leases:
        """The janitor's claims."""
        return Leases(self.client, self.keys, self.settings.topic)

    def genesys(self, share: float = 1.0) -> GenesysPool:
        """The real client; the whole budget, since tests are in a hurry."""
        return GenesysPool(self.settings, self.client, threading.Event(), share)

    def zombies(self, genesys: GenesysPool | None = None, fresh: float = 0.0) -> Zombies:
        """What sweeps; the frames of a test are all fresh, so they doubt nothing unless asked."""
        return Zombies(
            self.settings,
            self.leases,
            genesys or self.genesys(),
            AckedProducer(self.settings),
            Normaliser,
            fresh_seconds=fresh,
        )

    def filler(self, genesys: GenesysPool | None = None, lag: float = 0.0) -> Filler:
        """What fills gaps."""
        return Filler(
            self.client,
            self.keys,
            self.leases,
            genesys or self.genesys(),
            AckedProducer(self.settings),
            Normaliser,
            lag_seconds=lag,
            horizon_seconds=self.settings.horizon,
        )

    def mirror_all(self) -> None:
        """As the leader would: have all topics in a shard, which all clients see."""
        shard = Shard("0", tuple(self.sim.topics()), 1)
        self.client.set(self.keys.shard("0"), msgspec.json.encode(shard))
        self.client.hset(self.keys.shards, "0", "1")

    def active(self) -> list[str]:
        """Ids of what is not over at Genesys."""
        body = self.sim.get("/_sim/conversations")
        return [conversation["id"] for conversation in body["conversations"]]

    def witness(self, ids: list[str]) -> int:
        """As a listener would: report how these conversations are now; how many events."""
        producer = AckedProducer(self.settings)
        events: list[Event] = []
        for id_ in ids:
            body = self.sim.call("GET", f"/api/v2/conversations/{id_}")
            assert body.status == 200, body
            raw = _raw(body.body)
            reading = self.listener.conversation(raw, now(), time.monotonic(), origin="live")
            events += reading.events
        producer.send(events)
        return len(events)

    def events(self) -> list[Event]:
        """All that is on the topic."""
        servers = self.settings.kafka.properties["bootstrap.servers"]
        records = read_topic(servers, self.settings.topic)
        return [read_event(record.value()) for record in records]

    def tracked(self) -> set[str]:
        """The active set in Redis."""
        return set(self.client.zrange(self.keys.active, 0, -1))  # type: ignore[arg-type]

    def wait_tracked(self, wanted: set[str], seconds: float = 30.0) -> None:
        """Until the active set is `wanted` and the tracker has read all there is."""
        try:
            wait_until(
                lambda: self.settled() and self.tracked() == wanted,
                seconds,
                f"{len(wanted)} conversations tracked as active",
            )
        except ServiceError as error:
            raise ServiceError(f"{error}; {self._standing(wanted)}") from None

    def wait_settled(self, seconds: float = 30.0) -> None:
        """Until the tracker has read all there is."""
        wait_until(self.settled, seconds, "the tracker has read all there is")

    def _standing(self, wanted: set[str]) -> str:
        """Where tracker, topic and active set stand, for whoever reads that they do not agree."""
        tracked = self.tracked()
        return (
            f"offsets {self._offsets()}, records {self._retained()}, "
            f"lacking {sorted(wanted - tracked)}, too many {sorted(tracked - wanted)}"
        )

    def settled(self) -> bool:
        """Whether the stored offsets reach the end of the topic."""
        fields = self._offsets()
        folded = sum(int(value) for name, value in fields.items() if name.isdecimal())
        behind = any("behind" in name for name in fields)
        return not behind and folded == self._retained()

    def _offsets(self) -> dict[str, str]:
        return self.client.hgetall(self.keys.offsets(self.settings.topic))  # type: ignore[return-value]

    def _retained(self) -> int:
        servers = self.settings.kafka.properties["bootstrap.servers"]
        return retained(servers, self.settings.topic)


def now() -> str:
    """This moment, as events say it."""
    return show_epoch(time.time())


def _raw(body: object) -> bytes:
    return msgspec.json.encode(body)


def retained(servers: str, topic: str) -> int:
    """How many records a topic has."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "nobody"})
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        return sum(
            consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)[1]
            for number in partitions
        )
    finally:
        consumer.close()


@contextmanager
def staged(env: dict[str, str], sim: Simulated) -> Iterator[Stage]:
    """The stage of these settings."""
    with redis.Redis.from_url(env["REDIS_URL"], decode_responses=True, protocol=2) as client:
        yield Stage(load(env), sim, client)


def spawn(sim: Simulated, scenario: str, count: int) -> set[str]:
    """Begin conversations, slowly, and wait until each has a live leg."""
    sim.post("/_sim/control", {"speed": SLOW})
    body = sim.post("/_sim/control", {"action": "spawn", "scenario": scenario, "count": count})
    ids = set(body["conversation_ids"])

    def shown() -> bool:
        return all(
            leg.get("state") in {"connected", "alerting", "dialing", "contacting", "offering"}
            for id_ in ids
            for leg in _first_legs(sim, id_)
        )

    wait_until(shown, 20, "the conversations began")
    return ids


def show(stage: Stage, ids: set[str]) -> None:
    """Let a listener see them while none has ended yet, and only then let time fly."""
    stage.witness(sorted(ids))
    stage.sim.post("/_sim/control", {"speed": FAST})


def _first_legs(sim: Simulated, conversation: str) -> list[dict[str, Any]]:
    body = sim.get(f"/api/v2/conversations/{conversation}")
    legs = [
        leg
        for participant in body["participants"]
        for calls in (participant.get("calls") or [],)
        for leg in calls
    ]
    return legs[:1] or [{}]


def finish(sim: Simulated, ids: set[str]) -> None:
    """Let these come to their end at Genesys."""

    def over() -> bool:
        return not ids & {
            conversation["id"] for conversation in sim.get("/_sim/conversations")["conversations"]
        }

    wait_until(over, 40, "the conversations ended")


def begin_days_ago(sim: Simulated, scenario: str, count: int, days: float) -> list[str]:
    """Conversations that began so many days ago and go on: Genesys' clock is put back for it."""
    seconds = days * 24 * 3600
    sim.post("/_sim/control", {"clock_shift_seconds": -seconds, "speed": SLOW})
    body = sim.post("/_sim/control", {"action": "spawn", "scenario": scenario, "count": count})
    time.sleep(0.5)  # until their first legs live
    sim.post("/_sim/control", {"clock_shift_seconds": seconds})
    found: list[str] = body["conversation_ids"]
    return found


def happen(sim: Simulated, count: int) -> tuple[set[str], int, int]:
    """Calls that begin and end unseen; their ids and when that was (epoch milliseconds)."""
    began = round(time.time() * 1000)
    body = sim.post(
        "/_sim/control", {"action": "spawn", "scenario": "outbound_call", "count": count}
    )
    sim.drain()
    ids = set(body["conversation_ids"])
    wait_until(
        # REST and analytics call a conversation over when its after-call work is.
        lambda: all("endTime" in sim.get(f"/api/v2/conversations/{id_}") for id_ in ids),
        20.0,
        "the end of all that happened",
    )
    return ids, began, round(time.time() * 1000)


def missing(sim: Simulated, events: list[Event]) -> list[object]:
    """What the ledger of truth has and REST can still tell, but `events` have not."""
    known = {
        (e.conversation_id, e.communication_id, e.event_type, e.wrapup_code, e.occurred_at)
        for e in events
        if e.origin != "snapshot"
    }
    return [
        record
        for record in sim.ledger()
        if record["event_type"] in RESTORED
        and not record["replaced"]
        and (
            record["conversation_id"],
            record["communication_id"],
            record["event_type"],
            record["wrapup_code"],
            record["occurred_at"],
        )
        not in known
    ]
