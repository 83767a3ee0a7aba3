"""Deeds on the way between Genesys and the mirror, and between hosts: sockets, requests, cables.

As in `deeds.py`, makers return deeds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from tests.chaos.deeds import Deed
from tests.chaos.house import House
from tests.services.process import ManagedProcess

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

    def strike(house: House) -> int:
        return house.fault(**fields)

    return strike


def strike_sockets(*, one_client: bool = False, **fields: Any) -> Deed:
    """The same for faults of sockets, of one client or all; returns how many must be opened anew.

    First every seat has one socket: one that is given up anyway (a rotation, the last moves of a
    start) would be struck and counted, and nobody would open it anew.
    """

    def strike(house: House) -> int:
        house.until(lambda: _one_socket_a_seat(house), SETTLED_SECONDS, "every seat has one socket")
        before = _sockets_opened(house)
        whose = {"client": busiest(house)} if one_client else {}
        struck = house.fault(**fields, **whose)
        assert struck, f"{fields} strikes nothing"
        return before + struck

    return strike


def reopened(house: House, hit: int) -> bool:
    """As many sockets were opened anew as were struck."""
    return _sockets_opened(house) >= hit


def busiest(house: House) -> str:
    """The OAuth client that holds most channels: one that holds none is not worth striking."""
    held = Counter(
        replica.client
        for shard in house.status().shards
        for replica in shard.replicas
        if replica.client is not None
    )
    return held.most_common(1)[0][0]


def _one_socket_a_seat(house: House) -> bool:
    seats = sum(len(shard.replicas) for shard in house.status().shards)
    return bool(house.org.get("/_sim/stats")["sockets"] == seats)


def _sockets_opened(house: House) -> int:
    return int(house.org.get("/_sim/stats")["frames"]["sockets_opened"])


def noise(house: House) -> int:
    """Let garbage follow frames, of every kind that is none of Genesys'."""
    return sum(house.fault(fault="noise", kind=kind, share=NOISE_SHARE) for kind in GARBAGE)


def buried(house: House, _hit: Any) -> bool:
    """Dead letters came."""
    return house.dead_letters() > 0


def calm(house: House, _hit: Any) -> None:
    """Switch all of them off."""
    house.calm()


def storm(*, status: int, revoke: bool = False, **fields: Any) -> Deed:
    """Answer REST with this status, and take channels away so that the mirror needs REST."""

    def strike(house: House) -> int:
        house.fault(fault="rest", status=status, path="/api/v2/*", **fields)
        return house.fault(fault="revoke" if revoke else "expire", client=busiest(house))

    return strike


def refused(times: int = MANY) -> Callable[[House, Any], bool]:
    """REST was refused so often. Once all channels are replaced, nobody asks any more."""

    def struck(house: House, _hit: Any) -> bool:
        faults = house.org.get("/_sim/faults")["faults"]
        return any(fault["fault"] == "rest" and fault["hits"] >= times for fault in faults)

    return struck


def rotate_all(house: House) -> dict[tuple[str, str], str | None]:
    """`mirror rotate` for every channel; returns what each seat had."""
    before = _channels(house)
    for number, channel in enumerate(before.values()):
        assert channel
        command = ManagedProcess.mirror(
            "rotate", channel, folder=house.folder, env=house.environment, name=f"rotate-{number}"
        )
        command.start().wait(20.0)
        assert command.returncode == 0, command.describe("mirror rotate failed")
    return before


def rotated(house: House, hit: dict[tuple[str, str], str | None]) -> bool:
    """Every seat has another channel."""
    now = _channels(house)
    return all(now.get(seat) not in {None, channel} for seat, channel in hit.items())


def _channels(house: House) -> dict[tuple[str, str], str | None]:
    return {
        (shard.id, replica.replica): replica.channel
        for shard in house.status().shards
        for replica in shard.replicas
    }


# --- network ----------------------------------------------------------------------------------


def cables(house: House) -> str:
    """Why nothing can be cut here."""
    return "" if house.network.severable else "network namespaces take root on Linux"


def unplug(name: str) -> Deed:
    """Cut a host off from everything."""

    def strike(house: House) -> str:
        house.network.unplug(name)
        return name

    return strike


def plug(house: House, hit: str | None) -> None:
    """Connect it again."""
    if hit is not None:
        house.network.plug(hit)


def cut(*pairs: tuple[str, str]) -> Deed:
    """Swallow packets between these pairs."""

    def strike(house: House) -> Sequence[tuple[str, str]]:
        for one, other in pairs:
            house.network.cut(one, other)
        return pairs

    return strike


def mend(house: House, hit: Sequence[tuple[str, str]] | None) -> None:
    """Let them pass again."""
    for one, other in hit or ():
        house.network.mend(one, other)


def dead_host(name: str) -> Callable[[House, Any], bool]:
    """Whether no listener of that host counts as alive."""

    def look(house: House, _hit: Any) -> bool:
        return all(one.state == "dead" for one in house.status().listeners if one.host == name)

    return look


def silent(*names: str) -> Callable[[House, Any], bool]:
    """Whether no channel of these hosts is live."""

    def look(house: House, _hit: Any) -> bool:
        return not any(
            one.channels
            for one in house.status().listeners
            if one.host in names and one.state != "dead"
        )

    return look
