"""The tracker on a real Kafka and Redis: exactly once, through kills, rebalances and a flush.

The truth is computed apart, by folding all events in order in the test's own process.
"""

from __future__ import annotations

import random
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import redis
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from harness.kafka import KafkaCluster
from harness.kafka_topics import create_topic
from harness.process import ManagedProcess, wait_until
from janitor.producer import AckedProducer
from mirror.conversation.event import Event
from mirror.conversation.legs import LegKey, end_id, start_id, transition_id
from mirror.fleet.gaps import list_gaps
from mirror.fleet.reasons import tracking as tracking_reasons
from mirror.fleet.tracked import (
    count_conversations,
    list_conversations,
    read_conversation,
    show_conversation,
)
from mirror.fleet.words import Shard
from mirror.fleet.workers import list_workers
from mirror.kafka.admin import ensure_topics
from mirror.redis.clock import redis_now_ms
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.settings import Settings, load
from tests.integration.janitor_support import tracking

AT = "2026-11-23T10:00:00.000Z"


def environment(kafka: str, redis_url: str, topic: str, **more: str) -> dict[str, str]:
    """The settings of a test, as a process gets them."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "REDIS_URL": redis_url,
        "MIRROR_TOPIC": topic,
        "MIRROR_DEAD_LETTER_TOPIC": f"{topic}.dlq",
        "MIRROR_PARTITIONS": "3",
        # A session of its own would take ten seconds to lapse after a kill.
        "KAFKA_CONF_SESSION_TIMEOUT_MS": "6000",
        "MIRROR_NAMESPACE": topic,
        **more,
    }


@pytest.fixture
def settings(kafka: str, redis_url: str, topic_name: str) -> Settings:
    """Settings on topics that exist."""
    made = load(environment(kafka, redis_url, topic_name))
    ensure_topics(made)
    return made


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    """The test's own look into Redis."""
    with redis.Redis.from_url(settings.redis_url, decode_responses=True) as made:
        yield made


def life(conversation: str, *, over: bool) -> list[Event]:
    """A short call, with or without its end; every event twice, as two replicas give it."""

    def event(event_type: str, leg: str | None, state: str) -> Event:
        if leg:
            event_id = transition_id(conversation, LegKey(leg, f"{leg}-call"), event_type)
        elif event_type == "start":
            event_id = start_id(conversation)
        else:
            event_id = end_id(conversation, ["agent agent-call", "customer customer-call"])
        return Event(
            event_id=event_id,
            event_type=event_type,  # type: ignore[arg-type]  # one of the literals
            conversation_id=conversation,
            participant_id=leg,
            media_type="call" if leg else None,
            communication_id=f"{leg}-call" if leg else None,
            queue_id="q1" if leg == "agent" else None,
            state=state,
            occurred_at=AT,
            received_at=AT,
        )

    events = [
        event("start", None, "active"),
        event("answer", "customer", "connected"),
        event("alert", "agent", "alerting"),
        event("answer", "agent", "connected"),
    ]
    if over:
        events += [
            event("disconnect", "agent", "disconnected"),
            event("disconnect", "customer", "disconnected"),
            event("end", None, "ended"),
        ]
    return [event for event in events for _ in range(2)]


def lives(count: int, seed: int) -> tuple[list[Event], set[str]]:
    """Events of so many conversations, interleaved, and the ids of those that stay active."""
    rng = random.Random(seed)
    active = set()
    waiting = []
    for _ in range(count):
        conversation = str(uuid.UUID(int=rng.getrandbits(128)))
        over = rng.random() < 0.8
        if not over:
            active.add(conversation)
        waiting.append(life(conversation, over=over)[::-1])
    mixed = []
    while waiting:
        index = rng.randrange(len(waiting))
        mixed.append(waiting[index].pop())
        if not waiting[index]:
            waiting[index] = waiting[-1]
            waiting.pop()
    return mixed, active


def active_set(client: redis.Redis, settings: Settings) -> set[str]:
    """The active conversations, as Redis has them."""
    return set(client.zrange(Keys(settings.namespace).active, 0, -1))  # type: ignore[arg-type]


def folded(client: redis.Redis, settings: Settings) -> int:
    """How many records the stored offsets account for."""
    fields = client.hgetall(Keys(settings.namespace).offsets(settings.topic))
    return sum(int(value) for name, value in fields.items() if name.isdigit())


