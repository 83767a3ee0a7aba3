"""Wall clocks stepped; hosts lost and rolled."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.faults.common import Deed, Hit
from tests.chaos.faults.network import dead_host
from tests.chaos.host import Host
from tests.chaos.site import Site
from tests.chaos.trial import Fault

ROLL_SECONDS = 60.0
CLOCK_STEPS = ("+3600", "-3600")
LIBFAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


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


FAULTS: tuple[Fault, ...] = (
    Fault(
        name="wall clock of a listener stepped +1 h, then -2 h",
        proves="deadlines run by the monotonic clock; times of Genesys are kept",
        leaves="a monotonic clock that stands still",
        strike=step_clock,
        heal=set_clock_right,
        needs=faketime,
    ),
    Fault(
        name="host lost (power) and back",
        proves="one host can go without loss; what was on its disk is delivered",
        leaves="the loss of its disk while Kafka is away",
        strike=lose_host("south"),
        struck=dead_host("south"),
        heal=start_host,
    ),
    Fault(
        name="both hosts rolled, one after the other",
        proves="a deployment loses nothing",
        leaves="both at once: that is a gap",
        strike=roll_hosts,
    ),
)
