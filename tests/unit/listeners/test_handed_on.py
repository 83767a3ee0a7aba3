"""A channel that was handed on through Redis is opened on a host of Genesys or not at all."""

from __future__ import annotations

import ssl
from queue import SimpleQueue
from random import Random

from listeners.channels.actions import Connect, Reserve
from listeners.channels.channel import Channel
from listeners.channels.executor import Actions, Outcome
from listeners.channels.links import GenesysLink, RedisLink
from listeners.channels.workers import Workers
from mirror.fleet.words import Grant
from mirror.genesys.client import GenesysClient
from mirror.genesys.handles import Handle
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.redis.rate import RateBudget
from mirror.settings import load

FOREIGN = "wss://streaming.mypurecloud.com.evil.example/channels/streaming-1-secret"


def test_a_foreign_host_is_never_connected_to() -> None:
    """The handle is given up for a channel of our own, whoever wrote it to Redis."""
    settings = load({"GENESYS_CLIENT_ID": "a", "GENESYS_CLIENT_SECRET": "b"})
    budget = RateBudget(None, Keys("default"), "a")
    link = GenesysLink(GenesysClient(settings, settings.clients[0], budget))
    outcomes: SimpleQueue[Outcome] = SimpleQueue()
    workers = Workers(1)
    actions = Actions(
        workers,
        {"a": link},
        RedisLink(connect(settings), settings),
        lambda _, outcome: outcomes.put(outcome),
        context=ssl.create_default_context(),
        user_agent="test",
        opened=lambda *_: None,
    )
    handle = Handle("streaming-1-secret", FOREIGN)
    grant = Grant("1", "a", 1, "a", 1, handle=handle)
    channel = Channel(
        grant, ("v2.users.x.conversations",), 0.0, holder="me", silence=35, rng=Random(1)
    )
    (reserve,) = channel.tick(0.0)
    assert isinstance(reserve, Reserve)
    (first,) = channel.reserved(reserve.number, 0.0, granted=True, retry_in=0)
    assert isinstance(first, Connect)
    assert first.handle == handle
    actions.run(channel, first)
    outcomes.get(timeout=5)(1.0)
    workers.stop(1.0)
    later = channel.tick(60.0)
    assert channel.handle is None
    assert not any(isinstance(action, Connect) for action in later)
