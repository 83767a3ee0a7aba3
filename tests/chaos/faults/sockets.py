"""Sockets dropped, stalled, closed; frames lost, twice, garbage between them."""

from __future__ import annotations

from typing import Any

from harness.process import ManagedProcess
from tests.chaos.faults.common import Deed, busiest_client, calm, simulate
from tests.chaos.faults.processes import OTHER_REPLICA
from tests.chaos.site import Site
from tests.chaos.trial import UNTOLD_BY_REST, WITNESSED, Fault

NOISE_SHARE = 0.03
SETTLED_SECONDS = 40.0
# All kinds but `unknown_values`: a sound frame of a conversation that never was.
GARBAGE = (
    *("bad_utf8", "truncated", "not_json", "not_object", "no_topic", "no_id", "empty"),
    *("huge", "deep", "wrong_types", "unknown_topic"),
)
REFUSED_SECONDS = 5.0
# Subscriptions are compared every 60 s, a quarter more or less, and then set.
COMPARED_SECONDS = 100.0


def strike_sockets(*, one_client: bool = False, **fields: Any) -> Deed:
    """The same for faults of sockets, of one client or all; returns how many must be opened anew.

    First every seat has one socket: one that is given up anyway (a rotation, the last moves of a
    start) would be struck and counted, and nobody would open it anew.
    """

    def strike(site: Site) -> int:
        site.until(lambda: _one_socket_a_seat(site), SETTLED_SECONDS, "every seat has one socket")
        before = _sockets_opened(site)
        whose = {"client": busiest_client(site)} if one_client else {}
        struck = site.fault(**fields, **whose)
        assert struck, f"{fields} strikes nothing"
        return before + struck

    return strike


def reopened(site: Site, hit: int) -> bool:
    """As many sockets were opened anew as were struck."""
    return _sockets_opened(site) >= hit


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


def simulate_client(**fields: Any) -> Deed:
    """Let the simulator strike the channels of the client that holds most of them."""

    def strike(site: Site) -> int:
        struck = site.fault(client=busiest_client(site), **fields)
        assert struck, f"{fields} strikes nothing"
        return struck

    return strike


def subscribed_again(site: Site, _hit: Any) -> bool:
    """Every channel with a socket has topics."""
    channels = site.org.get("/_sim/channels")["channels"]
    return all(channel["topics"] for channel in channels if channel["connected"])


def refuse_handshakes(status: int) -> Deed:
    """Refuse handshakes of a client for some seconds, and drop its sockets."""

    def strike(site: Site) -> int:
        client = busiest_client(site)
        site.fault(fault="handshake", status=status, client=client, seconds=REFUSED_SECONDS)
        return site.fault(fault="drop", client=client)

    return strike


