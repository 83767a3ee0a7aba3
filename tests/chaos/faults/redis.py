"""Redis killed, wiped, frozen, failed over."""

from __future__ import annotations

import random

import redis

from harness.redis import RedisServer
from tests.chaos.faults.common import Deed
from tests.chaos.site import Site
from tests.chaos.trial import Fault

PAUSED_MS = 5_000
MOST_CLIENTS = 8
DEFAULT_CLIENTS = 10_000


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


def configure(**values: object) -> Deed:
    """CONFIG SET on the master; returns what was there."""

    def strike(site: Site) -> dict[str, str]:
        names = [name.replace("_", "-") for name in values]
        with site.sentinel.master().client() as client:
            before = {name: str(client.config_get(name)[name]) for name in names}
            for name, value in zip(names, values.values(), strict=True):
                client.config_set(name, value)
        return before

    return strike


def turn_away(site: Site) -> redis.Redis:
    """Take no more clients than there are Sentinels, and close the connections that are there.

    The client that said so stays: another one would be turned away too.
    """
    client = redis.Redis.from_url(site.sentinel.master().url, single_connection_client=True)
    client.config_set("maxclients", MOST_CLIENTS)
    client.client_kill_filter(_type="normal", skipme=True)
    return client


def let_in(_site: Site, hit: redis.Redis | None) -> None:
    """Take as many clients as Redis does by default."""
    if hit is not None:
        hit.config_set("maxclients", DEFAULT_CLIENTS)
        hit.close()


def restore(site: Site, hit: dict[str, str] | None) -> None:
    """CONFIG SET of what was there."""
    with site.sentinel.master().client() as client:
        for name, value in (hit or {}).items():
            client.config_set(name, value)


def pause_clients(site: Site) -> None:
    """CLIENT PAUSE: every command waits for some seconds."""
    with site.sentinel.master().client() as client:
        client.client_pause(PAUSED_MS)


def kill_clients(site: Site) -> None:
    """CLIENT KILL: every connection of a client is closed, three times."""
    for _ in range(3):
        with site.sentinel.master().client() as client:
            client.client_kill_filter(_type="normal", skipme=True)
        site.until(lambda: bool(site.mirror.status()), 10.0, "Redis answers again")


def forget_scripts(site: Site) -> None:
    """SCRIPT FLUSH: no script is known by its digest any more."""
    with site.sentinel.master().client() as client:
        client.script_flush()


def delete_at_random(site: Site) -> int:
    """Delete half of the keys of the mirror, drawn from a fixed seed, three times."""
    draw, gone = random.Random(7), 0
    for _ in range(3):
        keys = sorted(site.redis.scan_iter(f"mirror:{{{site.keys.namespace}}}:*"))
        chosen = [key for key in keys if draw.random() < 0.5]
        gone += int(site.redis.delete(*chosen)) if chosen else 0
    return gone


FAULTS: tuple[Fault, ...] = (
    Fault(
        name="Redis killed with its replica, back empty",
        proves="channels go on without Redis, and all in it is rebuilt",
        leaves="outages longer than a Genesys token: a day",
        strike=kill_redis,
        heal=start_redis,
    ),
    Fault(
        name="Redis wiped (FLUSHALL)",
        proves="Redis is a cache of the truth",
        leaves="a wipe of only some keys",
        strike=wipe_redis,
    ),
    Fault(
        name="Redis frozen",
        proves="nothing on the way of an event waits for Redis",
        leaves="a freeze so long that Sentinel fails over: the next row",
        strike=freeze_redis,
        heal=thaw_redis,
    ),
    Fault(
        name="Redis failed over by Sentinel",
        proves="all processes follow the new master",
        leaves="writes that the old master took and did not replicate, but for what is rebuilt",
        strike=kill_master,
        struck=failed_over,
        heal=restart_killed_redis,
    ),
    Fault(
        name="Redis out of memory (noeviction)",
        proves="writes that Redis refuses stop no event, and all heals when there is room",
        leaves="an eviction policy other than noeviction: mirror doctor warns of it",
        strike=configure(maxmemory=1, maxmemory_policy="noeviction"),
        heal=restore,
        under_fault=400,
    ),
    Fault(
        name="Redis takes no writes (NOREPLICAS)",
        proves="reads that work are not taken for health",
        leaves="a master that refuses for hours",
        strike=configure(min_replicas_to_write=5),
        heal=restore,
        under_fault=400,
    ),
    Fault(
        name="Redis takes no more clients (maxclients)",
        proves="a connection that is refused is tried again",
        leaves="that a command can be given at that moment",
        strike=turn_away,
        heal=let_in,
        under_fault=300,
    ),
    Fault(
        name="Redis pauses all commands",
        proves="a command that hangs has a deadline, and holds up no frame",
        leaves="a pause beyond the deadline of every lease",
        strike=pause_clients,
        under_fault=400,
    ),
    Fault(
        name="Redis closes every connection, three times",
        proves="connections are made again",
        leaves="",
        strike=kill_clients,
    ),
    Fault(
        name="Redis forgets all scripts (SCRIPT FLUSH)",
        proves="scripts are loaded again where they are missing",
        leaves="",
        strike=forget_scripts,
    ),
    Fault(
        name="half of the keys deleted at random, three times",
        proves="any part of Redis is rebuilt, not only all of it",
        leaves="values that were altered: tests/integration/test_redis_garbage.py",
        strike=delete_at_random,
    ),
)
