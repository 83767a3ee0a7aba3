"""What the faults do to the site, how they show, and how they are undone.

A deed takes the site and returns what was hit; `struck` and `heal` of a fault get it back. Makers
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

from harness.kafka import Broker
from harness.redis import RedisServer
from mirror.base.errors import RedisUnavailable
from mirror.fleet.backfill import file_backfill
from tests.chaos import disk
from tests.chaos.host import Host
from tests.chaos.site import Site, signal_process

Deed = Callable[[Site], Any]

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

    def strike(site: Site) -> Hit:
        return _signal(site, _busiest(site), number)

    return strike


def signal_leader(number: signal.Signals) -> Deed:
    """Send a signal to the coordinator that leads."""

    def strike(site: Site) -> Hit:
        leader = site.mirror.status().leader
        assert leader, "somebody leads"
        return _signal(site, leader, number)

    return strike


def signal_janitor(number: signal.Signals) -> Deed:
    """Give the janitors work, and send a signal to one of them when it has begun."""

    def strike(site: Site) -> Hit:
        now_ms = round(time.time() * 1000)
        ids: set[str] = set()

        def begun() -> bool:
            if not ids:
                with suppress(RedisUnavailable):  # just failed over: asked again
                    filed = file_backfill(site.redis, site.keys, now_ms - BACKFILLED_MS, now_ms)
                    ids.update(gap.id for gap in filed)
            return any(gap.state != "open" for gap in site.gaps() if gap.id in ids)

        # Behind what earlier trials have left to them.
        site.until(begun, BEGUN_SECONDS, "a janitor has begun", interval=0.02)
        host = site.hosts["north"]
        pid = host.pid("janitor-0")
        signal_process(pid, number)
        return Hit(host, "janitor-0", pid)

    return strike


def replaced(_site: Site, hit: Hit) -> bool:
    """Supervisord runs another process in its place."""
    return hit.host.pids().get(hit.program, hit.pid) != hit.pid


def moved(site: Site, hit: Hit) -> bool:
    """Its seats are with others."""
    return site.holders().get(hit.identity, 0) == 0


def deposed(site: Site, hit: Hit) -> bool:
    """Another coordinator leads."""
    return site.mirror.status().leader not in {None, hit.identity}


def thaw(_site: Site, hit: Hit | None) -> None:
    """Let a frozen process go on."""
    if hit is not None:
        signal_process(hit.pid, signal.SIGCONT)


def _busiest(site: Site) -> str:
    """The listener with most seats, of those that run: the dead are told of until their lease."""
    pids = {pid for host in site.hosts.values() for pid in host.pids().values()}
    holders = {
        name: seats for name, seats in site.holders().items() if int(name.split("-")[1]) in pids
    }
    return max(holders, key=lambda one: (holders[one], one))


def _signal(site: Site, identity: str, number: signal.Signals) -> Hit:
    host, program, pid = site.process(identity)
    signal_process(pid, number)
    return Hit(host, program, pid, identity)


# --- Redis ------------------------------------------------------------------------------------


def kill_redis(site: Site) -> None:
    """End master and replica; what was in them is gone."""
    for server in site.sentinel.servers:
        server.kill()


def start_redis(site: Site, _hit: None) -> None:
    """Start both again, empty."""
    for server in site.sentinel.servers:
        server.start()


def wipe_redis(site: Site) -> None:
    """FLUSHALL."""
    site.sentinel.master().flush()


def freeze_redis(site: Site) -> RedisServer:
    """Freeze the master."""
    master = site.sentinel.master()
    master.pause()
    return master


def thaw_redis(_site: Site, hit: RedisServer | None) -> None:
    """Let it go on."""
    if hit is not None:
        hit.resume()


def kill_master(site: Site) -> RedisServer:
    """Kill the master and leave it dead."""
    master = site.sentinel.master()
    master.kill()
    return master


def failed_over(site: Site, hit: RedisServer) -> bool:
    """The Sentinels made the replica master."""
    return site.sentinel.master() is not hit


def restart_killed_redis(site: Site, hit: RedisServer | None) -> None:
    """Start it again: the Sentinels make it a replica."""
    if hit is not None:
        hit.start()
        site.until(site.sentinel.settled, 40.0, "master, replica and Sentinels in step")


# --- Kafka ------------------------------------------------------------------------------------


def kill_brokers(count: int) -> Deed:
    """SIGKILL for so many."""

    def strike(site: Site) -> Sequence[Broker]:
        brokers = site.kafka.brokers[:count]
        for broker in brokers:
            broker.kill()
        return brokers

    return strike


def freeze_brokers(count: int) -> Deed:
    """SIGSTOP for so many."""

    def strike(site: Site) -> Sequence[Broker]:
        brokers = site.kafka.brokers[-count:]
        for broker in brokers:
            broker.pause()
        return brokers

    return strike


def thaw_brokers(site: Site, hit: Sequence[Broker] | None) -> None:
    """Let them go on."""
    for broker in hit or ():
        broker.resume()


def leaderless(site: Site, hit: Sequence[Broker]) -> bool:
    """No partition is led by those that were hit."""
    gone = {broker.node for broker in hit}
    with suppress(KafkaException):
        found = site.kafka.admin().list_topics(site.settings.topic, timeout=2.0)
        partitions = found.topics[site.settings.topic].partitions.values()
        return not any(partition.leader in gone for partition in partitions)
    return False


def start_brokers(site: Site, hit: Sequence[Broker] | None) -> None:
    """Start them again on their data."""
    for broker in hit or ():
        broker.start()
    site.kafka.wait_ready()


def stop_broker(site: Site) -> Sequence[Broker]:
    """End one in order: its leaderships move first."""
    broker = site.kafka.brokers[0]
    broker.stop()
    return [broker]


def start_brokers_and_elect(site: Site, hit: Sequence[Broker] | None) -> None:
    """Start them again, and move every leadership back to where it was made."""
    start_brokers(site, hit)
    admin = site.kafka.admin()
    topic = site.settings.topic
    partitions = [TopicPartition(topic, number) for number in range(site.settings.partitions)]

    def elected() -> bool:
        found = admin.list_topics(topic, timeout=ELECTION_SECONDS).topics[topic].partitions
        if all(partition.leader == partition.replicas[0] for partition in found.values()):
            return True
        with suppress(KafkaException):  # the controller may not be there yet
            admin.elect_leaders(ElectionType.PREFERRED, partitions).result(ELECTION_SECONDS)
        return False

    site.until(elected, ELECTION_SECONDS, "the preferred brokers lead", interval=1.0)


def _spooling(site: Site) -> list[str]:
    """The living listeners that keep records on disk; of the dead the last word is told for long"""
    return [
        one.id
        for one in site.mirror.status().listeners
        if one.spool_records and one.state != "dead"
    ]


def spooling(site: Site, _hit: Any) -> bool:
    """At least two listeners keep records on disk."""
    return len(_spooling(site)) >= 2


def spooling_then_kill_listener(site: Site, _hit: Any) -> bool:
    """Once listeners spool, kill one of them with its spool."""
    holders = _spooling(site)
    if len(holders) < 2:
        return False
    _signal(site, holders[0], signal.SIGKILL)
    return True


# --- disks ------------------------------------------------------------------------------------


def small_disks(site: Site) -> str:
    """Why spools cannot be filled here."""
    small = all(disk.is_small(host.spool) for host in site.hosts.values())
    return "" if small else "mounting a small disk takes root on Linux"


def fill_disks(*names: str) -> Deed:
    """Fill the disks of these hosts' spools, and freeze all of Kafka."""

    def strike(site: Site) -> Sequence[Broker]:
        for name in names:
            disk.fill(site.hosts[name].spool)
        brokers: Sequence[Broker] = freeze_brokers(len(site.kafka.brokers))(site)
        return brokers

    return strike


