"""What a handshake says of a channel: by whose word it is given up."""

from __future__ import annotations

import ssl
from queue import SimpleQueue
from random import Random

import pytest

from listeners.channels.actions import Action, Connect, Create, Reserve
from listeners.channels.adapters import GenesysAdapter, RedisAdapter
from listeners.channels.channel import Channel
from listeners.channels.executor import Executor, Outcome
from listeners.channels.workers import Workers
from mirror.fleet.words import Grant
from mirror.genesys.client import GenesysClient
from mirror.genesys.handles import Handle
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.redis.rate import RateBudget
from mirror.settings import load
from tests.unit.genesys.test_sockets import answering

FOREIGN = "wss://streaming.mypurecloud.com.evil.example/channels/streaming-1-secret"


TOPICS = ("v2.users.x.conversations",)


def tried(uri: str, **environment: str) -> tuple[Channel, list[Action]]:
    """A channel of the seat's last holder, after one handshake with `uri`, and what it asks for
    next."""
    settings = load({"GENESYS_CLIENT_ID": "a", "GENESYS_CLIENT_SECRET": "b", **environment})
    budget = RateBudget(None, Keys("default"), "a")
    adapter = GenesysAdapter(GenesysClient(settings, settings.clients[0], budget))
    outcomes: SimpleQueue[Outcome] = SimpleQueue()
    workers = Workers(1)
    executor = Executor(
        workers,
        {"a": adapter},
        RedisAdapter(connect(settings), settings),
        lambda _, outcome: outcomes.put(outcome),
        context=ssl.create_default_context(),
        user_agent="test",
        opened=lambda *_: None,
    )
    handle = Handle("streaming-1-secret", uri)
    grant = Grant("1", "a", 1, "a", 1, handle=handle)
    channel = Channel(grant, TOPICS, 0.0, holder="me", silence=35, rng=Random(1))
    (reserve,) = channel.tick(0.0)
    assert isinstance(reserve, Reserve)
    (first,) = channel.reserved(reserve.number, 0.0, granted=True, retry_in=0)
    assert isinstance(first, Connect)
    assert first.handle == handle
    executor.run(channel, first)
    outcomes.get(timeout=5)(1.0)
    workers.stop(1.0)
    return channel, channel.tick(60.0)


def test_a_foreign_host_is_never_connected_to() -> None:
    """The handle is given up for a channel of our own, whoever wrote it to Redis."""
    channel, later = tried(FOREIGN)
    assert channel.handle is None
    assert not any(isinstance(action, Connect) for action in later)


@pytest.mark.parametrize(
    ("body", "is_given_up"), [(b"<html>Not Found</html>", False), (b'{"code":"not.found"}', True)]
)
def test_a_channel_is_given_up_by_the_word_of_genesys_alone(body: bytes, is_given_up: bool) -> None:
    """A gateway's page in its place may be gone with the next try."""
    answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with answering(answer) as (uri, _):
        url = uri.replace("ws://", "http://").rpartition("/")[0]
        channel, (later,) = tried(uri, GENESYS_API_URL=url)
    assert (channel.handle is None) == is_given_up
    assert isinstance(later, Create if is_given_up else Connect)