FAULTS: tuple[Fault, ...] = (
    Fault(
        name="sockets of one client dropped",
        proves="the other replica covers while they reconnect",
        leaves=OTHER_REPLICA,
        strike=strike_sockets(fault="drop", one_client=True),
        struck=reopened,
    ),
    Fault(
        name="all sockets dropped",
        proves="the gap is filed and back-filled",
        leaves="rings, holds and parks inside the gap",
        strike=strike_sockets(fault="drop"),
        struck=reopened,
        window=UNTOLD_BY_REST,
    ),
    Fault(
        name="sockets of one client stalled",
        proves="silence is noticed by MIRROR_SILENCE, and its cover ends at the last frame",
        leaves=OTHER_REPLICA,
        strike=strike_sockets(fault="stall", one_client=True),
        struck=reopened,
    ),
    Fault(
        name="sockets of one client kicked",
        proves="being replaced by another socket ends in one socket, not in a fight",
        leaves=OTHER_REPLICA,
        strike=strike_sockets(fault="kick", one_client=True),
        struck=reopened,
    ),
    Fault(
        name="sockets closing for maintenance",
        proves="an announced end is taken over before it comes, on both replicas",
        leaves="an announcement that is not kept",
        strike=strike_sockets(fault="closing", ms=8_000),
        struck=reopened,
        window=UNTOLD_BY_REST,
    ),
    Fault(
        name="all channels rotated (mirror rotate)",
        proves="make before break, on every seat",
        leaves="rotation by age: tests/unit/listeners",
        strike=rotate_all,
        struck=rotated,
    ),
    Fault(
        name="one replica loses half its frames",
        proves="two of everything; the next snapshot tells the rest",
        leaves="the same frame lost on both",
        strike=simulate(fault="lose", share=0.5, nth=0),
        heal=calm,
    ),
    Fault(
        name="garbage between frames",
        proves="garbage becomes dead letters and harms nobody else",
        leaves="garbage that is a well-formed lie",
        strike=noise,
        struck=buried,
        heal=calm,
    ),
    Fault(
        name="frames twice",
        proves="repetition costs nothing, by id",
        leaves="",
        strike=simulate(fault="duplicate", ms=80),
        heal=calm,
    ),
    Fault(
        name="sockets of one client closed with 1001",
        proves="a close frame is answered, and the socket opened again",
        leaves=OTHER_REPLICA,
        strike=strike_sockets(fault="close", code=1001, one_client=True),
        struck=reopened,
    ),
    Fault(
        name="sockets of one client closed with 1011",
        proves="a server error is no reason to give the channel up",
        leaves=OTHER_REPLICA,
        strike=strike_sockets(fault="close", code=1011, one_client=True),
        struck=reopened,
    ),
    Fault(
        name="channels of one client evicted",
        proves="a channel that is gone is replaced; the other replica covers",
        leaves=OTHER_REPLICA,
        strike=simulate_client(fault="evict"),
    ),
    Fault(
        name="channels of one client expired",
        proves="the same, by age",
        leaves=OTHER_REPLICA,
        strike=simulate_client(fault="expire"),
    ),
    Fault(
        name="no longer subscribed, by a system topic",
        proves="the channel is replaced at once",
        leaves=OTHER_REPLICA,
        strike=simulate_client(fault="resubscribe"),
    ),
    Fault(
        name="subscriptions of one client wiped, sockets live",
        proves="heartbeats are not taken for cover: subscriptions are compared and set again",
        leaves="a wipe on both replicas at once: the next row",
        strike=simulate_client(fault="wipe"),
        struck=subscribed_again,
        struck_within=COMPARED_SECONDS,
        under_fault=50,
    ),
    Fault(
        name="subscriptions of all channels wiped, sockets live",
        proves="the gap is found, filed and back-filled",
        leaves="rings, holds and parks inside the gap",
        strike=simulate(fault="wipe"),
        struck=subscribed_again,
        struck_within=COMPARED_SECONDS,
        window=UNTOLD_BY_REST,
        late=WITNESSED,
        under_fault=20,
    ),
    Fault(
        name="frames of one replica five seconds late",
        proves="the earlier replica tells; the later one repeats",
        leaves="both late",
        strike=simulate(fault="late", ms=5_000, nth=0),
        heal=calm,
        late=WITNESSED,
    ),
    Fault(
        name="frames out of order on both replicas",
        proves="a late frame never undoes what is newer",
        leaves="frames that are late by minutes",
        strike=simulate(fault="reorder", ms=400),
        heal=calm,
        late=WITNESSED,
    ),
    Fault(
        name="no heartbeats, frames go on",
        proves="any frame shows that a socket lives",
        leaves="",
        strike=simulate(fault="mute", seconds=6.0),
        heal=calm,
        under_fault=100,
    ),
    Fault(
        name="handshakes refused while sockets of one client drop",
        proves="a channel that cannot be opened again is replaced",
        leaves=OTHER_REPLICA,
        strike=refuse_handshakes(503),
        heal=calm,
    ),
    Fault(
        name="handshakes answered 401 while sockets of one client drop",
        proves="the same, with another answer",
        leaves=OTHER_REPLICA,
        strike=refuse_handshakes(401),
        heal=calm,
    ),
    Fault(
        name="frames with words that no enum knows",
        proves="unknown words pass through",
        leaves="",
        strike=simulate(fault="noise", kind="unknown_values", share=0.05),
        heal=calm,
        strangers=True,
    ),
)