def test_what_is_active_is_known_and_shown(settings: Settings, client: redis.Redis) -> None:
    """The active set equals the truth, and `mirror conversations` lists, filters and counts it."""
    events, active = lives(300, seed=1)
    AckedProducer(settings).send(events)
    keys = Keys(settings.namespace)
    with tracking(settings) as tracker:
        wait_until(lambda: folded(client, settings) == len(events), 30, "all folded")
        assert tracker.unreadable == 0
        wait_until(lambda: tracker.caught_up, 15, "the end of every partition was seen")
        assert not [f for f in client.hkeys(keys.offsets(settings.topic)) if "behind" in f]
    assert active_set(client, settings) == active
    assert count_conversations(client, keys)[0] == len(active)
    assert {conversation.id for conversation in list_conversations(client, keys)} == active
    assert {
        conversation.id for conversation in list_conversations(client, keys, queue="q1")
    } == active
    assert not list(list_conversations(client, keys, queue="q2"))
    shown = show_conversation(client, keys, min(active))
    assert shown is not None
    assert [leg.queue_id for leg in shown.legs] == [None, "q1"]
    gone = {event.conversation_id for event in events} - active
    ended = read_conversation(client, keys, min(gone))
    assert ended is not None
    assert ended.ended
    assert 0 < client.pttl(keys.conversation(min(gone))) <= 900_000


def test_a_flushed_redis_is_rebuilt_from_kafka(settings: Settings, client: redis.Redis) -> None:
    """While it runs and events flow, the fold is lost; it comes back whole (guarantee 10)."""
    events, active = lives(400, seed=2)
    half = len(events) // 2
    producer = AckedProducer(settings)
    producer.send(events[:half])
    with tracking(settings) as tracker:
        wait_until(lambda: folded(client, settings) == half, 30, "the first half folded")
        client.flushall()
        producer.send(events[half:])
        wait_until(lambda: folded(client, settings) == len(events), 30, "all folded again")
        assert tracker.rebuilds >= 3
    assert active_set(client, settings) == active


def test_a_fold_without_the_whole_past_asks_genesys(
    settings: Settings, client: redis.Redis
) -> None:
    """Kafka no longer has the beginning of every conversation: once all is folded, each shard has a
    gap that janitors read for what is unfinished at Genesys and not in the fold."""
    events, _ = lives(50, seed=7)
    AckedProducer(settings).send(events)
    keys = Keys(settings.namespace)
    shard = Shard("7", ("v2.users.u.conversations",), 1)
    client.set(keys.shard("7"), msgspec.json.encode(shard))
    client.hset(keys.shards, "7", 1)
    with tracking(settings):
        wait_until(lambda: folded(client, settings) == len(events), 30, "all folded")
        time.sleep(1.5)  # a beat or two
        assert list_gaps(client, keys) == []  # the whole past was there
    admin = AdminClient({"bootstrap.servers": settings.kafka.properties["bootstrap.servers"]})
    cut = [TopicPartition(settings.topic, number, 5) for number in range(3)]
    for future in admin.delete_records(cut).values():
        future.result(10)
    client.delete(keys.offsets(settings.topic))
    with tracking(settings):
        wait_until(lambda: bool(list_gaps(client, keys)), 30, "the gap is filed")
    (gap,) = list_gaps(client, keys)
    assert (gap.kind, gap.shard, gap.topics) == ("recall", "7", shard.topics)
    assert gap.to_ms - gap.from_ms == 31 * 24 * 3_600_000


def test_a_quiet_flush_is_noticed_too(settings: Settings, client: redis.Redis) -> None:
    """Nothing arrives after the flush; the fold is rebuilt all the same."""
    events, active = lives(100, seed=3)
    AckedProducer(settings).send(events)
    with tracking(settings):
        wait_until(lambda: folded(client, settings) == len(events), 30, "all folded")
        client.flushall()
        wait_until(lambda: active_set(client, settings) == active, 30, "rebuilt")


def test_two_trackers_share_the_partitions(settings: Settings, client: redis.Redis) -> None:
    """One joins and one leaves while events flow: nothing is folded wrong or left out."""
    events, active = lives(600, seed=4)
    third = len(events) // 3
    producer = AckedProducer(settings)
    with tracking(settings) as first:
        producer.send(events[:third])
        wait_until(lambda: folded(client, settings) == third, 30, "first third")
        with tracking(settings) as second:
            producer.send(events[third : 2 * third])
            wait_until(lambda: folded(client, settings) == 2 * third, 60, "second third")
            wait_until(lambda: second.caught_up, 30, "the second one has partitions")
        producer.send(events[2 * third :])
        wait_until(lambda: folded(client, settings) == len(events), 60, "all")
        assert first.unreadable == second.unreadable == 0
    assert active_set(client, settings) == active


