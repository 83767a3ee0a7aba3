"""One contract for all that asks Redis in `mirror.fleet`, and for its clock: one line says why."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from mirror.base.errors import RedisUnavailable
from mirror.fleet import backfill, gaps, names, requests, status_reader, topics, tracked
from mirror.fleet.gaps import Gap
from mirror.fleet.words import Seat
from mirror.redis import clock
from mirror.redis.connect import explained
from mirror.redis.keys import Keys
from mirror.settings import load

KEYS = Keys("test")
SETTINGS = load({})
GAP = Gap(id="g", shard="1", topics=("t",), from_ms=0, to_ms=1)
Ask = Callable[[redis.Redis], Any]
ASKED: dict[str, Ask] = {
    "file_backfill": lambda client: backfill.file_backfill(client, KEYS, 0, 1),
    "file_recall": lambda client: backfill.file_recall(client, KEYS, 0, 1),
    "unmirrored": lambda client: backfill.unmirrored(client, KEYS, queues=["q"]),
    "follow": lambda client: backfill.follow(client, KEYS, ["g"]),
    "file_gap": lambda client: gaps.file_gap(client, KEYS, GAP),
    "list_gaps": lambda client: gaps.list_gaps(client, KEYS),
    "list_ongoing_gaps": lambda client: gaps.list_ongoing_gaps(client, KEYS),
    "show_gaps": lambda client: gaps.show_gaps(client, KEYS, 1),
    "read_shards": lambda client: topics.read_shards(client, KEYS),
    "read_names": lambda client: names.read_names(client, KEYS, "queues"),
    "read_topics": lambda client: topics.read_topics(client, SETTINGS),
    "mirrored_names": lambda client: topics.mirrored_names(client, KEYS, "queues"),
    "redis_now_ms": clock.redis_now_ms,
    "request_drain": lambda client: requests.request_drain(client, KEYS, "l"),
    "take_back_drain": lambda client: requests.take_back_drain(client, KEYS, "l"),
    "request_rebalance": lambda client: requests.request_rebalance(client, KEYS),
    "request_rotation": lambda client: requests.request_rotation(client, KEYS, Seat("1", "a")),
    "read": lambda client: status_reader.read(client, SETTINGS),
    "read_channels": lambda client: status_reader.read_channels(client, SETTINGS),
    "find_active": lambda client: tracked.find_active(client, KEYS, "c", 1),
    "read_conversation": lambda client: tracked.read_conversation(client, KEYS, "c"),
    "show_conversation": lambda client: tracked.show_conversation(client, KEYS, "c"),
    "list_conversations": lambda client: list(tracked.list_conversations(client, KEYS)),
    "read_active": lambda client: list(tracked.read_active(client, KEYS)),
    "scan_active": lambda client: list(tracked.scan_active(client, KEYS)),
    "count_conversations": lambda client: tracked.count_conversations(client, KEYS),
    "oldest_due_seconds": lambda client: tracked.oldest_due_seconds(client, KEYS),
}


@pytest.fixture
def nobody() -> Iterator[redis.Redis]:
    """A client of a port at which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port, once = held.getsockname()[1], Retry(NoBackoff(), 0)
        with redis.Redis("127.0.0.1", port, retry=once) as client:
            yield client


def test_every_function_that_takes_a_client_is_asked() -> None:
    """A new one has a row of its own."""
    found = {
        name
        for module in (backfill, clock, gaps, names, requests, status_reader, topics, tracked)
        for name, value in vars(module).items()
        if isinstance(value, FunctionType)
        and not name.startswith("_")
        and value.__module__.startswith(("mirror.fleet.", clock.__name__))
        and "client" in value.__annotations__
    }
    assert found == set(ASKED)


@pytest.mark.parametrize("name", ASKED)
def test_without_redis_it_is_unavailable(name: str, nobody: redis.Redis) -> None:
    """What redis-py raises stays within the library."""
    with pytest.raises(RedisUnavailable, match=r"^Redis does not answer"):
        ASKED[name](nobody)


@pytest.mark.parametrize("name", ASKED)
def test_a_caller_may_name_the_redis(name: str, nobody: redis.Redis) -> None:
    """A command names where it asked, whatever explained the failure before."""
    where = "Redis at redis://here"
    with pytest.raises(RedisUnavailable, match=f"^{where} does not answer"), explained(where):
        ASKED[name](nobody)
