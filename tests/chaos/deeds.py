"""What the faults do to the house, how they show, and how they are undone.

A deed takes the house and returns what was hit; `struck` and `heal` of a fault get it back. Makers
(`signal_listener(number)`) return deeds, so that the table in `faults.py` stays data.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import ElectionType, KafkaException, TopicPartition

from mirror.base.errors import RedisUnavailable
from mirror.fleet.backfill import file_backfill
from tests.chaos import disk
from tests.chaos.host import Host
from tests.chaos.house import House, signal_process
from tests.services.kafka import Broker
from tests.services.redis import RedisServer

Deed = Callable[[House], Any]

BACKFILLED_MS = 15_000  # more than janitors read between two of these trials piles up
ELECTION_SECONDS = 20.0
ROLL_SECONDS = 60.0
BEGUN_SECONDS = 120.0
DRAIN_SECONDS = 40.0
CLOCK_STEPS = ("+3600", "-3600")
LIBFAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


@dataclass
class Hit:
    """A process that was struck."""

    host: Host
    program: str
    pid: int
    identity: str = ""


# --- processes --------------------------------------------------------------------------------


def signal_listener(number: signal.Signals) -> Deed:
    """Send a signal to the listener that holds most seats."""

    def strike(house: House) -> Hit:
        return _signal(house, _busiest(house), number)

    return strike


def signal_leader(number: signal.Signals) -> Deed:
    """Send a signal to the coordinator that leads."""

    def strike(house: House) -> Hit:
        leader = house.status().leader
        assert leader, "somebody leads"
        return _signal(house, leader, number)

    return strike


def signal_janitor(number: signal.Signals) -> Deed:
    """Give the janitors work, and send a signal to one of them when it has begun."""

    def strike(house: House) -> Hit:
        now_ms = round(time.time() * 1000)
        ids: set[str] = set()

        def begun() -> bool:
            if not ids:
                with suppress(RedisUnavailable):  # just failed over: asked again
                    filed = file_backfill(house.redis, house.keys, now_ms - BACKFILLED_MS, now_ms)
                    ids.update(gap.id for gap in filed)
            return any(gap.state != "open" for gap in house.gaps() if gap.id in ids)

        # Behind what earlier trials have left to them.
        house.until(begun, BEGUN_SECONDS, "a janitor has begun", interval=0.02)
        host = house.hosts["north"]
        pid = host.pid("janitor-0")
        signal_process(pid, number)
        return Hit(host, "janitor-0", pid)

    return strike


def replaced(_house: House, hit: Hit) -> bool:
    """Supervisord runs another process in its place."""
    return hit.host.pids().get(hit.program, hit.pid) != hit.pid


def moved(house: House, hit: Hit) -> bool:
    """Its seats are with others."""
    return house.holders().get(hit.identity, 0) == 0


def deposed(house: House, hit: Hit) -> bool:
    """Another coordinator leads."""
    return house.status().leader not in {None, hit.identity}


def thaw(_house: House, hit: Hit | None) -> None:
    """Let a frozen process go on."""
    if hit is not None:
        signal_process(hit.pid, signal.SIGCONT)


def _busiest(house: House) -> str:
    """The listener with most seats, of those that run: the dead are told of until their lease."""
    pids = {pid for host in house.hosts.values() for pid in host.pids().values()}
    holders = {
        name: seats for name, seats in house.holders().items() if int(name.split("-")[1]) in pids
    }
    return max(holders, key=lambda one: (holders[one], one))


def _signal(house: House, identity: str, number: signal.Signals) -> Hit:
    host, program, pid = house.process(identity)
    signal_process(pid, number)
    return Hit(host, program, pid, identity)


# --- Redis ------------------------------------------------------------------------------------


def kill_redis(house: House) -> None:
    """End master and replica; what was in them is gone."""
    for server in house.sentinel.servers:
        server.kill()


def start_redis(house: House, _hit: None) -> None:
    """Start both again, empty."""
    for server in house.sentinel.servers:
        server.start()


def wipe_redis(house: House) -> None:
    """FLUSHALL."""
    house.sentinel.master().flush()


def freeze_redis(house: House) -> RedisServer:
    """Freeze the master."""
    master = house.sentinel.master()
    master.pause()
    return master


def thaw_redis(_house: House, hit: RedisServer | None) -> None:
    """Let it go on."""
    if hit is not None:
        hit.resume()


def kill_master(house: House) -> RedisServer:
    """Kill the master and leave it dead."""
    master = house.sentinel.master()
    master.kill()
    return master


def failed_over(house: House, hit: RedisServer) -> bool:
    """The Sentinels made the replica master."""
    return house.sentinel.master() is not hit


def restart_killed_redis(house: House, hit: RedisServer | None) -> None:
    """Start it again: the Sentinels make it a replica."""
    if hit is not None:
        hit.start()
        house.until(house.sentinel.settled, 40.0, "master, replica and Sentinels in step")


# --- Kafka ------------------------------------------------------------------------------------


def kill_brokers(count: int) -> Deed:
    """SIGKILL for so many."""

    def strike(house: House) -> Sequence[Broker]:
        brokers = house.kafka.brokers[:count]
        for broker in brokers:
            broker.kill()
        return brokers

    return strike


def freeze_brokers(count: int) -> Deed:
    """SIGSTOP for so many."""

    def strike(house: House) -> Sequence[Broker]:
        brokers = house.kafka.brokers[-count:]
        for broker in brokers:
            broker.pause()
        return brokers

    return strike


def thaw_brokers(house: House, hit: Sequence[Broker] | None) -> None:
    """Let them go on."""
    for broker in hit or ():
        broker.resume()


def leaderless(house: House, hit: Sequence[Broker]) -> bool:
    """No partition is led by those that were hit."""
    gone = {broker.node for broker in hit}
    with suppress(KafkaException):
        found = house.kafka.admin().list_topics(house.settings.topic, timeout=2.0)
        partitions = found.topics[house.settings.topic].partitions.values()
        return not any(partition.leader in gone for partition in partitions)
    return False


def start_brokers(house: House, hit: Sequence[Broker] | None) -> None:
    """Start them again on their data."""
    for broker in hit or ():
        broker.start()
    house.kafka.wait_ready()


def stop_broker(house: House) -> Sequence[Broker]:
    """End one in order: its leaderships move first."""
    broker = house.kafka.brokers[0]
    broker.stop()
    return [broker]


def start_brokers_and_elect(house: House, hit: Sequence[Broker] | None) -> None:
    """Start them again, and move every leadership back to where it was made."""
    start_brokers(house, hit)
    admin = house.kafka.admin()
    topic = house.settings.topic
    partitions = [TopicPartition(topic, number) for number in range(house.settings.partitions)]

    def elected() -> bool:
        found = admin.list_topics(topic, timeout=ELECTION_SECONDS).topics[topic].partitions
        if all(partition.leader == partition.replicas[0] for partition in found.values()):
            return True
        with suppress(KafkaException):  # the controller may not be there yet
            admin.elect_leaders(ElectionType.PREFERRED, partitions).result(ELECTION_SECONDS)
        return False

    house.until(elected, ELECTION_SECONDS, "the preferred brokers lead", interval=1.0)


def _spooling(house: House) -> list[str]:
    """The living listeners that keep records on disk; of the dead the last word is told for long"""
    return [one.id for one in house.status().listeners if one.spool_records and one.state != "dead"]


def spooling(house: House, _hit: Any) -> bool:
    """At least two listeners keep records on disk."""
    return len(_spooling(house)) >= 2


def spooling_then_kill_listener(house: House, _hit: Any) -> bool:
    """Once listeners spool, kill one of them with its spool."""
    holders = _spooling(house)
    if len(holders) < 2:
        return False
    _signal(house, holders[0], signal.SIGKILL)
    return True


# --- disks ------------------------------------------------------------------------------------


def small_disks(house: House) -> str:
    """Why spools cannot be filled here."""
    small = all(disk.is_small(host.spool) for host in house.hosts.values())
    return "" if small else "mounting a small disk takes root on Linux"


def fill_disks(*names: str) -> Deed:
    """Fill the disks of these hosts' spools, and freeze all of Kafka."""

    def strike(house: House) -> Sequence[Broker]:
        for name in names:
            disk.fill(house.hosts[name].spool)
        brokers: Sequence[Broker] = freeze_brokers(len(house.kafka.brokers))(house)
        return brokers

    return strike


