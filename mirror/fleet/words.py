"""The messages that listeners and coordinators exchange through Redis.

A *shard* is a stable set of topics. Each shard has `MIRROR_REPLICAS` *seats*, named by shard and
replica (`a`, `b`, …). The leader *grants* each seat to a listener. The listener opens a channel for
the grant and reports it in its *beat*.

A grant carries an epoch. The same seat under a higher epoch means: open a fresh channel, and close
the old one only when the new one is live. Moves, rotations and rebalancing all work this way: the
leader takes a seat from its old holder only after the new holder has reported the new epoch live
(make before break).

Beats carry ages, not clock times: no process compares its wall clock with another's. A reader turns
an age into Redis time by subtracting it from the Redis time of the beat.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import msgspec

from mirror.genesys.handles import Handle

REPLICAS: Final = "abcd"
ListenerState = Literal["live", "draining", "dead"]
# Whether the native reader reads: `broken` where it failed too often to be asked any more.
NativeState = Literal["on", "off", "broken"]
ChannelState = Literal["opening", "live", "rotating", "closing", "lost"]
# The states of a channel that receives.
SERVING: Final = frozenset({"live", "rotating"})


class Seat(NamedTuple):
    """One replica of one shard: what a listener is granted."""

    shard: str
    replica: str

    @property
    def name(self) -> str:
        """The seat as one word, e.g. `12/b`: a field of Redis hashes and of logs."""
        return f"{self.shard}/{self.replica}"


class Shard(msgspec.Struct, frozen=True):
    """A set of topics that share a channel. `epoch` rises whenever `topics` or `clients` changes.

    `clients` are the OAuth clients that may see its topics, in order; empty if all may. `refused`
    are clients that list the topics, but Genesys refuses them some.
    """

    id: str
    topics: tuple[str, ...]
    epoch: int
    clients: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


class Released(msgspec.Struct, frozen=True):
    """A channel that waits for its seat's next holder: its OAuth client and its grant."""

    client: str
    epoch: int
    handle: Handle


class Grant(msgspec.Struct, frozen=True):
    """The leader's order that a listener holds a seat, on a channel of one OAuth client.

    `doubted_ms`: Redis time in ms since which the channel hears nothing while another replica does;
    0 if there is no doubt. The listener then compares the channel's topics at once.
    """

    shard: str
    replica: str
    epoch: int
    client: str
    shard_epoch: int
    handle: Handle | None = None
    doubted_ms: int = 0

    @property
    def seat(self) -> Seat:
        """The granted seat."""
        return Seat(self.shard, self.replica)


class Assignment(msgspec.Struct, frozen=True):
    """All grants of one listener. `version` rises with every change."""

    version: int
    grants: tuple[Grant, ...]


class ChannelReport(msgspec.Struct, frozen=True, kw_only=True):
    """A listener's report of one of its channels in a beat.

    `channel` is shortened. `covered_ms` is how long this channel has received without a break (None
    while it does not), `last_frame_ms` the age of the last frame, heartbeats included. `rotate`
    says why the channel needs a successor soon, empty if it needs none. `shard_epoch` is the epoch
    of the topic list that Genesys confirmed last, 0 if unknown. `error` says why the last step of a
    channel that is not live failed. `heard` counts the `frames` that came on a topic: no
    heartbeats, pongs or system messages.
    """

    shard: str
    replica: str
    epoch: int
    client: str
    state: ChannelState
    channel: str = ""
    topics: int = 0
    rejected: tuple[str, ...] = ()
    covered_ms: int | None = None
    last_frame_ms: int | None = None
    expires_s: int | None = None
    rotate: str = ""
    frames: int = 0
    events: int = 0
    dead_letters: int = 0
    shard_epoch: int = 0
    error: str = ""
    heard: int = 0

    @property
    def seat(self) -> Seat:
        """The seat of the channel."""
        return Seat(self.shard, self.replica)


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """A listener's report to Redis, every `MIRROR_HEARTBEAT`."""

    listener: str
    host: str
    pid: int
    version: str
    state: ListenerState
    channels: tuple[ChannelReport, ...] = ()
    spool_records: int = 0
    spool_bytes: int = 0
    reasons: tuple[str, ...] = ()
    native: NativeState = "off"


def seat_of(name: str) -> Seat:
    """The seat of a `Seat.name`."""
    shard, _, replica = name.rpartition("/")
    return Seat(shard, replica)


def usable_channels(limit: int) -> int:
    """The most seats for a client's `limit` channels: the rest is for make before break."""
    return max(1, limit - (2 if limit >= 10 else 1))
