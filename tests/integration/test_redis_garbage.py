"""Values that somebody else wrote under the mirror's keys end nothing and are told as such."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis

from dashboard.reader.fleet import read as read_fleet
from harness.oracle import judge
from harness.process import wait_until
from listeners.fleet_link import FleetLink
from mirror.base.errors import RedisUnavailable
from mirror.checks.genesys import check_genesys
from mirror.fleet.backfill import file_backfill, follow
from mirror.fleet.gaps import Gap, file_gap
from mirror.fleet.status_reader import read
from mirror.fleet.words import Beat, Shard
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.settings import Settings, load
from simulator.ledger import Truth
from tests.integration.small_mirror import small_mirror

GARBAGE = {"nested": "[" * 200_000, "no JSON": "\x00\x01", "another shape": '{"version": []}'}
SPOILT = b"\xff{["  # neither text nor JSON nor a number
KINDS_OF_KEYS = 12
BEAT = Beat(listener="me", host="here", pid=1, version="0", state="live")


@pytest.fixture
def settings(redis_url: str) -> Settings:
    """A mirror on the run's Redis."""
    return load({"REDIS_URL": redis_url})


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    """Its client."""
    with connect(settings) as client:
        yield client


@pytest.mark.parametrize("text", GARBAGE.values(), ids=GARBAGE)
def test_a_listener_s_beat_survives_its_assignment(
    settings: Settings, client: redis.Redis, text: str
) -> None:
    """What cannot be read is no news; a shard that cannot be read is asked to be written anew."""
    link, keys = FleetLink(client, settings), Keys("default")
    link.beat(BEAT, 0)
    client.set(keys.assignment("me"), text)
    assert link.beat(BEAT, 0) is None
    assert link.news("me", 0) is None
    client.hset(keys.shards, "1", "7")
    client.set(keys.shard("1"), text)
    assert link.shards(["1"]) == {}
    assert client.hget(keys.shards, "1") is None


@pytest.mark.parametrize("text", GARBAGE.values(), ids=GARBAGE)
def test_status_goes_without_it_and_says_so_in_one_line(
    settings: Settings, client: redis.Redis, text: str
) -> None:
    """A beat, a shard, a gap and a shard without cover: all else is shown, with the cure."""
    link, keys = FleetLink(client, settings), Keys("default")
    link.beat(BEAT, 0)
    link.beat(msgspec.structs.replace(BEAT, listener="you"), 0)
    client.set(keys.listener("me"), text)
    client.hset(keys.uncovered, "1", text)
    for shard in (Shard("1", ("t",), 1), Shard("2", ("u",), 1)):
        client.hset(keys.shards, shard.id, shard.epoch)
        client.set(keys.shard(shard.id), msgspec.json.encode(shard))
        gap = Gap(id=shard.id, shard=shard.id, topics=shard.topics, from_ms=0, to_ms=1)
        file_gap(client, keys, gap)
    client.set(keys.shard("1"), text)
    client.set(keys.gap("1"), text)
    status = read(client, settings)
    assert [listener.id for listener in status.listeners] == ["you"]
    assert [shard.id for shard in status.shards] == ["2"]
    assert status.gaps.open == 1
    (said,) = [line for line in status.reasons if "MIRROR_NAMESPACE" in line]
    assert "4 values that the mirror cannot read" in said
    assert "\n" not in said
    with pytest.raises(RedisUnavailable, match=r"the first in .*:shard:1: keep other programs"):
        file_backfill(client, keys, 0, 1)  # no shard is left out unseen
    with pytest.raises(RedisUnavailable, match=r"the first in .*:gap:1: keep other programs"):
        follow(client, keys, ["1", "2"])


@pytest.mark.parametrize("text", ["no number", f"{1e18:.0f}"])
def test_a_budget_that_cannot_be_ends_neither_page_nor_doctor(
    redis_url: str, client: redis.Redis, text: str
) -> None:
    """It counts as unused; one far ahead as spent by calls, not by a pause."""
    nowhere = dict.fromkeys(("GENESYS_API_URL", "GENESYS_LOGIN_URL"), "http://127.0.0.1:1")
    settings = load({"REDIS_URL": redis_url, "GENESYS_CLIENTS": "c:secret", **nowhere})
    client.set(Keys("default").rate("c"), text)
    (budget,) = read_fleet(client, settings).budgets
    assert budget.waits_ms == 0
    assert next(check_genesys(settings)).check == "genesys.token"


def spoil(client: redis.Redis, namespace: str) -> set[str]:
    """Overwrite every value under the keys of a mirror, each type as such; the keys."""
    spoilt = set()
    for key in client.scan_iter(f"mirror:{{{namespace}}}:*"):
        kind = client.type(key)
        if kind == b"string":
            client.set(key, SPOILT, keepttl=True)
        elif kind == b"hash":
            client.hset(key, mapping=dict.fromkeys(client.hkeys(key), SPOILT))
        elif kind == b"zset":
            client.zadd(key, {SPOILT: int(client.time()[0]) * 1000})
        else:
            client.sadd(key, SPOILT)
        spoilt.add(key.decode())
    return spoilt


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.kafka
@pytest.mark.timeout(180)
def test_a_mirror_outlives_garbage_under_all_its_keys(kafka: str, tmp_path: Path) -> None:
    """No process ends, the leader writes its own anew, and nothing that happens is missing."""
    with small_mirror(tmp_path, kafka, {"MIRROR_ZOMBIE_AFTER": "1h"}) as mirror:
        settings = load(mirror.env)
        asking, keys = connect(settings), Keys(settings.namespace)
        raw = redis.Redis.from_url(settings.redis_url)
        mirror.control(action="spawn", scenario="endless_call", count=3)
        wait_until(lambda: raw.zcard(keys.active) == 3, 40.0, "they are tracked")
        pids = {name: process.pid for name, process in mirror.processes.items()}
        for _ in range(3):
            spoilt = spoil(raw, keys.namespace)
            wait_until(lambda: _is_ours(raw, keys), 20.0, "the leader's keys are its own")
        assert len(spoilt) >= KINDS_OF_KEYS
        mirror.org.post("/_sim/control", {"action": "start"})

        def well() -> bool:
            status = read(asking, settings)
            return status.health == "ok" and status.conversations.active >= 3

        wait_until(well, 60.0, "the mirror is well again", interval=1.0)
        mirror.org.post("/_sim/control", {"action": "stop"})

        def missing() -> list[Truth]:
            return judge(mirror.ledger(), mirror.events()).missing

        wait_until(lambda: not missing(), 60.0, "nothing is missing", interval=1.0)
        for name, process in mirror.processes.items():
            assert process.running, process.describe(name)
            assert process.pid == pids[name]
            assert b"thread_failed" not in process.stderr_path.read_bytes()
        assert b"unreadable_value" in mirror.processes["coordinator"].stderr_path.read_bytes()


def _is_ours(client: redis.Redis, keys: Keys) -> bool:
    """Whether seats and shards are readable."""
    shards = client.hvals(keys.shards)
    return client.get(keys.seats) != SPOILT and bool(shards) and SPOILT not in shards