def clear_disks(house: House, hit: Sequence[Broker] | None) -> None:
    """Let Kafka go on, and give the space back once nobody waits for the disk any more."""
    thaw_brokers(house, hit)
    try:
        house.until(lambda: "spool" not in str(house.status().reasons), DRAIN_SECONDS, "drained")
    finally:
        for host in house.hosts.values():
            disk.clear(host.spool)


def refusing(*names: str) -> Callable[[House, Any], bool]:
    """Whether listeners of each of these hosts say that their spool takes nothing more."""

    def look(house: House, _hit: Any) -> bool:
        reasons = house.status().reasons
        return all(any(r.startswith(f"{n}-") and "spool" in r for r in reasons) for n in names)

    return look


# --- clocks and hosts -------------------------------------------------------------------------


def faketime(_house: House) -> str:
    """Why no clock can be stepped here."""
    return "" if LIBFAKETIME.exists() else "no libfaketime (Debian: faketime)"


def step_clock(house: House) -> Hit:
    """Start a listener under libfaketime, and step its wall clock twice while it works."""
    host = house.hosts["south"]
    clock = host.folder / "clock"
    clock.write_text("+0\n")
    host.extra.write_text(
        f"export LD_PRELOAD={LIBFAKETIME} FAKETIME_TIMESTAMP_FILE={clock} "
        "FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1\n"
    )
    try:
        host.restart("listener-0")
    finally:
        host.extra.unlink()
    house.until(house.live, 40.0, "every seat is live again")
    for offset in CLOCK_STEPS:
        since = house.books.last_seq()
        replacement = clock.with_suffix(".new")
        replacement.write_text(f"{offset}\n")
        replacement.replace(clock)
        house.until(
            lambda since=since: house.books.last_seq() > since + 50,  # type: ignore[misc]  # mypy: lambda default
            40.0,
            "life goes on",
        )
    return Hit(host, "listener-0", host.pid("listener-0"))


def set_clock_right(_house: House, hit: Hit | None) -> None:
    """Start the listener without libfaketime."""
    if hit is not None:
        hit.host.restart(hit.program)


def lose_host(name: str) -> Deed:
    """SIGKILL for all of a host, supervisord included."""

    def strike(house: House) -> Host:
        host = house.hosts[name]
        host.kill()
        return host

    return strike


def start_host(_house: House, hit: Host | None) -> None:
    """Power it up again."""
    if hit is not None:
        hit.start()


def roll_hosts(house: House) -> None:
    """Restart every process of one host, and when all is well those of the other."""
    for host in house.hosts.values():
        for program in sorted(host.pids()):
            host.restart(program)
        host.until_running()
        house.until(house.live, ROLL_SECONDS, "every seat is live again")
