"""Keeps the channels in line with the grants. Pure, like the channels themselves.

A seat (shard and replica) has one current channel, at most one successor, and channels that are
retiring. The rules, in order:

- A seat under another epoch gets a successor. The current channel goes on until the successor is
  live, then it retires (I3). A superseded successor is dropped at once.
- The same epoch with other topics changes the current channel's list. If a grant returns to the
  current epoch, the leader gave the successor up, and it is dropped.
- A seat that is no longer granted retires: the leader takes a seat only when its next holder is
  live.
- A seat whose channel lost its socket is interrupted, and so is a seat that comes back to this
  listener: frames may be missing, once at the beginning and once at the end of the interruption.
  Make before break interrupts nothing.
- Topics that a channel turned out to lack are kept as `missed` until a gap is filed for them.
- Silence of the leader changes nothing (I8). If the leader has not granted a rotation for
  `PATIENCE_SECONDS` (`EXPIRY_PATIENCE_SECONDS` if there is time), the session opens a successor
  under the same grant.

`Step` pairs an action with its channel. The shell carries out the steps and calls `settle` after
each input.
"""

from __future__ import annotations

from random import Random
from typing import Final

import msgspec

from listeners.channels.actions import Action
from listeners.channels.channel import Channel
from listeners.channels.topic_list import Missed
from listeners.channels.upkeep import COMPARE_SECONDS
from mirror.fleet.words import Assignment, ChannelReport, Grant, Seat, Shard

Step = tuple[Channel, Action]

# Genesys gives about a minute after `socket_closing`; a leader that lives grants within a beat or
# two of ours.
PATIENCE_SECONDS: Final = 15.0
# What expires leaves hours: the leader may have to wait for the shard's other replica.
EXPIRY_PATIENCE_SECONDS: Final = 600.0
_EXPIRIES: Final = frozenset({"token_expiring", "channel_expiring"})
LAST_LINGER_SECONDS: Final = 0.5
# A seat without a live channel for this long is a problem: opening one takes seconds.
DARK_SECONDS: Final = 60.0
# Losses that wait to be filed while Redis is away. The oldest stay, because the next comparison may
# find the newest again.
MOST_MISSED: Final = 1_000


class HeldSeat(msgspec.Struct):
    """The channels of a seat."""

    current: Channel
    successor: Channel | None = None
    missing: bool = False  # frames may be missing since the seat last received
    dark_since: float | None = None  # since when its channel is not live, None while it is


