"""The status of the whole mirror, assembled from the state of its processes in Redis.

`assemble` is pure; `read` fetches its input. The CLI, the dashboard and the demo share this status,
so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from mirror.base.health import Status as HealthStatus
from mirror.fleet import reasons as causes
from mirror.fleet.gaps import OngoingGap, count_gaps, list_gaps, list_ongoing_gaps
from mirror.fleet.gaps import reasons as gap_reasons
from mirror.fleet.requests import DRAIN
from mirror.fleet.tracked import count_conversations
from mirror.fleet.words import REPLICAS, Beat, ChannelReport, Shard
from mirror.fleet.workers import Worker, is_recent, janitor_silent_ms
from mirror.fleet.workers import read as read_workers
from mirror.redis.connect import explained
from mirror.redis.documents import readable
from mirror.redis.keys import NOTE, REASON, Keys

if TYPE_CHECKING:
    import redis

    from mirror.settings import Settings

T = TypeVar("T")

MAX_REASONS: Final = 20
MAX_NAMED: Final = 5
# Beats after which the leader's state is old: the leader notes every two seconds that it made a
# pass.
STATE_BEATS: Final = 5


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
    """One channel as its listener reports it; ids are shortened."""

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
    """The numbers of open and of filled gaps."""

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
    """The state of a mirror in Redis at one moment. Times are Redis milliseconds."""

    now_ms: int
    leader: str | None
    beats: dict[str, int]
    listeners: dict[str, Beat]
    shards: dict[str, Shard]
    rejected: dict[str, str]
    gaps: GapCounts
    conversations: ConversationCounts
    uncovered: list[OngoingGap] = []
    gap_reasons: list[str] = []
    problems: dict[str, str] = {}
    discovery: dict[str, str] = {}
    workers: list[Worker] = []
    drained: set[str] = set()
    passed_ms: int | None = None
    waited_ms: int = 0  # how long the oldest work for janitors has been due


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
            channels=sum(report.state in {"live", "rotating"} for report in beat.channels),
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
            rejected=sorted(topic for topic in shard.topics if topic in facts.rejected),
        )
        for shard in sorted(facts.shards.values(), key=lambda shard: shard.id)
    ]
    health, reasons, notes = _health(facts, listeners, shards, alive, limits or Limits())
    notes += sorted(line for line, kind in facts.discovery.items() if kind == NOTE)
    return MirrorStatus(
        health=health,
        reasons=reasons[:MAX_REASONS],
        notes=notes[:MAX_REASONS],
        leader=facts.leader,
        listeners=listeners,
        shards=shards,
        gaps=GapCounts(facts.gaps.open + len(facts.uncovered), facts.gaps.filled),
        conversations=facts.conversations,
    )


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
            rank = (listener_id in alive, report.state in {"live", "rotating"}, report.epoch)
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
    leading = causes.leading(facts.leader, facts.passed_ms, facts.now_ms, limits.state_ms)
    if not alive:
        return (
            "down",
            ["no listener is alive: start `mirror listener`, or see its log", *leading],
            [],
        )
    reasons = leading
    if not shards:
        reasons.append("no shard is known yet: the leader lists queues and users first")
    errors = causes.errors(facts.listeners, alive)
    reasons += causes.uncovered(facts.uncovered, errors)
    reasons += facts.gap_reasons[:MAX_NAMED]
    reasons += sorted(line for line, kind in facts.discovery.items() if kind == REASON)
    reasons += causes.problems(facts.problems)
    without_cover = 0
    uncovered = {ongoing.shard for ongoing in facts.uncovered}
    for shard in shards:
        live = sum(replica.state in {"live", "rotating"} for replica in shard.replicas)
        if live < len(shard.replicas):
            because = "" if shard.id in uncovered else causes.because(shard.id, errors)
            reasons.append(
                f"shard {shard.id} has {live} of {len(shard.replicas)} channels{because}"
            )
        without_cover += live == 0
        if shard.rejected:
            names = ", ".join(shard.rejected[:MAX_NAMED])
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
    reasons += causes.tracking(facts.workers, facts.now_ms)
    reasons += causes.janitors(
        facts.workers,
        facts.now_ms,
        limits.janitor_ms,
        facts.waited_ms,
        (facts.conversations.overdue, facts.gaps.open),
    )
    states = {listener.id: (listener.state, listener.channels) for listener in listeners}
    blocked, notes = causes.draining(states, facts.drained)
    reasons += blocked
    if shards and without_cover == len(shards):
        return "down", reasons, notes
    return ("degraded" if reasons else "ok"), reasons, notes


def read(client: redis.Redis, settings: Settings) -> MirrorStatus:
    """Ask Redis, by a client that decodes. Raises `RedisUnavailable`."""
    keys = Keys(settings.namespace)
    pipe = client.pipeline(transaction=False)
    pipe.time()
    pipe.get(keys.leader)
    pipe.zrange(keys.beats, 0, -1, withscores=True)
    pipe.hkeys(keys.shards)
    pipe.hgetall(keys.rejected)
    pipe.hgetall(keys.problems)
    pipe.hgetall(keys.discovery)
    pipe.hgetall(keys.workers)
    pipe.hkeys(keys.commands)
    pipe.get(keys.passed)
    pipe.zrange(keys.gaps, 0, 0, withscores=True)
    pipe.zrange(keys.active, 0, 0, withscores=True)
    with explained():
        (
            (seconds, micros),
            leader,
            beats,
            shard_ids,
            rejected,
            problems,
            discovery,
            workers,
            commands,
            passed,
            *oldest,
        ) = pipe.execute()
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    beat_times = {name: int(score) for name, score in beats}
    ids = sorted(shard_ids)
    gaps = list_gaps(client, keys)
    facts = Facts(
        now_ms=now_ms,
        leader=leader,
        beats=beat_times,
        listeners=_documents(client, {i: keys.listener(i) for i in beat_times}, Beat),
        shards=_documents(client, {i: keys.shard(i) for i in ids}, Shard),
        rejected=rejected,
        gaps=GapCounts(*count_gaps(gaps)),
        conversations=ConversationCounts(*count_conversations(client, keys)),
        uncovered=list_ongoing_gaps(client, keys),
        gap_reasons=gap_reasons(gaps),
        problems=problems,
        discovery=discovery,
        workers=list(read_workers(workers, keys.workers).values()),
        drained={command.removeprefix(DRAIN) for command in commands if command.startswith(DRAIN)},
        passed_ms=readable(int, passed, keys.passed),
        waited_ms=max(_waited(first, now_ms) for first in oldest),
    )
    limits = Limits(
        state_ms=round(1000 * max(settings.lease, STATE_BEATS * settings.heartbeat)),
        janitor_ms=janitor_silent_ms(settings.janitor_interval),
    )
    return assemble(facts, settings.replicas, round(settings.lease * 1000), limits)


def _waited(first: list[tuple[str, float]], now_ms: int) -> int:
    """Milliseconds that the first item of a sorted set, with its due time as score, has waited."""
    return max(0, round(now_ms - first[0][1])) if first and first[0][1] < now_ms else 0


def read_channels(client: redis.Redis, settings: Settings) -> list[ChannelStatus]:
    """Every channel of every listener that beats. Raises `RedisUnavailable`."""
    keys = Keys(settings.namespace)
    with explained():
        beating: Any = client.zrange(keys.beats, 0, -1)
    beats = _documents(client, {name: keys.listener(name) for name in beating}, Beat)
    reports = [(name, report) for name, beat in sorted(beats.items()) for report in beat.channels]
    return [
        ChannelStatus(
            channel=report.channel,
            listener=listener,
            shard=report.shard,
            replica=report.replica,
            state=report.state,
            client=report.client,
            topics=report.topics,
            frames=report.frames,
            events=report.events,
            expires_s=report.expires_s,
            rotate=report.rotate,
        )
        for listener, report in sorted(
            reports, key=lambda report: (report[1].shard, report[1].replica)
        )
    ]


def _documents(client: redis.Redis, keys: Mapping[str, str], kind: type[T]) -> dict[str, T]:
    if not keys:
        return {}
    decoder = msgspec.json.Decoder(kind)
    with explained():
        values = client.mget(list(keys.values()))
        return {
            name: decoder.decode(value)
            for name, value in zip(keys, values, strict=True)
            if value is not None
        }
