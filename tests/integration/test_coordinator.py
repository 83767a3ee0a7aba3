"""`mirror coordinator` as a process, with real Redis, the simulator, and listeners of the test's
own that beat by `FleetLink` and claim every granted channel to be live."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import redis

from harness.pages import health
from harness.process import ManagedProcess, free_ports
from harness.simulated import Simulated, simulated
from listeners.fleet_link import FleetLink
from mirror.fleet.requests import request_drain, request_rotation
from mirror.fleet.status_reader import read
from mirror.fleet.words import Beat, ChannelReport, Grant, ListenerState, Seat, Shard
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.settings import Settings, load

SECONDS = 25.0
LEASE = 2.0
BEAT_SECONDS = 0.2
CLIENTS = ("--client", "p:p", "--client", "q:q")


class Fleet:
    """Listeners that are as good as their word."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        self._link = FleetLink(client, settings)
        self.grants: dict[str, tuple[Grant, ...]] = {}
        self.states: dict[str, ListenerState] = {}
        self._versions: dict[str, int] = {}
        self._shards: dict[str, dict[str, Shard]] = {}
        self._since = time.monotonic()

    def join(self, name: str) -> None:
        """Another listener, on a host of its own."""
        self.grants[name], self.states[name], self._versions[name] = (), "live", 0

    def die(self, name: str) -> None:
        """It beats no more, and says nothing."""
        del self.grants[name], self.states[name], self._versions[name]

    def beat(self) -> None:
        """Everybody beats once."""
        covered = round((time.monotonic() - self._since) * 1000)
        for name, grants in self.grants.items():
            reports = tuple(
                ChannelReport(
                    shard=grant.shard,
                    replica=grant.replica,
                    epoch=grant.epoch,
                    client=grant.client,
                    state="live",
                    covered_ms=covered,
                    last_frame_ms=0,
                    shard_epoch=grant.shard_epoch,
                )
                for grant in grants
            )
            state = self.states[name]
            beat = Beat(listener=name, host=name, pid=1, version="0", state=state, channels=reports)
            told = self._link.beat(beat, self._versions[name])
            if told is not None:
                self._versions[name], self.grants[name] = told.version, told.grants
                self._shards[name] = self._link.shards([grant.shard for grant in told.grants])
            self._link.restore_shards(self._shards.get(name, {}).values())

    def seats(self) -> dict[Seat, str]:
        """Seat → who has it."""
        return {grant.seat: name for name, mine in self.grants.items() for grant in mine}

    def until(self, done: Callable[[], bool], goal: str) -> None:
        """Beat until something is so."""
        deadline = time.monotonic() + SECONDS
        while not done():
            assert time.monotonic() < deadline, f"not in time: {goal}; seats {self.seats()}"
            self.beat()
            time.sleep(BEAT_SECONDS)


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Simulated]:
    """Thirty users and five queues."""
    options = ("--users", "30", "--queues", "5", "--no-autostart", *CLIENTS)
    with simulated(tmp_path / "sim", *options, login=False) as sim:
        yield sim


@pytest.fixture
def environment(sim: Simulated, redis_url: str) -> dict[str, str]:
    """What a coordinator of this test is started with. No Kafka: it must not need it to lead."""
    return {
        "GENESYS_API_URL": sim.url,
        "GENESYS_CLIENTS": "p:p,q:q",
        "REDIS_URL": redis_url,
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",  # leading needs no Kafka
        "MIRROR_STARTUP_TIMEOUT": "0",
        "MIRROR_TOPICS_PER_CHANNEL": "10",
        "MIRROR_HEARTBEAT": f"{BEAT_SECONDS}s",
        "MIRROR_LEASE": f"{LEASE}s",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }


@pytest.fixture
def fleet(environment: dict[str, str]) -> Iterator[Fleet]:
    """An empty fleet on the same Redis."""
    settings = load(environment)
    with connect(settings) as client:
        yield Fleet(client, settings)


def coordinator(environment: dict[str, str], folder: Path) -> ManagedProcess:
    """A coordinator, to be started by `with`."""
    return ManagedProcess.python_module("coordinator", folder=folder, env=environment)


