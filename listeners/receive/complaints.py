"""The problems of a listener, in sentences for its health and its beats.

A channel has a problem if more than a tenth of its frames become dead letters, if Genesys has not
said for long which topics are set on it, or has not set its present topics for long. The publisher
and the spool have their own problems.
"""

from __future__ import annotations

from collections.abc import Iterable

from listeners.channels.channel import Channel
from listeners.publish.dead_letters import DeadLetterWatch
from listeners.publish.publisher import Publisher
from mirror.base.units import counted


class Complaints:
    """The dead-letter watches of all channels, and the other problems."""

    def __init__(self) -> None:
        self._lists: list[str] = []  # the problems of channels with their topics at Genesys
        self._watches: dict[Channel, DeadLetterWatch] = {}
        self._bad: set[Channel] = set()
        self.dead_share = 0.0  # the share of the last minute's frames that became dead letters

    def look(self, channels: Iterable[Channel], now: float) -> list[Channel]:
        """Count dead letters, and find overdue comparisons. Returns the channels whose dead letters
        became too many."""
        held = set(channels)
        self._lists = list(filter(None, (_overdue(held, now), _unset(held, now))))
        for gone in self._watches.keys() - held:
            del self._watches[gone]
        self._bad &= held
        fresh = []
        all_frames = all_dead = 0
        for channel in held:
            watch = self._watches.setdefault(channel, DeadLetterWatch())
            watch.update(now, channel.frames, channel.dead_letters)
            frames, dead = watch.counts()
            all_frames, all_dead = all_frames + frames, all_dead + dead
            if not watch.is_bad():
                self._bad.discard(channel)
            elif channel not in self._bad:
                self._bad.add(channel)
                fresh.append(channel)
        self.dead_share = all_dead / all_frames if all_frames else 0.0
        return fresh

    def sentences(self, publisher: Publisher, held: int) -> tuple[str, ...]:
        """All present problems; `held` records are in memory because the disk refuses."""
        reasons = [
            f"more than a tenth of the frames of shard {channel.grant.shard} "
            f"replica {channel.grant.replica} are dead letters"
            for channel in self._bad
        ]
        reasons += self._lists
        reasons += publisher.reasons
        if held:
            reasons.append(f"the spool's disk refuses: {held} records wait in memory")
        if publisher.refusing_since is not None:
            reasons.append("the spool is full or cannot be written: events are being lost")
        return tuple(reasons)


def dark(found: list[tuple[float, Channel]]) -> str:
    """The problem of channels that are not live, in one sentence; empty if there is none."""
    if not found:
        return ""
    seconds, seats, error = _longest(found)
    because = f": {error}" if error else ""
    return f"{seats} not live for {seconds:.0f}s{because}"


def _overdue(channels: Iterable[Channel], now: float) -> str:
    """The problem of channels whose comparison is overdue, in one sentence; empty if none is."""
    found = [
        (seconds, channel) for channel in channels if (seconds := channel.overdue(now)) is not None
    ]
    if not found:
        return ""
    seconds, seats, error = _longest(found)
    return (
        f"Genesys has not said for {seconds:.0f}s which topics are set on {seats}, so lost "
        f"subscriptions would go unnoticed: {error}"
    )


def _unset(channels: Iterable[Channel], now: float) -> str:
    """The problem of channels without their present topics, in one sentence; empty if none is."""
    found = [
        (seconds, channel) for channel in channels if (seconds := channel.unset(now)) is not None
    ]
    if not found:
        return ""
    seconds, seats, error = _longest(found)
    because = f": {error}" if error else ""
    return (
        f"Genesys has not set the present topics of {seats} for {seconds:.0f}s, so new ones are "
        f"not received{because}"
    )


def _longest(found: list[tuple[float, Channel]]) -> tuple[float, str, str]:
    """Of channels and their seconds: the most seconds, the seats in words, that channel's error."""
    seconds, channel = max(found, key=lambda item: (item[0], item[1].grant.seat))
    shard, replica = channel.grant.seat
    more = f" and {counted(len(found) - 1, 'more channel')}" if len(found) > 1 else ""
    return seconds, f"shard {shard} replica {replica}{more}", channel.error
