"""The status of the whole mirror, assembled from the state of its processes. Pure.

`mirror.fleet.status_reader` fetches the input from Redis. The CLI, the dashboard and the demo share
this status, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from mirror.base.health import Status as HealthStatus
from mirror.base.units import counted
from mirror.fleet import reasons as causes
from mirror.fleet.gaps import OngoingGap
from mirror.fleet.names import described
from mirror.fleet.waiting import Wait, advice
from mirror.fleet.waiting import reasons as waiting
from mirror.fleet.words import REPLICAS, SERVING, Beat, ChannelReport, Shard
from mirror.fleet.workers import Worker, is_recent
from mirror.redis.keys import CAUSE, NOTE, REASON

MAX_REASONS: Final = 20
MAX_NAMED: Final = 5


class ListenerStatus(msgspec.Struct, kw_only=True):
    """One listener. `state` is `live`, `draining` or `dead` (no beat within the lease).

    `native` says whether its native reader reads: `on`, `off` or `broken` (docs/native.md).
    """

    id: str
    host: str
    state: str
    channels: int
    last_beat_ms: int
    spool_records: int = 0
    native: str = "off"


class ReplicaStatus(msgspec.Struct, kw_only=True):
    """One seat of a shard: its listener, its channel (shortened) and the channel's state."""

    replica: str
    listener: str | None = None
    channel: str | None = None
    state: str = "lost"
    client: str | None = None
    last_frame_ms: int | None = None


class ChannelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One channel as its listener reports it; ids are shortened. `state` is `lost` if the listener
    is dead."""

    channel: str
    listener: str
    shard: str
    replica: str
    state: str
    client: str
    topics: int
    frames: int
    events: int
    expires_s: int | None
    rotate: str


class ShardStatus(msgspec.Struct, kw_only=True):
    """A shard, how many topics it has, and its replicas."""

    id: str
    topics: int
    replicas: list[ReplicaStatus]
    rejected: list[str] = []


class GapCounts(msgspec.Struct):
    """The numbers of open and of filled gaps. Open gaps that were filed by hand do not count."""

    open: int = 0
    filled: int = 0


class ConversationCounts(msgspec.Struct):
    """Conversations that are active, and those due for verification."""

    active: int = 0
    overdue: int = 0


class MirrorStatus(msgspec.Struct, kw_only=True):
    """`mirror status --json`. `notes` are worth knowing but need no action."""

    health: HealthStatus
    reasons: list[str]
    notes: list[str] = []
    leader: str | None
    listeners: list[ListenerStatus]
    shards: list[ShardStatus]
    gaps: GapCounts
    conversations: ConversationCounts


class Facts(msgspec.Struct, kw_only=True):
    """The state of a mirror in Redis at one moment. Times are Redis milliseconds.

    `called`: topic → how reasons show it (`mirror.fleet.names.described`), if its name is known.
    """

    now_ms: int
    leader: str | None
    beats: dict[str, int]
    listeners: dict[str, Beat]
    shards: dict[str, Shard]
    rejected: dict[str, str]
    called: dict[str, str] = {}
    gaps: GapCounts
    conversations: ConversationCounts
    uncovered: list[OngoingGap] = []
    gap_reasons: list[str] = []
    gaps_by_hand: int = 0
    foreign: list[str] = []  # keys whose values are not the mirror's
    problems: dict[str, str] = {}
    discovery: dict[str, str] = {}
    workers: list[Worker] = []
    waits: list[Wait] = []
    drained: set[str] = set()
    passed_ms: int | None = None
    waited_ms: int = 0  # how long the oldest work for janitors has been due
    has_projectors: bool = True
    overdue_ms: int = 0  # how long the oldest overdue conversation has been due


class Limits(msgspec.Struct, frozen=True):
    """Ages in milliseconds: beyond `state_ms` the leader's state is old, beyond `janitor_ms` a
    silent janitor counts as not working."""

    state_ms: int = 10_000
    janitor_ms: int = 210_000


def assemble(
    facts: Facts, replicas: int, lease_ms: int, limits: Limits | None = None
) -> MirrorStatus:
    """The status of a mirror that wants `replicas` channels a shard."""
    listeners = [
        ListenerStatus(
            id=listener_id,
            host=beat.host,
            state=_state(facts, listener_id, beat, lease_ms),
            channels=sum(report.state in SERVING for report in beat.channels),
            last_beat_ms=facts.now_ms - facts.beats[listener_id],
            spool_records=beat.spool_records,
            native=beat.native,
        )
        for listener_id, beat in sorted(facts.listeners.items())
        if listener_id in facts.beats
    ]
    alive = {listener.id for listener in listeners if listener.state != "dead"}
    shards = [
        ShardStatus(
            id=shard.id,
            topics=len(shard.topics),
            replicas=[_replica(facts, shard.id, name, alive) for name in REPLICAS[:replicas]],
            rejected=refused(shard, facts.rejected),
        )
        for shard in sorted(facts.shards.values(), key=lambda shard: shard.id)
    ]
    health, reasons, notes = _health(facts, listeners, shards, alive, limits or Limits())
    notes += sorted(line for line, kind in facts.discovery.items() if kind == NOTE)
    if facts.gaps_by_hand:
        asked = counted(facts.gaps_by_hand, "gap")
        notes.append(f"`mirror backfill` waits for {asked}: `mirror gaps` shows how far")
    return MirrorStatus(
        health=health,
        reasons=_first(reasons, MAX_REASONS, "reasons"),
        notes=_first(notes, MAX_REASONS, "notes"),
        leader=facts.leader,
        listeners=listeners,
        shards=shards,
        gaps=GapCounts(facts.gaps.open + len(facts.uncovered), facts.gaps.filled),
        conversations=facts.conversations,
    )


def _first(lines: list[str], most: int, what: str) -> list[str]:
    """The first `most` lines, and a line with the number of the others."""
    left = len(lines) - most
    return lines if left <= 0 else [*lines[:most], f"and {left} more {what}"]


def refused(shard: Shard, rejected: Mapping[str, str]) -> list[str]:
    """The topics of a shard that Genesys refuses, sorted; `rejected` are those of all shards."""
    return sorted(topic for topic in shard.topics if topic in rejected)


def _state(facts: Facts, listener_id: str, beat: Beat, lease_ms: int) -> str:
    if not is_recent(facts.beats[listener_id], facts.now_ms, lease_ms):
        return "dead"
    return "draining" if listener_id in facts.drained else beat.state


def _replica(facts: Facts, shard_id: str, replica: str, alive: set[str]) -> ReplicaStatus:
    """The best channel that listeners report for a seat; of several, the newest epoch."""
    best: tuple[tuple[bool, bool, int], str, ChannelReport] | None = None
    for listener_id, beat in facts.listeners.items():
        for report in beat.channels:
            if (report.shard, report.replica) != (shard_id, replica):
                continue
            rank = (listener_id in alive, report.state in SERVING, report.epoch)
            if best is None or rank > best[0]:
                best = (rank, listener_id, report)
    if best is None:
        return ReplicaStatus(replica=replica)
    (is_alive, _, _), listener_id, report = best
    since_beat = facts.now_ms - facts.beats.get(listener_id, facts.now_ms)
    return ReplicaStatus(
        replica=replica,
        listener=listener_id,
        channel=report.channel or None,
        state=report.state if is_alive else "lost",
        client=report.client,
        last_frame_ms=None if report.last_frame_ms is None else report.last_frame_ms + since_beat,
    )


def _health(
    facts: Facts,
    listeners: list[ListenerStatus],
    shards: list[ShardStatus],
    alive: set[str],
    limits: Limits,
) -> tuple[HealthStatus, list[str], list[str]]:
    """Health, reasons and notes."""
    waits = facts.waits
    leading = causes.leading(
        facts.leader, facts.passed_ms, facts.now_ms, limits.state_ms, advice("coordinator", waits)
    )
    leading += causes.foreign(facts.foreign)
    if not alive:
        silent = f"no listener is alive{advice('listener', waits)}"
        return "down", [*waiting(waits), silent, *leading], []
    reasons = [*waiting(waits), *leading]
    causes_of_none = sorted(line for line, kind in facts.discovery.items() if kind == CAUSE)
    if not shards and causes_of_none:
        reasons.insert(0, f"no topic is mirrored: {'; '.join(causes_of_none)}")
    elif not shards and facts.leader is not None:
        reasons.append("no shard is known yet: the leader lists queues and users first")
    errors = causes.errors(facts.listeners, alive)
    reasons += causes.uncovered(facts.uncovered, errors)
    reasons += _first(facts.gap_reasons, MAX_NAMED, "reasons of gaps: `mirror gaps` has them all")
    reasons += sorted(line for line, kind in facts.discovery.items() if kind == REASON)
    reasons += causes.problems(facts.problems)
    without_cover = 0
    uncovered = {ongoing.shard for ongoing in facts.uncovered}
    for shard in shards:
        live = sum(replica.state in SERVING for replica in shard.replicas)
        if live < len(shard.replicas):
            because = "" if shard.id in uncovered else causes.because(shard.id, errors)
            reasons.append(
                f"shard {shard.id} has {live} of {len(shard.replicas)} channels{because}"
            )
        without_cover += live == 0
        if shard.rejected:
            names = ", ".join(
                facts.called.get(topic) or described(topic) for topic in shard.rejected[:MAX_NAMED]
            )
            more = len(shard.rejected) - MAX_NAMED
            reasons.append(
                f"shard {shard.id}: {facts.rejected[shard.rejected[0]]}: {names}"
                + (f" and {more} more" if more > 0 else "")
            )
    reasons += [
        f"listener {listener.id} is dead" for listener in listeners if listener.state == "dead"
    ]
    for listener_id in sorted(alive):
        reasons += [f"{listener_id}: {line}" for line in facts.listeners[listener_id].reasons]
    reasons += causes.tracking(facts.workers, facts.now_ms, advice("coordinator", waits))
    reasons += causes.janitors(
        facts.workers,
        facts.now_ms,
        limits.janitor_ms,
        facts.waited_ms,
        (facts.conversations.overdue, facts.gaps.open + facts.gaps_by_hand),
        advice("janitor", waits),
        facts.overdue_ms,
    )
    if facts.has_projectors:
        reasons += causes.projectors(facts.workers, facts.now_ms, advice("projector", waits))
    states = {listener.id: (listener.state, listener.channels) for listener in listeners}
    blocked, notes = causes.draining(states, facts.drained)
    reasons += blocked
    if shards:
        is_down = without_cover == len(shards)
    else:
        # A leader that still lists is starting. Redis may also have forgotten the shards of
        # channels that go on receiving.
        is_listing = facts.leader is not None and not causes_of_none
        is_down = not is_listing and not any(states[listener][1] for listener in alive)
    if is_down:
        return "down", reasons, notes
    return ("degraded" if reasons else "ok"), reasons, notes


def assemble_channels(
    listeners: Mapping[str, Beat], beats: Mapping[str, int], now_ms: int, lease_ms: int
) -> list[ChannelStatus]:
    """The channels in these beats, by seat. `beats`: listener → time of its last beat."""
    reports = [
        (report, listener, beats[listener])
        for listener, beat in sorted(listeners.items())
        for report in beat.channels
    ]
    return [
        ChannelStatus(
            channel=report.channel,
            listener=listener,
            shard=report.shard,
            replica=report.replica,
            state=report.state if is_recent(beat_ms, now_ms, lease_ms) else "lost",
            client=report.client,
            topics=report.topics,
            frames=report.frames,
            events=report.events,
            expires_s=None
            if report.expires_s is None
            else max(0, report.expires_s - max(0, now_ms - beat_ms) // 1000),
            rotate=report.rotate,
        )
        for report, listener, beat_ms in sorted(
            reports, key=lambda found: (found[0].shard, found[0].replica)
        )
    ]