def test_seats_follow_the_living(environment: dict[str, str], fleet: Fleet, tmp_path: Path) -> None:
    """Discovered, cut, granted to two hosts; a death, a drain and a rotation are followed."""
    fleet.join("l1")
    fleet.join("l2")
    with coordinator(environment, tmp_path / "c") as process:
        fleet.until(lambda: len(fleet.seats()) == 8, "four shards on two listeners")
        for shard in "1234":
            assert fleet.seats()[Seat(shard, "a")] != fleet.seats()[Seat(shard, "b")]
        assert {g.client for mine in fleet.grants.values() for g in mine} == {"p", "q"}

        fleet.join("l3")
        fleet.until(lambda: len(fleet.grants["l3"]) >= 2, "the newcomer gets its share")
        fleet.die("l2")
        fleet.until(
            lambda: sorted(map(len, fleet.grants.values())) == [4, 4], "the dead one's seats move"
        )
        fleet.join("l4")
        fleet.states["l3"] = "draining"
        fleet.until(lambda: fleet.grants["l3"] == (), "the draining one is relieved")
        fleet.until(lambda: len(fleet.seats()) == 8, "nothing was lost")

        settings = load(environment)
        with connect(settings) as client:
            seat = fleet.grants["l1"][0]
            request_rotation(client, Keys(settings.namespace), seat.seat)
            fleet.until(
                lambda: any(
                    grant.seat == seat.seat and grant.epoch > seat.epoch
                    for mine in fleet.grants.values()
                    for grant in mine
                ),
                "the seat has a higher epoch",
            )
        process.stop()
        assert process.returncode == 0


def test_filters_that_select_nothing_take_the_mirror_down(
    environment: dict[str, str], fleet: Fleet, tmp_path: Path
) -> None:
    """Once everything was listed; the first reason names the filters."""
    fleet.join("l1")
    nothing = environment | {"MIRROR_QUEUES": "nothing*", "MIRROR_USERS": "nobody*"}
    settings = load(nothing)
    with connect(settings) as client, coordinator(nothing, tmp_path / "c"):
        reason = (
            "no topic is mirrored: MIRROR_QUEUES: 'nothing*' matches no queue; "
            "MIRROR_USERS: 'nobody*' matches no user"
        )
        fleet.until(lambda: reason in read(client, settings).reasons[:1], "status has the reason")
        assert read(client, settings).health == "down"


def test_another_one_leads_when_the_leader_dies(
    environment: dict[str, str], fleet: Fleet, tmp_path: Path
) -> None:
    """`kill -9` of the leader: within the lease and a second the other leads, and moves nothing."""
    fleet.join("l1")
    fleet.join("l2")
    settings = load(environment)
    key = Keys(settings.namespace).leader
    with connect(settings) as client, coordinator(environment, tmp_path / "one") as leader:
        fleet.until(lambda: len(fleet.seats()) == 8, "everything is granted")
        first = client.get(key)
        with coordinator(environment, tmp_path / "two") as two:
            fleet.until(lambda: '"started"' in two.stderr, "has started")
            before = dict(fleet.grants)
            leader.kill()
            killed = time.monotonic()
            fleet.until(lambda: client.get(key) not in {None, first}, "another one leads")
            assert time.monotonic() - killed < LEASE + 1.5
            for _ in range(10):
                fleet.beat()
                time.sleep(BEAT_SECONDS)
            assert fleet.grants == before


def test_a_coordinator_without_memory_moves_nothing_on_an_empty_redis(
    environment: dict[str, str], fleet: Fleet, tmp_path: Path
) -> None:
    """Redis and every coordinator forget everything: the shards are those that the listeners hold,
    under the grants that they have."""
    fleet.join("l1")
    fleet.join("l2")
    settings = load(environment)
    keys = Keys(settings.namespace)
    with connect(settings) as client:
        with coordinator(environment, tmp_path / "one") as leader:
            fleet.until(lambda: len(fleet.seats()) == 8, "everything is granted")
            leader.kill()
        before = {name: {(g.seat, g.epoch) for g in mine} for name, mine in fleet.grants.items()}
        shards = client.hgetall(keys.shards)
        client.flushall()
        with coordinator(environment, tmp_path / "two"):
            fleet.until(lambda: client.exists(keys.assignment("l1")) == 1, "another one leads")
            for _ in range(20):
                fleet.beat()
                time.sleep(BEAT_SECONDS)
        after = {name: {(g.seat, g.epoch) for g in mine} for name, mine in fleet.grants.items()}
        assert after == before
        assert client.hgetall(keys.shards) == shards


def _exists(client: redis.Redis, name: str) -> bool:
    return bool(client.exists(name))