def test_one_of_more_trackers_than_partitions_is_well_without(
    kafka: str, redis_url: str, topic_name: str
) -> None:
    """It is in the group, and another one has the partition."""
    made = load(environment(kafka, redis_url, topic_name, MIRROR_PARTITIONS="1"))
    ensure_topics(made)
    with tracking(made) as first, tracking(made) as second:
        both = (first, second)
        wait_until(
            lambda: all(tracker._health._joined for tracker in both), 60, "both are in the group"
        )
        assert [tracker.reasons for tracker in both] == [(), ()]
        assert sorted(len(tracker._stored) for tracker in both) == [0, 1]


PROGRAM = """
import sys, threading
from mirror.settings import load
from coordinator.tracker import Tracker, service
service.BATCH = 40
Tracker(load()).run(threading.Event())
"""


def test_kills_lose_and_repeat_nothing(
    kafka: str, settings: Settings, client: redis.Redis, tmp_path: Path
) -> None:
    """SIGKILL again and again while it folds small batches: in the end the truth is in Redis."""
    events, active = lives(500, seed=5)
    AckedProducer(settings).send(events)
    env = environment(kafka, settings.redis_url, settings.topic)
    env["PYTHONPATH"] = str(Path(__file__).parents[2])
    kills = 0
    for turn in range(4):
        before = folded(client, settings)
        if before == len(events):
            break
        argv = [sys.executable, "-c", PROGRAM]
        with ManagedProcess(argv, tmp_path, name=f"t{turn}", env=env) as process:
            process.wait_for(
                lambda: folded(client, settings) > before,  # noqa: B023 - used within the turn
                40,
                "some more folded",
            )
            time.sleep(0.003 * turn)
            process.send(signal.SIGKILL)
            kills += 1
    assert kills >= 1
    with tracking(settings):
        wait_until(lambda: folded(client, settings) == len(events), 60, "all folded")
    assert active_set(client, settings) == active
    for conversation in {event.conversation_id for event in events} - active:
        tracked = read_conversation(client, Keys(settings.namespace), conversation)
        assert tracked is not None
        assert tracked.ended


def test_an_outage_of_redis_is_outlived(
    kafka: str, topic_name: str, redis_server_factory: Callable[..., object]
) -> None:
    """Redis goes and comes back empty: the tracker waits, then rebuilds."""
    server = redis_server_factory()
    made = load(environment(kafka, server.url, topic_name))  # type: ignore[attr-defined]
    ensure_topics(made)
    events, active = lives(200, seed=6)
    producer = AckedProducer(made)
    producer.send(events[: len(events) // 2])
    with tracking(made), redis.Redis.from_url(made.redis_url, decode_responses=True) as look:
        wait_until(lambda: folded(look, made) == len(events) // 2, 30, "half folded")
        server.kill()  # type: ignore[attr-defined]
        producer.send(events[len(events) // 2 :])
        server.start()  # type: ignore[attr-defined]
        wait_until(lambda: folded(look, made) == len(events), 40, "all folded")
        assert active_set(look, made) == active


def test_after_an_outage_of_kafka_the_count_is_marked_as_old(
    kafka_cluster_factory: Callable[[int], KafkaCluster], redis_url: str, topic_name: str
) -> None:
    """While Kafka is away and until its records are folded again; then all is well by itself."""
    cluster = kafka_cluster_factory(1)
    made = load(environment(cluster.bootstrap_servers, redis_url, topic_name))
    create_topic(cluster.bootstrap_servers, topic_name, partitions=3)
    with tracking(made) as tracker:
        was_starting = tracker.is_starting
        wait_until(lambda: tracker.caught_up and not tracker.reasons, 60, "at work")
        assert (was_starting, tracker.is_starting) == (True, False)
        workers = Keys(made.namespace)
        client = connect(made)
        wait_until(lambda: list_workers(client, workers)[0].of, 15, "the topic is known")
        (worker,) = list_workers(client, workers)
        assert (worker.reasons, worker.stale_ms) == ((), 0)
        assert (worker.partitions, worker.of) == (3, 3)
        cluster.brokers[0].kill()
        wait_until(lambda: bool(tracker.reasons), 60, "told")
        assert "no Kafka broker is connected" in tracker.reasons[0]
        wait_until(lambda: bool(list_workers(client, workers)[0].stale_ms), 15, "marked")
        (reason,) = tracking_reasons(list_workers(client, workers), redis_now_ms(client), "")
        assert "the count of conversations stands still" in reason
        cluster.brokers[0].start()
        cluster.wait_ready()
        wait_until(lambda: tracker.reasons == (), 90, "at work again")
        wait_until(lambda: not list_workers(client, workers)[0].stale_ms, 60, "not old any more")
        client.close()