class Session:
    """All channels of one listener."""

    def __init__(
        self,
        listener: str,
        *,
        silence: float,
        rng: Random,
        compare_every: float = COMPARE_SECONDS,
    ) -> None:
        """`silence`: seconds that a socket may be silent; `compare_every`: as in `Keeping`."""
        self._compare_every = compare_every
        self.missed: list[Missed] = []  # not filed yet
        self._listener = listener
        self._opened = 0
        self.seats: dict[Seat, HeldSeat] = {}
        self.retiring: list[Channel] = []
        self.version = 0
        self.draining = False
        self.rotations = 0
        self.interruptions = 0  # times that frames began or ceased to be missing
        self._left: set[Seat] = set()  # seats held before
        self._silence = silence
        self._rng = rng

    # -- inputs ----------------------------------------------------------------------------------

    def assign(self, assignment: Assignment, shards: dict[str, Shard], now: float) -> list[Step]:
        """The steps for a new assignment. A grant whose shard is not known yet waits."""
        self.version = assignment.version
        steps: list[Step] = []
        granted = {grant.seat for grant in assignment.grants}
        for seat in [seat for seat in self.seats if seat not in granted]:
            steps += self._give_up(seat, now)
        for grant in assignment.grants:
            shard = shards.get(grant.shard)
            if shard is not None:
                steps += self._grant(grant, shard, now)
        return steps

    def tick(self, now: float) -> list[Step]:
        """Time passed."""
        steps: list[Step] = []
        for held in self.seats.values():
            channel = held.current
            if (
                channel.rotate_since is not None
                and held.successor is None
                and not self.draining
                and now - channel.rotate_since >= _patience(channel.rotate)
            ):
                held.successor = self._open(channel.grant, channel.shard, now)
        for channel in self.channels():
            steps += [(channel, action) for action in channel.tick(now)]
        return steps + self.settle(now)

    def settle(self, now: float) -> list[Step]:
        """Promote live successors, note interruptions, forget closed channels."""
        steps: list[Step] = []
        for held in self.seats.values():
            successor = held.successor
            if successor is not None and successor.phase == "live":
                steps += self._retire(held.current, now)
                held.current, held.successor = successor, None
                self.rotations += 1
            missing = held.current.state == "lost" or (
                held.missing and held.current.phase != "live"
            )
            if missing != held.missing:
                held.missing = missing
                self.interruptions += 1
            if held.current.phase == "live":
                held.dark_since = None
            elif held.dark_since is None:
                held.dark_since = now
        for channel in self.channels():
            if channel.missed:
                self.missed = [*self.missed, *channel.missed][:MOST_MISSED]
                channel.missed = []
        if self.retiring:
            self.retiring = [channel for channel in self.retiring if channel.phase != "closed"]
        return steps

    def filed(self, missed: Missed) -> None:
        """The ledger has a gap for these missed topics."""
        self.missed = [kept for kept in self.missed if kept.name != missed.name]

    def drain(self, _now: float) -> list[Step]:
        """The listener stops: the leader moves its seats away; the session opens no successors."""
        self.draining = True
        return []

    def close(self, now: float, linger: float = LAST_LINGER_SECONDS) -> list[Step]:
        """Everything ends, `linger` seconds from now."""
        steps: list[Step] = []
        for seat in list(self.seats):
            steps += self._give_up(seat, now, linger)
        for channel in self.retiring:
            steps += [(channel, action) for action in channel.retire(now, linger=linger)]
        return steps + self.settle(now)

    # -- reading ---------------------------------------------------------------------------------

    def channels(self) -> list[Channel]:
        """All channels, in no particular order."""
        found = list(self.retiring)
        for held in self.seats.values():
            found.append(held.current)
            if held.successor is not None:
                found.append(held.successor)
        return found

    def reports(self, now: float, kept_until: float) -> tuple[ChannelReport, ...]:
        """One report for each epoch of a seat: of the serving channel, else of the opening one."""
        reports: dict[tuple[Seat, int], ChannelReport] = {}
        for channel in self.retiring:
            report = channel.report(now, kept_until)
            reports[report.seat, report.epoch] = report
        for held in self.seats.values():
            for serving in (held.successor, held.current):
                if serving is not None:
                    report = serving.report(now, kept_until)
                    reports[report.seat, report.epoch] = report
        return tuple(reports.values())

    def dark(self, now: float) -> list[tuple[float, Channel]]:
        """The channels that have not been live for long, and for how many seconds."""
        return [
            (now - held.dark_since, held.current)
            for held in self.seats.values()
            if held.dark_since is not None and now - held.dark_since > DARK_SECONDS
        ]

    # -- steps -----------------------------------------------------------------------------------

    def _grant(self, grant: Grant, shard: Shard, now: float) -> list[Step]:
        held = self.seats.get(grant.seat)
        if held is None:
            channel = self._open(grant, shard, now)
            self.seats[grant.seat] = HeldSeat(channel, missing=grant.seat in self._left)
            return []
        steps: list[Step] = []
        newest = held.successor or held.current
        if held.successor is not None and grant.epoch == held.current.grant.epoch:
            if held.successor.grant.epoch != grant.epoch:  # the leader gave up the successor
                steps += self._retire(held.successor, now)
                held.successor = None
            newest = held.current
        if grant.epoch == newest.grant.epoch:
            return steps + [
                (channel, action)
                for channel in (held.current, held.successor)
                if channel is not None and channel.grant.epoch == grant.epoch
                for action in channel.set_topics(grant, shard.topics, now, shard_epoch=shard.epoch)
            ]
        if held.successor is not None:
            steps += self._retire(held.successor, now)
        if held.current.phase == "live" or held.current.covered_since is not None:
            held.successor = self._open(grant, shard, now)
        else:
            # The channel receives nothing, so there is nothing to keep until the other is live.
            steps += self._retire(held.current, now)
            held.current, held.successor = self._open(grant, shard, now), None
        return steps

    def _give_up(self, seat: Seat, now: float, linger: float | None = None) -> list[Step]:
        held = self.seats.pop(seat)
        self._left.add(seat)
        last = linger is not None
        steps = self._retire(held.current, now, linger, give_back=last)
        if held.successor is not None:
            steps += self._retire(held.successor, now, linger)
        return steps

    def _open(self, grant: Grant, shard: Shard, now: float) -> Channel:
        self._opened += 1
        return Channel(
            grant,
            shard.topics,
            now,
            holder=f"{self._listener}/{self._opened}",
            silence=self._silence,
            rng=self._rng,
            shard_epoch=shard.epoch,
            compare_every=self._compare_every,
        )

    def _retire(
        self,
        channel: Channel,
        now: float,
        linger: float | None = None,
        *,
        give_back: bool = False,
    ) -> list[Step]:
        self.retiring.append(channel)
        actions = channel.retire(now, linger=linger, give_back=give_back)
        return [(channel, action) for action in actions]


def _patience(reason: str) -> float:
    return EXPIRY_PATIENCE_SECONDS if reason in _EXPIRIES else PATIENCE_SECONDS