def test_each_lost_key_comes_back(
    environment: dict[str, str], fleet: Fleet, tmp_path: Path
) -> None:
    """Redis evicts keys one by one: an index may outlive its documents, and they their index."""
    fleet.join("l1")
    fleet.join("l2")
    settings = load(environment)
    keys = Keys(settings.namespace)
    with connect(settings) as client, coordinator(environment, tmp_path / "one"):
        fleet.until(lambda: len(fleet.seats()) == 8, "everything is granted")
        names = [keys.shard(shard) for shard in client.hgetall(keys.shards)]
        names += [keys.assignment(listener) for listener in ("l1", "l2")]
        names += [keys.shards, keys.seats, keys.coverage, keys.leader]
        assert len(names) >= 4 + 2 + 4
        for name in names:
            assert client.delete(name) == 1, name
            fleet.until(partial(_exists, client, name), f"{name} is there again")


def test_a_drain_that_nobody_can_take_over_is_told(
    environment: dict[str, str], fleet: Fleet, tmp_path: Path
) -> None:
    """Of two listeners none can go: it keeps its seats, and health says why until one joins."""
    port = free_ports(1)[0]
    fleet.join("l1")
    fleet.join("l2")
    settings = load(environment)

    telling = environment | {"MIRROR_METRICS_PORT": str(port)}
    with connect(settings) as client, coordinator(telling, tmp_path / "c"):
        fleet.until(lambda: len(fleet.seats()) == 8, "everything is granted")
        fleet.until(lambda: "seat" not in str(health(port)["reasons"]), "nothing is wrong with it")
        request_drain(client, Keys(settings.namespace), "l1")
        told = "4 seats cannot be placed: no listener"
        fleet.until(lambda: told in str(health(port)["reasons"]), "it is told")
        assert len(fleet.grants["l1"]) == 4
        fleet.join("l3")
        fleet.until(lambda: fleet.grants["l1"] == (), "it is relieved")
        fleet.until(lambda: told not in str(health(port)["reasons"]), "nothing is told")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"REDIS_URL": "redis://:s3cret@127.0.0.1:1/0"}, "REDIS_URL"),
        ({"GENESYS_CLIENTS": "p:wrong"}, "GENESYS_CLIENT_SECRET"),
        ({"GENESYS_API_URL": "http://127.0.0.1:1"}, "GENESYS_API_URL"),
        ({}, "KAFKA_BOOTSTRAP_SERVERS"),
    ],
)
def test_start_up_gives_up_in_time(
    environment: dict[str, str], tmp_path: Path, change: dict[str, str], named: str
) -> None:
    """An unreachable or refusing dependency: exit code 3, and a line that names the cure."""
    more = {"MIRROR_STARTUP_TIMEOUT": "1s", "MIRROR_LOG_LEVEL": "error"}
    with coordinator(environment | change | more, tmp_path / "c") as process:
        process.wait_for(lambda: not process.running, SECONDS, "has ended")
        assert process.returncode == 3
        (line,) = process.stderr.strip().splitlines()
        assert named in line
        assert "s3cret" not in line
        assert "wrong" not in line


def test_a_client_that_is_refused_stops_no_coordinator(
    environment: dict[str, str], fleet: Fleet, tmp_path: Path
) -> None:
    """The other one lists everything; health names the one that Genesys refuses."""
    port = free_ports(1)[0]
    more = {"GENESYS_CLIENTS": "p:p,q:wrong", "MIRROR_METRICS_PORT": str(port)}
    fleet.join("l1")
    fleet.join("l2")
    with coordinator(environment | more, tmp_path / "c"):
        fleet.until(lambda: len(fleet.seats()) == 8, "everything is granted")
        fleet.until(lambda: "OAuth client q" in str(health(port)["reasons"]), "health names it")


def test_what_a_start_waits_for_is_in_the_status(
    environment: dict[str, str], fleet: Fleet, tmp_path: Path
) -> None:
    """Nobody has to read its log, even if the start may wait for ever."""
    settings = load(environment)
    wrong = environment | {"GENESYS_CLIENTS": "p:wrong,q:wrong"}
    with connect(settings) as client, coordinator(wrong, tmp_path / "c") as process:
        told = "1 coordinator waits at the start"
        fleet.until(lambda: told in read(client, settings).reasons[0], "status has it")
        reasons = read(client, settings).reasons
        assert "refuses OAuth client p" in reasons[0]
        assert "start `mirror coordinator`" not in str(reasons)
        process.stop()
        fleet.until(
            lambda: told not in str(read(client, settings).reasons), "status has it no more"
        )
