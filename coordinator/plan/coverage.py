"""Computes when topics were received, and the gaps in between. Pure.

A live channel's report is a fact: it received from `covered_ms` ago until its last frame, and not a
moment longer (I10). The replicas' intervals are joined into one frontier per shard: the time up to
which the shard is covered. If the next interval begins after the frontier, the time between is a
gap. But if a channel that held the frontier still receives, it may only be quiet: the decision
waits for its next frame, at the latest a heartbeat.

A shard that no live channel receives is `uncovered` from its frontier on, and shown as such. Its
gap is filed when a channel receives again: only then is the end known.

Topics that no channel had before are `pending` from the horizon (`MIRROR_HORIZON`) until a channel
that knows them is live. That interval is a gap of the kind `snapshot`: a new mirror's first gap is
its snapshot of all active conversations, however long ago they began. Topics that were received
before (they come from another shard, or their queue was invisible for a while) are pending from
their last reception: a normal gap, because conversations that began and ended meanwhile count too.
Topics that Genesys refuses on every channel of their shard are pending in the same way, until a
channel has them again.

A channel that the leader doubts (`coordinator.plan.deafness`) covers nothing meanwhile. If Redis'
clock goes back, so do all times (`coordinator.plan.clock`).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from coordinator.plan.clock import UNKNOWN
from mirror.fleet.gaps import Gap
from mirror.fleet.words import Beat, Seat, Shard

# Ages are rounded to milliseconds and beats take a moment: a shorter interval is no gap.
SLACK_MS: Final = 50


class ChannelKey(NamedTuple):
    """A channel: its listener, and the seat and the epoch of its grant."""

    listener: str
    seat: Seat
    epoch: int


NO_RESTARTS: Final[Mapping[ChannelKey, int]] = {}


class Pending(msgspec.Struct, frozen=True):
    """Topics that wait for coverage, and the shard epoch that has them. `back`: they were received
    before, until `from_ms`."""

    topics: tuple[str, ...]
    shard_epoch: int
    from_ms: int
    back: bool = False


class ShardCoverage(msgspec.Struct):
    """The frontier of a shard, None before its first frame, and its pending topics."""

    until_ms: int | None = None
    pending: tuple[Pending, ...] = ()


class Interval(msgspec.Struct, frozen=True, order=True):
    """A channel received without a break from `start_ms` to its last frame at `end_ms` (Redis
    time). `lasting`: it still receives. `rejected`: topics that Genesys refuses, in lower case."""

    start_ms: int
    end_ms: int
    shard_epoch: int = 0
    lasting: bool = False
    rejected: frozenset[str] = frozenset()

    def has(self, topic: str) -> bool:
        """Whether the channel received this topic."""
        return topic.lower() not in self.rejected


def note_fresh(
    coverage: dict[str, ShardCoverage],
    fresh: Mapping[str, Sequence[str]],
    shards: Mapping[str, Shard],
    now_ms: int,
    horizon_ms: int,
) -> None:
    """Note topics that entered their shards and wait for their first coverage.

    Their active conversations that began since the horizon are unknown until then.
    """
    for shard_id, topics in fresh.items():
        if topics:
            entry = coverage.setdefault(shard_id, ShardCoverage())
            pending = Pending(tuple(topics), shards[shard_id].epoch, now_ms - horizon_ms)
            entry.pending = (*entry.pending, pending)


def note_back(
    coverage: dict[str, ShardCoverage],
    back: Mapping[str, Sequence[str]],
    shards: Mapping[str, Shard],
    since: Mapping[str, int],
) -> None:
    """Note topics that entered other shards, received until `since` (topic → Redis ms)."""
    for shard_id, topics in back.items():
        groups: dict[int, list[str]] = {}
        for topic in topics:
            groups.setdefault(since[topic], []).append(topic)
        entry = coverage.setdefault(shard_id, ShardCoverage())
        entry.pending = (
            *entry.pending,
            *(
                Pending(tuple(topics), shards[shard_id].epoch, from_ms, back=True)
                for from_ms, topics in sorted(groups.items())
            ),
        )


def note_entered(
    coverage: dict[str, ShardCoverage],
    entered: Iterable[Mapping[str, Sequence[str]]],
    shards: Mapping[str, Shard],
    until: Mapping[str, int],
    now_ms: int,
    horizon_ms: int,
) -> None:
    """Note topics that entered shards (shard → topics): topics in `until` are back, others are
    fresh."""
    back: dict[str, list[str]] = {}
    fresh: dict[str, list[str]] = {}
    for part in entered:
        for shard_id, topics in part.items():
            for topic in topics:
                (back if topic in until else fresh).setdefault(shard_id, []).append(topic)
    note_fresh(coverage, fresh, shards, now_ms, horizon_ms)
    note_back(coverage, back, shards, until)


def received_until(
    coverage: Mapping[str, ShardCoverage], shards: Mapping[str, Shard]
) -> dict[str, int]:
    """Topic → until when it was received (Redis ms), for topics that were received at all."""
    found: dict[str, int] = {}
    for shard_id, shard in shards.items():
        entry = coverage.get(shard_id)
        if entry is None:
            continue
        if entry.until_ms is not None:
            found.update(dict.fromkeys(shard.topics, entry.until_ms))
        for pending in entry.pending:
            for topic in pending.topics:
                found.pop(topic, None)
                if pending.back:
                    found[topic] = pending.from_ms
    return found


def intervals(
    listeners: Mapping[str, Beat],
    beats: Mapping[str, int],
    alive: Container[str],
    doubted: Container[ChannelKey] = (),
    restarts: Mapping[ChannelKey, int] = NO_RESTARTS,
) -> dict[str, list[Interval]]:
    """Shard → the intervals of its channels, from each listener's last beat and its Redis time.

    Left out are `doubted` channels, and those of listeners whose beat is `UNKNOWN`. A channel in
    `restarts` counts only from the end of its doubt.
    """
    found: dict[str, list[Interval]] = {}
    for listener in listeners.keys() & beats.keys():
        beat_ms, beat = beats[listener], listeners[listener]
        for report in beat.channels:
            key = ChannelKey(listener, report.seat, report.epoch)
            if report.covered_ms is None or key in doubted or beat_ms == UNKNOWN:
                continue
            start = max(beat_ms - report.covered_ms, restarts.get(key, 0))
            last = beat_ms - (report.last_frame_ms or 0)
            rejected = frozenset(topic.lower() for topic in report.rejected)
            found.setdefault(report.shard, []).append(
                Interval(start, max(start, last), report.shard_epoch, listener in alive, rejected)
            )
    return found


def advance(
    coverage: dict[str, ShardCoverage],
    shards: Mapping[str, Shard],
    seen: Mapping[str, Sequence[Interval]],
) -> list[Gap]:
    """Move every shard's frontier by the `seen` intervals. Returns the gaps that this closed.

    `coverage` is changed in place; shards that no longer exist are removed from it.
    """
    gaps: list[Gap] = []
    for shard_id in [known for known in coverage if known not in shards]:
        del coverage[shard_id]
    for shard_id, shard in shards.items():
        entry = coverage.setdefault(shard_id, ShardCoverage())
        found = sorted(seen.get(shard_id, ()), key=_by_time)
        _note_refused(entry, shard, found)
        for interval in found:
            gaps += _first_coverage(entry, shard_id, interval)
        for interval in found:
            until = interval.start_ms if entry.until_ms is None else entry.until_ms
            if interval.start_ms > until + SLACK_MS:
                if any(
                    overlapping.lasting and overlapping.start_ms <= until + SLACK_MS
                    for overlapping in found
                ):
                    break
                gaps.append(_gap(shard_id, shard.topics, until, interval.start_ms))
            entry.until_ms = max(until, interval.end_ms)
    return gaps


def uncovered(
    coverage: Mapping[str, ShardCoverage],
    shards: Mapping[str, Shard],
    seen: Mapping[str, Sequence[Interval]],
) -> dict[str, int]:
    """Shard that no channel receives → since when (Redis ms): its last frame (I10), or the horizon
    if there was none yet."""
    found: dict[str, int] = {}
    for shard_id in shards:
        entry = coverage.get(shard_id)
        if entry is None or any(interval.lasting for interval in seen.get(shard_id, ())):
            continue
        since = entry.until_ms
        if since is None and entry.pending:
            since = min(pending.from_ms for pending in entry.pending)
        if since is not None:
            found[shard_id] = since
    return found


def is_fresh(entry: ShardCoverage) -> bool:
    """Whether no topic of the shard was ever received."""
    return entry.until_ms is None and not any(pending.back for pending in entry.pending)


def _by_time(interval: Interval) -> tuple[int, int]:
    return interval.start_ms, interval.end_ms


def _note_refused(entry: ShardCoverage, shard: Shard, found: Sequence[Interval]) -> None:
    """Make topics pending that are refused on every channel of their shard, from their last
    reception on. The frontier advances without them."""
    lasting = [interval for interval in found if interval.lasting]
    if entry.until_ms is None or not lasting:
        return
    refused = frozenset.intersection(*(interval.rejected for interval in lasting))
    waiting = {topic for pending in entry.pending for topic in pending.topics} if refused else set()
    news: dict[int, list[str]] = {}
    for topic in shard.topics if refused else ():
        if topic.lower() in refused and topic not in waiting:
            ends = [interval.end_ms for interval in found if interval.has(topic)]
            from_ms = min(entry.until_ms, max(ends, default=entry.until_ms))
            news.setdefault(from_ms, []).append(topic)
    entry.pending = (
        *entry.pending,
        *(
            Pending(tuple(topics), shard.epoch, from_ms, back=True)
            for from_ms, topics in sorted(news.items())
        ),
    )


def _first_coverage(entry: ShardCoverage, shard_id: str, interval: Interval) -> list[Gap]:
    """The gaps of pending topics that this interval's channel has. It had them at its latest frame;
    whether it had them earlier is unknown, so the gap ends at that frame."""
    left: list[Pending] = []
    covered: list[Pending] = []
    for pending in entry.pending:
        known = not interval.shard_epoch or interval.shard_epoch >= pending.shard_epoch
        had = tuple(topic for topic in pending.topics if interval.has(topic))
        if not known or not had or interval.end_ms <= pending.from_ms:
            left.append(pending)
            continue
        covered.append(msgspec.structs.replace(pending, topics=had))
        if len(had) < len(pending.topics):
            refused = tuple(topic for topic in pending.topics if not interval.has(topic))
            left.append(msgspec.structs.replace(pending, topics=refused))
    if not covered:
        return []
    entry.pending = tuple(left)
    return [
        _gap(
            shard_id, pending.topics, pending.from_ms, interval.end_ms, "b" if pending.back else "s"
        )
        for pending in covered
    ]


def _gap(shard_id: str, topics: Sequence[str], from_ms: int, to_ms: int, kind: str = "g") -> Gap:
    """A gap whose id is made of its content, so that filing it twice files it once. `kind`: `g`ap,
    `s`napshot, or a gap of topics that came `b`ack, which may equal a gap of their shard. Topics of
    one shard may have gaps of the same interval, found one after another."""
    mark = blake2b("/".join((str(from_ms), *topics)).encode(), digest_size=3).hexdigest()
    return Gap(
        id=f"{to_ms // 1000:x}-{kind}{shard_id}-{mark}",
        shard=shard_id,
        topics=tuple(topics),
        from_ms=from_ms,
        to_ms=to_ms,
        kind="snapshot" if kind == "s" else "gap",
    )
