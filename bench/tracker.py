"""How many events a second one core folds, and what a million active conversations weigh.

    python -m bench.tracker [--events 300000] [--conversations 1000000] [--redis URL]

Feeds encoded events to the tracker's own fold and store, batch by batch as the consumer would, on a
real Redis that it starts on loopback. CPU seconds are those of this process; Redis' own are told
beside them. With `--kafka` the whole tracker reads the events from a real Kafka, librdkafka's
threads included.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import redis
from confluent_kafka import Producer

from coordinator.tracker.batch import changes, read
from coordinator.tracker.fold import TrackedEvent
from coordinator.tracker.service import BATCH, Tracker
from coordinator.tracker.store import ConversationStore
from harness.kafka import KafkaCluster
from harness.kafka_topics import create_topic
from harness.redis import RedisServer
from mirror.conversation.event import Event, identity
from mirror.fleet.tracked import Tracked, TrackedLeg, encode
from mirror.kafka.record import Recorder
from mirror.redis.keys import Keys
from mirror.settings import load
from mirror.settings.model import Encoding

QUEUES = [str(uuid.UUID(int=random.getrandbits(128))) for _ in range(200)]
AT = "2026-11-23T10:00:00.123Z"


def conversation_events(seed: random.Random) -> Iterator[Event]:
    """The life of a call: customer, acd and agent, one hold; each event seen by two replicas."""

    def some_id() -> str:
        return str(uuid.UUID(int=seed.getrandbits(128)))

    conversation, queue, agent = some_id(), seed.choice(QUEUES), some_id()
    legs = {purpose: (some_id(), some_id()) for purpose in ("customer", "acd", "agent")}

    def event(event_type: Any, purpose: str | None, state: str, *occurrence: str) -> Event:
        participant, communication = legs[purpose] if purpose else (None, None)
        parts = (participant or "", "call", event_type) if purpose else (event_type,)
        return Event(
            event_id=identity(conversation, *parts, *(occurrence or ("",) if purpose else ())),
            event_type=event_type,
            conversation_id=conversation,
            participant_id=participant,
            media_type="call" if purpose else None,
            communication_id=communication,
            purpose=purpose,
            agent_id=agent if purpose == "agent" else None,
            queue_id=queue if purpose else None,
            direction="inbound" if purpose else None,
            state=state,
            occurred_at=AT,
            received_at=AT,
            source_topic=f"v2.routing.queues.{queue}.conversations",
        )

    yield event("start", None, "active")
    yield event("answer", "customer", "connected")
    yield event("answer", "acd", "connected")
    yield event("alert", "agent", "alerting")
    yield event("answer", "agent", "connected")
    yield event("disconnect", "acd", "disconnected")
    yield event("disconnect", "agent", "disconnected")
    yield event("acw", "agent", "disconnected")
    yield event("disconnect", "customer", "disconnected")
    yield event("end", None, "ended")


def interleaved(events: int, encoding: Encoding) -> list[bytes]:
    """So many encoded events of conversations that overlap, each event twice."""
    seed = random.Random(1)
    record = Recorder("t", "mypurecloud.com", encoding)
    lives: list[Iterator[Event]] = []
    values: list[bytes] = []
    while len(values) < events:
        while len(lives) < 2_000:
            lives.append(conversation_events(seed))
        index = seed.randrange(len(lives))
        following = next(lives[index], None)
        if following is None:
            lives[index] = lives[-1]
            lives.pop()
            continue
        values += [record.encode(following)] * 2
    return values


def fold_rate(client: redis.Redis, events: int, encoding: Encoding, partitions: int) -> None:
    """Fold `events` in batches of the consumer's size, shared out over partitions; print rates."""
    values = interleaved(events, encoding)
    client.flushall()
    store = ConversationStore(client, Keys("bench"), "t")
    offsets = [0] * partitions
    size = BATCH // partitions
    redis_before = redis_cpu(client)
    cpu = time.process_time()
    wall = time.perf_counter()
    for turn, start in enumerate(range(0, len(values), size)):
        batch = values[start : start + size]
        conversations, _ = read(batch)
        found = changes(conversations, store.documents(list(conversations)), 14_400.0, {})
        partition = turn % partitions
        stored = str(offsets[partition]) if offsets[partition] else ""
        offsets[partition] += len(batch)
        assert store.apply(partition, stored, offsets[partition], found, behind=False)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(
        f"fold {encoding:8} {partitions:3} partitions, batches of {size:5}: "
        f"{len(values) / wall:9,.0f} events/s, {len(values) / cpu:9,.0f} a core of ours, "
        f"Redis {len(values) / (redis_cpu(client) - redis_before):9,.0f} a core"
    )


