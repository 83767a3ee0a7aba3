"""The leader and the gap ledger in a real Redis that forgets everything."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
import redis
from prometheus_client import CollectorRegistry

from coordinator.discovery import Discovery
from coordinator.metrics import Metrics
from coordinator.passes import Passes
from coordinator.plan.clock import UNSEEN_MS
from coordinator.plan.coverage import ShardCoverage
from janitor.claims import NEVER, Leases
from mirror.fleet.gaps import Gap, file_gap, list_gaps
from mirror.fleet.words import Shard
from mirror.redis.clock import redis_now_ms
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.settings import Settings, load


@pytest.fixture
def settings(redis_url: str) -> Settings:
    """Of a coordinator that is asked for each pass, and so needs nothing but Redis."""
    return load({"REDIS_URL": redis_url, "GENESYS_CLIENTS": "p:p"})


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    """The test's own view."""
    with connect(settings) as made:
        yield made


@pytest.fixture
def coordinators(settings: Settings) -> Iterator[Iterator[Passes]]:
    """As many as are asked for."""
    clients: list[redis.Redis] = []

    def more() -> Iterator[Passes]:
        while True:
            own = connect(settings)
            clients.append(own)
            discovery = Discovery(settings, [])
            name = f"coordinator-{len(clients)}"
            yield Passes(settings, own, name, discovery, Metrics(CollectorRegistry()))

    yield more()
    for own in clients:
        own.close()


def gap(name: str) -> Gap:
    """An open gap."""
    return Gap(id=name, shard="1", topics=("v2.users.u.conversations",), from_ms=1, to_ms=2)


def finish_next(client: redis.Redis, keys: Keys) -> str:
    """As a janitor: claim the next gap and fill it; its id."""
    leases = Leases(client, keys, "events")
    claim = leases.claim_gaps(1, 60.0)
    (gap_id,) = claim.ids
    filled = msgspec.structs.replace(gap(gap_id), state="filled")
    assert leases.write_gap(claim.lease, filled, NEVER)
    return gap_id


def test_a_flush_loses_no_open_gap_and_opens_no_filled_one(
    settings: Settings, client: redis.Redis, coordinators: Iterator[Passes]
) -> None:
    """Open and claimed gaps are claimable again after the next pass; a filled one stays gone."""
    keys = Keys(settings.namespace)
    coordinator = next(coordinators)
    for name in ("one", "two", "three"):
        file_gap(client, keys, gap(name))
    coordinator.turn()
    filled = finish_next(client, keys)
    Leases(client, keys, "events").claim_gaps(1, 60.0)  # by a janitor that goes on with it
    coordinator.turn()

    client.flushall()
    client.script_flush()
    coordinator.turn()

    left = {"one", "two", "three"} - {filled}
    assert list_gaps(client, keys) == [gap(name) for name in sorted(left)]
    claim = Leases(client, keys, "events").claim_gaps(9, 60.0)
    assert set(claim.ids) == left


def test_a_gap_of_its_own_survives_a_flush_right_after_its_filing(
    settings: Settings, client: redis.Redis, coordinators: Iterator[Passes]
) -> None:
    """What this leader filed is remembered from the filing on; nothing is filed twice."""
    keys = Keys(settings.namespace)
    coordinator = next(coordinators)
    coordinator.turn()
    coordinator._unfiled.append(gap("mine"))  # as a pass leaves it that found a gap
    coordinator.turn()
    client.flushall()
    coordinator.turn()
    coordinator.turn()
    assert list_gaps(client, keys) == [gap("mine")]


def test_a_new_leader_remembers_what_others_filed(
    settings: Settings, client: redis.Redis, coordinators: Iterator[Passes]
) -> None:
    """Its first pass reads the ledger: of its predecessor's gaps none is lost either."""
    keys = Keys(settings.namespace)
    old, new = next(coordinators), next(coordinators)
    old.turn()
    old._unfiled.append(gap("old"))  # as above
    old.turn()
    old.leadership.resign()
    new.turn()
    client.flushall()
    new.turn()
    assert list_gaps(client, keys) == [gap("old")]


def test_one_that_led_before_does_not_file_what_was_filled_since(
    settings: Settings, client: redis.Redis, coordinators: Iterator[Passes]
) -> None:
    """It keeps up while another one leads, so that after a flush it remembers no old ledger."""
    keys = Keys(settings.namespace)
    first, second = next(coordinators), next(coordinators)
    first.turn()
    first._unfiled.append(gap("old"))  # as above
    first.turn()
    first.leadership.resign()
    second.turn()
    assert finish_next(client, keys) == "old"
    file_gap(client, keys, gap("new"))
    first.turn()
    second.leadership.resign()
    client.flushall()
    first.turn()
    assert list_gaps(client, keys) == [gap("new")]


def test_the_metric_of_open_gaps_has_none_that_was_asked_for_by_hand(
    settings: Settings, client: redis.Redis, coordinators: Iterator[Passes]
) -> None:
    """Its alert is for cover that was lost, not for a person's long back-fill."""
    keys = Keys(settings.namespace)
    for name, filed_by in (("lost", "leader"), ("asked", "hand"), ("asked too", "hand")):
        file_gap(client, keys, msgspec.structs.replace(gap(name), filed_by=filed_by))
    coordinator, registry = next(coordinators), CollectorRegistry()
    coordinator.metrics = Metrics(registry)
    coordinator.turn()
    assert registry.get_sample_value("mirror_gaps_open") == 1


def test_a_new_leader_moves_a_frontier_of_the_future_back(
    settings: Settings, client: redis.Redis, coordinators: Iterator[Passes]
) -> None:
    """Redis' clock went back by an hour: the stored frontier, and the time of the last pass, say
    so. The new leader stores a frontier that hides nothing."""
    keys = Keys(settings.namespace)
    ahead_ms = redis_now_ms(client) + 3_600_000
    shard = Shard("1", ("v2.users.u.conversations",), 1)
    client.set(keys.shard("1"), msgspec.json.encode(shard))
    client.hset(keys.shards, "1", "1")
    frontier_ms = ahead_ms - 1_000
    client.hset(keys.coverage, "1", msgspec.json.encode(ShardCoverage(until_ms=frontier_ms)))
    client.set(keys.passed, str(ahead_ms))
    next(coordinators).turn()
    stored = client.hget(keys.coverage, "1")
    assert isinstance(stored, str)
    until_ms = msgspec.json.decode(stored, type=ShardCoverage).until_ms
    now_ms = redis_now_ms(client)
    assert until_ms is not None
    assert now_ms - UNSEEN_MS - 60_000 < until_ms <= now_ms - UNSEEN_MS - 1_000
    assert int(str(client.get(keys.passed))) <= now_ms
