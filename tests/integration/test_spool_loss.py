"""What a spool lost becomes a gap of the ledger, in Redis' time, once."""

from __future__ import annotations

import time

import msgspec

from listeners.fleet_link import FleetLink
from mirror.fleet.gaps import list_gaps
from mirror.fleet.words import Shard
from mirror.redis.clock import redis_now_ms
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.settings import load


def test_a_loss_is_a_gap_of_every_shard(redis_url: str) -> None:
    """Filed again it stays one; a shard without topics has nothing to fill."""
    settings = load({"REDIS_URL": redis_url})
    client = connect(settings)
    keys = Keys(settings.namespace)
    link = FleetLink(client, settings)
    until = round(time.time() * 1000)
    assert link.file_loss("me.broken-1", until - 60_000, until, "me") == 0
    for shard in (Shard("1", ("t1", "t2"), 1), Shard("2", ("t3",), 1), Shard("3", (), 1)):
        client.set(keys.shard(shard.id), msgspec.json.encode(shard))
        client.hset(keys.shards, shard.id, "1")
    for _ in range(2):
        assert link.file_loss("me.broken-1", until - 60_000, until, "me") == 2
    assert link.file_loss("me.broken-2", until - 60_000, until, "me") == 2
    gaps = list_gaps(client, keys)
    assert sorted(gap.topics for gap in gaps) == [("t1", "t2"), ("t1", "t2"), ("t3",), ("t3",)]
    now = redis_now_ms(client)
    for gap in gaps:
        assert (gap.kind, gap.state, gap.filed_by) == ("gap", "open", "me")
        assert now - 5_000 < gap.to_ms <= now
        assert 59_000 < gap.to_ms - gap.from_ms < 61_000