def whole_tracker(client: redis.Redis, url: str, events: int, folder: Path) -> None:
    """Let the tracker read `events` from a Kafka of one broker and 12 partitions; print rates."""
    values = interleaved(events, "json")
    client.flushall()
    with KafkaCluster.to_measure(folder) as cluster:
        topic = create_topic(cluster.bootstrap_servers, "bench", partitions=12)
        producer = Producer(
            {"bootstrap.servers": cluster.bootstrap_servers, "linger.ms": 20, "acks": "all"}
        )
        for value in values:
            conversation = msgspec.json.decode(value, type=TrackedEvent).conversation_id
            while True:
                try:
                    producer.produce(topic, value, conversation)
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.flush(60)
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": cluster.bootstrap_servers,
            "REDIS_URL": url,
            "MIRROR_TOPIC": topic,
        }
        tracker, stop = Tracker(load(environment)), threading.Event()
        thread = threading.Thread(target=tracker.run, args=(stop,))
        thread.start()
        while not tracker.events:
            time.sleep(0.005)
        begun, cpu, wall = tracker.events, time.process_time(), time.perf_counter()
        while tracker.events < len(values):
            time.sleep(0.005)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        count = tracker.events - begun
        stop.set()
        thread.join()
    print(
        f"whole tracker, 12 partitions: {count / wall:9,.0f} events/s, "
        f"{count / cpu:9,.0f} a core of ours"
    )


def redis_cpu(client: redis.Redis) -> float:
    """CPU seconds that the server has used."""
    info: Any = client.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


def weight(client: redis.Redis, conversations: int) -> None:
    """Store so many active conversations of three open legs and one ended; print their bytes."""
    client.flushall()
    seed = random.Random(2)
    keys = Keys("bench")
    base = memory(client)

    def some_id() -> str:
        return str(uuid.UUID(int=seed.getrandbits(128)))

    for start in range(0, conversations, 10_000):
        pipe = client.pipeline(transaction=False)
        active: dict[str, float] = {}
        for _ in range(min(10_000, conversations - start)):
            queue = seed.choice(QUEUES)
            legs = [
                TrackedLeg(
                    some_id(),
                    some_id(),
                    "call",
                    purpose,
                    some_id() if purpose == "agent" else None,
                    queue,
                    direction="inbound",
                    state="connected",
                    answered=True,
                )
                for purpose in ("customer", "acd", "agent")
            ]
            conversation = some_id()
            since = 1_764_000_000_000 + seed.randrange(10**7)
            document = encode(Tracked(since, legs, [f"{some_id()} {some_id()}"]))
            pipe.set(keys.conversation(conversation), document)
            active[conversation] = float(since)
        pipe.zadd(keys.active, active)
        pipe.execute()
    used = memory(client) - base
    print(
        f"weight: {conversations:,} active conversations, 4 legs each: {used / 2**20:,.0f} MiB, "
        f"{used / conversations:,.0f} bytes each"
    )


def memory(client: redis.Redis) -> int:
    """Bytes that the server holds."""
    info: Any = client.info("memory")
    return int(info["used_memory"])


def main() -> None:
    """Run both measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--conversations", type=int, default=1_000_000)
    parser.add_argument("--kafka", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:
        client = redis.Redis(port=server.port, decode_responses=True, protocol=2)
        for encoding in ("json", "msgpack"):
            for partitions in (1, 12):
                fold_rate(client, options.events, encoding, partitions)
        if options.kafka:
            whole_tracker(client, server.url, options.events, Path(folder) / "kafka")
        if options.conversations:
            weight(client, options.conversations)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory of this process: {peak // 1024} MiB, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