def clear_disks(site: Site, hit: Sequence[Broker] | None) -> None:
    """Let Kafka go on, and give the space back once nobody waits for the disk any more."""
    thaw_brokers(site, hit)
    try:
        site.until(
            lambda: "spool" not in str(site.mirror.status().reasons), DRAIN_SECONDS, "drained"
        )
    finally:
        for host in site.hosts.values():
            disk.clear(host.spool)


def refusing(*names: str) -> Callable[[Site, Any], bool]:
    """Whether listeners of each of these hosts say that their spool takes nothing more."""

    def look(site: Site, _hit: Any) -> bool:
        reasons = site.mirror.status().reasons
        return all(any(r.startswith(f"{n}-") and "spool" in r for r in reasons) for n in names)

    return look


# --- clocks and hosts -------------------------------------------------------------------------


def faketime(_site: Site) -> str:
    """Why no clock can be stepped here."""
    return "" if LIBFAKETIME.exists() else "no libfaketime (Debian: faketime)"


def step_clock(site: Site) -> Hit:
    """Start a listener under libfaketime, and step its wall clock twice while it works."""
    host = site.hosts["south"]
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
    site.until(site.live, 40.0, "every seat is live again")
    for offset in CLOCK_STEPS:
        since = site.books.last_seq()
        replacement = clock.with_suffix(".new")
        replacement.write_text(f"{offset}\n")
        replacement.replace(clock)
        site.until(
            lambda since=since: site.books.last_seq() > since + 50,  # type: ignore[misc]  # mypy: lambda default
            40.0,
            "life goes on",
        )
    return Hit(host, "listener-0", host.pid("listener-0"))


def set_clock_right(_site: Site, hit: Hit | None) -> None:
    """Start the listener without libfaketime."""
    if hit is not None:
        hit.host.restart(hit.program)


def lose_host(name: str) -> Deed:
    """SIGKILL for all of a host, supervisord included."""

    def strike(site: Site) -> Host:
        host = site.hosts[name]
        host.kill()
        return host

    return strike


def start_host(_site: Site, hit: Host | None) -> None:
    """Power it up again."""
    if hit is not None:
        hit.start()


def roll_hosts(site: Site) -> None:
    """Restart every process of one host, and when all is well those of the other."""
    for host in site.hosts.values():
        for program in sorted(host.pids()):
            host.restart(program)
        host.until_running()
        site.until(site.live, ROLL_SECONDS, "every seat is live again")
