"""Deeds on the way between Genesys and the mirror, and between hosts: sockets, requests, cables.

As in `deeds.py`, makers return deeds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from harness.process import ManagedProcess
from tests.chaos.deeds import Deed
from tests.chaos.site import Site

NOISE_SHARE = 0.03
SETTLED_SECONDS = 40.0
MANY = 4
# All kinds but `unknown_values`: a sound frame of a conversation that never was.
GARBAGE = (
    *("bad_utf8", "truncated", "not_json", "not_object", "no_topic", "no_id", "empty"),
    *("huge", "deep", "wrong_types", "unknown_topic"),
)


# --- sockets and REST -------------------------------------------------------------------------


def simulate(**fields: Any) -> Deed:
    """Switch a fault of the simulator on (docs/simulator.md)."""

    def strike(site: Site) -> int:
        return site.fault(**fields)

    return strike


def strike_sockets(*, one_client: bool = False, **fields: Any) -> Deed:
    """The same for faults of sockets, of one client or all; returns how many must be opened anew.

    First every seat has one socket: one that is given up anyway (a rotation, the last moves of a
    start) would be struck and counted, and nobody would open it anew.
    """

    def strike(site: Site) -> int:
        site.until(lambda: _one_socket_a_seat(site), SETTLED_SECONDS, "every seat has one socket")
        before = _sockets_opened(site)
        whose = {"client": busiest(site)} if one_client else {}
        struck = site.fault(**fields, **whose)
        assert struck, f"{fields} strikes nothing"
        return before + struck

    return strike


def reopened(site: Site, hit: int) -> bool:
    """As many sockets were opened anew as were struck."""
    return _sockets_opened(site) >= hit


def busiest(site: Site) -> str:
    """The OAuth client that holds most channels: one that holds none is not worth striking."""
    held = Counter(
        replica.client
        for shard in site.mirror.status().shards
        for replica in shard.replicas
        if replica.client is not None
    )
    return held.most_common(1)[0][0]


def _one_socket_a_seat(site: Site) -> bool:
    seats = sum(len(shard.replicas) for shard in site.mirror.status().shards)
    return bool(site.org.get("/_sim/stats")["sockets"] == seats)


def _sockets_opened(site: Site) -> int:
    return int(site.org.get("/_sim/stats")["frames"]["sockets_opened"])


def noise(site: Site) -> int:
    """Let garbage follow frames, of every kind that is none of Genesys'."""
    return sum(site.fault(fault="noise", kind=kind, share=NOISE_SHARE) for kind in GARBAGE)


def buried(site: Site, _hit: Any) -> bool:
    """Dead letters came."""
    return site.dead_letters() > 0


def calm(site: Site, _hit: Any) -> None:
    """Switch all of them off."""
    site.calm()


def storm(*, status: int, revoke: bool = False, **fields: Any) -> Deed:
    """Answer REST with this status, and take channels away so that the mirror needs REST."""

    def strike(site: Site) -> int:
        site.fault(fault="rest", status=status, path="/api/v2/*", **fields)
        return site.fault(fault="revoke" if revoke else "expire", client=busiest(site))

    return strike


def refused(times: int = MANY) -> Callable[[Site, Any], bool]:
    """REST was refused so often. Once all channels are replaced, nobody asks any more."""

    def struck(site: Site, _hit: Any) -> bool:
        faults = site.org.get("/_sim/faults")["faults"]
        return any(fault["fault"] == "rest" and fault["hits"] >= times for fault in faults)

    return struck


def rotate_all(site: Site) -> dict[tuple[str, str], str | None]:
    """`mirror rotate` for every channel; returns what each seat had."""
    before = _channels(site)
    for number, channel in enumerate(before.values()):
        assert channel
        command = ManagedProcess.mirror(
            "rotate", channel, folder=site.folder, env=site.mirror.env, name=f"rotate-{number}"
        )
        command.start().wait(20.0)
        assert command.returncode == 0, command.describe("mirror rotate failed")
    return before


def rotated(site: Site, hit: dict[tuple[str, str], str | None]) -> bool:
    """Every seat has another channel."""
    now = _channels(site)
    return all(now.get(seat) not in {None, channel} for seat, channel in hit.items())


def _channels(site: Site) -> dict[tuple[str, str], str | None]:
    return {
        (shard.id, replica.replica): replica.channel
        for shard in site.mirror.status().shards
        for replica in shard.replicas
    }


# --- network ----------------------------------------------------------------------------------


def cables(site: Site) -> str:
    """Why nothing can be cut here."""
    return "" if site.network.severable else "network namespaces take root on Linux"


def unplug(name: str) -> Deed:
    """Cut a host off from everything."""

    def strike(site: Site) -> str:
        site.network.unplug(name)
        return name

    return strike


def plug(site: Site, hit: str | None) -> None:
    """Connect it again."""
    if hit is not None:
        site.network.plug(hit)


def cut(*pairs: tuple[str, str]) -> Deed:
    """Swallow packets between these pairs."""

    def strike(site: Site) -> Sequence[tuple[str, str]]:
        for one, other in pairs:
            site.network.cut(one, other)
        return pairs

    return strike


def mend(site: Site, hit: Sequence[tuple[str, str]] | None) -> None:
    """Let them pass again."""
    for one, other in hit or ():
        site.network.mend(one, other)


def dead_host(name: str) -> Callable[[Site, Any], bool]:
    """Whether no listener of that host counts as alive."""

    def look(site: Site, _hit: Any) -> bool:
        return all(
            one.state == "dead" for one in site.mirror.status().listeners if one.host == name
        )

    return look


def silent(*names: str) -> Callable[[Site, Any], bool]:
    """Whether no channel of these hosts is live."""

    def look(site: Site, _hit: Any) -> bool:
        return not any(
            one.channels
            for one in site.mirror.status().listeners
            if one.host in names and one.state != "dead"
        )

    return look
