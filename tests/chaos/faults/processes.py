"""Processes of the mirror killed, frozen, ended."""

from __future__ import annotations

import signal
import time
from contextlib import suppress

from mirror.base.errors import RedisUnavailable
from mirror.fleet.backfill import file_backfill
from tests.chaos.faults.common import Deed, Hit, busiest_listener, send
from tests.chaos.site import Site, signal_process
from tests.chaos.trial import UNTOLD_BY_REST, WITNESSED, Fault

KILL, STOP, TERM = signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM
OTHER_REPLICA = "the loss of both replicas at once"
BACKFILLED_MS = 15_000  # more than janitors read between two of these trials piles up
BEGUN_SECONDS = 120.0


def signal_listener(number: signal.Signals) -> Deed:
    """Send a signal to the listener that holds most seats."""

    def strike(site: Site) -> Hit:
        return send(site, busiest_listener(site), number)

    return strike


def signal_leader(number: signal.Signals) -> Deed:
    """Send a signal to the coordinator that leads."""

    def strike(site: Site) -> Hit:
        leader = site.mirror.status().leader
        assert leader, "somebody leads"
        return send(site, leader, number)

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


def signal_all(program: str, number: signal.Signals) -> Deed:
    """Send a signal to every process of a program, on all hosts, at once."""

    def strike(site: Site) -> list[Hit]:
        hits = [
            Hit(host, name, pid)
            for host in site.hosts.values()
            for name, pid in host.pids().items()
            if name.startswith(program)
        ]
        for hit in hits:
            signal_process(hit.pid, number)
        return hits

    return strike


def all_replaced(_site: Site, hits: list[Hit]) -> bool:
    """Supervisord runs others in the place of all of them."""
    return all(hit.host.pids().get(hit.program, hit.pid) != hit.pid for hit in hits)


def thaw_all(_site: Site, hits: list[Hit] | None) -> None:
    """Let frozen processes go on."""
    for hit in hits or ():
        signal_process(hit.pid, signal.SIGCONT)


def freeze_supervisord(site: Site) -> int:
    """Freeze a host's supervisord while there is much to log: its processes' stderr is not read."""
    site.fault(fault="noise", kind="not_json", share=0.2)
    pid = site.hosts["north"].supervisor_pid
    signal_process(pid, signal.SIGSTOP)
    return pid


def thaw_supervisord(site: Site, hit: int | None) -> None:
    """Let it read again."""
    site.calm()
    if hit is not None:
        signal_process(hit, signal.SIGCONT)


FAULTS: tuple[Fault, ...] = (
    Fault(
        name="janitor killed while it fills gaps",
        proves="another janitor goes on; live events do not notice",
        leaves="that its own gap is done within this trial: its lease is four minutes",
        strike=signal_janitor(KILL),
        struck=replaced,
    ),
    Fault(
        name="janitor frozen and thawed",
        proves="a janitor that wakes up after its lease does no harm",
        leaves="a pause longer than the lease of its gap",
        strike=signal_janitor(STOP),
        heal=thaw,
    ),
    Fault(
        name="janitor ended by SIGTERM",
        proves="it gives its work back",
        leaves="an end during a call that hangs",
        strike=signal_janitor(TERM),
        struck=replaced,
    ),
    Fault(
        name="listener killed",
        proves="the other replica has every event; the seats are taken over",
        leaves=OTHER_REPLICA,
        strike=signal_listener(KILL),
        struck=replaced,
    ),
    Fault(
        name="listener frozen beyond its lease",
        proves="the leader moves its seats; it wakes up and lets go of them without harm",
        leaves=OTHER_REPLICA,
        strike=signal_listener(STOP),
        struck=moved,
        heal=thaw,
        late=WITNESSED,
    ),
    Fault(
        name="listener ended by SIGTERM",
        proves="seats move before it closes; what it holds is flushed",
        leaves="Kafka being away at the same time: tests/integration/test_listener_publisher.py",
        strike=signal_listener(TERM),
        struck=replaced,
    ),
    Fault(
        name="coordinator killed, the leader",
        proves="channels go on without a leader, and another one takes over",
        leaves="the loss of all coordinators together with a listener",
        strike=signal_leader(KILL),
        struck=deposed,
    ),
    Fault(
        name="coordinator frozen, the leader",
        proves="the old leader's writes are refused when it wakes up",
        leaves="a freeze in the midst of a write",
        strike=signal_leader(STOP),
        struck=deposed,
        heal=thaw,
    ),
    Fault(
        name="coordinator ended by SIGTERM, the leader",
        proves="it resigns and another one leads",
        leaves="that nothing moves: a new leader may find better seats",
        strike=signal_leader(TERM),
        struck=deposed,
    ),
    Fault(
        name="listener ended by SIGQUIT",
        proves="any signal that asks for an end drains",
        leaves="SIGKILL: its own row",
        strike=signal_listener(signal.SIGQUIT),
        struck=replaced,
    ),
    Fault(
        name="all listeners killed at once",
        proves="the gap is filed from the last frame on, and back-filled",
        leaves="rings, holds and parks inside the gap",
        strike=signal_all("listener", KILL),
        struck=all_replaced,
        window=UNTOLD_BY_REST,
        late=WITNESSED,
    ),
    Fault(
        name="all coordinators killed at once",
        proves="channels go on without a leader and without a tracker",
        leaves="days without one: tokens end",
        strike=signal_all("coordinator", KILL),
        struck=all_replaced,
    ),
    Fault(
        name="all coordinators frozen and thawed",
        proves="two that believe to lead write nothing stale",
        leaves="a freeze beyond a token's life",
        strike=signal_all("coordinator", STOP),
        heal=thaw_all,
    ),
    Fault(
        name="supervisord frozen, nobody reads the logs of a host",
        proves="a log that nobody reads holds up no frame",
        leaves="a full disk of the logs",
        strike=freeze_supervisord,
        heal=thaw_supervisord,
        under_fault=600,
    ),
)
