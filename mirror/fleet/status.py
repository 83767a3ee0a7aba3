"""How the whole mirror is, put together from what its processes wrote to Redis.

`assemble` is pure; `read` fetches what it needs. The CLI, the dashboard and the demo share it, so
they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from mirror.base.health import Status as HealthStatus
from mirror.fleet.gaps import Hole, count_gaps, list_gaps, list_holes, rfc3339
from mirror.fleet.gaps import reasons as gap_reasons
from mirror.fleet.tracked import count_conversations
from mirror.fleet.words import Beat, ChannelReport, Shard
from mirror.redis.keys import NOTE, REASON, Keys

if TYPE_CHECKING:
    import redis

    from mirror.settings import Settings

T = TypeVar("T")

REPLICAS: Final = "abcd"
MAX_REASONS: Final = 20
MAX_NAMED: Final = 5


class ListenerStatus(msgspec.Struct, kw_only=True):
    """One listener. `state` is `live`, `draining` or `dead` (no beat within the lease)."""

    id: str
    host: str
    state: str
    channels: int
    last_beat_ms: int
    spool_records: int = 0


class ReplicaStatus(msgspec.Struct, kw_only=True):
    """One seat of a shard: who holds it, on which channel (shortened), and how that is."""

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
    """How many gaps wait to be filled, and how many were."""

    open: int = 0
    filled: int = 0


class ConversationCounts(msgspec.Struct):
    """Conversations that are active, and those due for verification."""

    active: int = 0
    overdue: int = 0


class MirrorStatus(msgspec.Struct, kw_only=True):
    """`mirror status --json`. `notes` are worth knowing and nothing to mend."""

    health: HealthStatus
    reasons: list[str]
    notes: list[str] = []
    leader: str | None
    listeners: list[ListenerStatus]
    shards: list[ShardStatus]
    gaps: GapCounts
    conversations: ConversationCounts


class Facts(msgspec.Struct, kw_only=True):
    """What Redis holds of a mirror at one moment. Times are Redis milliseconds."""

    now_ms: int
    leader: str | None
    beats: dict[str, int]
    listeners: dict[str, Beat]
    shards: dict[str, Shard]
    rejected: dict[str, str]
    gaps: GapCounts
    conversations: ConversationCounts
    holes: list[Hole] = []
    gap_reasons: list[str] = []
    troubles: dict[str, str] = {}
    discovery: dict[str, str] = {}


def assemble(facts: Facts, replicas: int, lease_ms: int) -> MirrorStatus:
    """The status of a mirror that wants `replicas` channels a shard."""
    listeners = [
        ListenerStatus(
            id=listener_id,
            host=beat.host,
            state="dead" if facts.now_ms - facts.beats[listener_id] > lease_ms else beat.state,
            channels=sum(report.state in {"live", "rotating"} for report in beat.channels),
            last_beat_ms=facts.now_ms - facts.beats[listener_id],
            spool_records=beat.spool_records,
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
    health, reasons = _health(facts, listeners, shards, alive)
    return MirrorStatus(
        health=health,
        reasons=reasons[:MAX_REASONS],
        notes=sorted(line for line, kind in facts.discovery.items() if kind == NOTE)[:MAX_REASONS],
        leader=facts.leader,
        listeners=listeners,
        shards=shards,
        gaps=GapCounts(facts.gaps.open + len(facts.holes), facts.gaps.filled),
        conversations=facts.conversations,
    )


def _replica(facts: Facts, shard_id: str, replica: str, alive: set[str]) -> ReplicaStatus:
    """The best channel that any listener reports for a seat; the newest epoch where several are."""
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
    facts: Facts, listeners: list[ListenerStatus], shards: list[ShardStatus], alive: set[str]
) -> tuple[HealthStatus, list[str]]:
    reasons: list[str] = []
    if not alive:
        return "down", ["no listener is alive"]
    if facts.leader is None:
        reasons.append("no coordinator leads")
    if not shards:
        reasons.append("no shard is known yet")
    reasons += [
        f"nobody receives shard {hole.shard} ({hole.topics} topics) since {rfc3339(hole.from_ms)}"
        for hole in facts.holes
    ]
    reasons += facts.gap_reasons[:MAX_NAMED]
    reasons += sorted(line for line, kind in facts.discovery.items() if kind == REASON)
    reasons += _troubles(facts.troubles)
    uncovered = 0
    for shard in shards:
        live = sum(replica.state in {"live", "rotating"} for replica in shard.replicas)
        if live < len(shard.replicas):
            reasons.append(f"shard {shard.id} has {live} of {len(shard.replicas)} channels")
        uncovered += live == 0
        if shard.rejected:
            names = ", ".join(shard.rejected[:MAX_NAMED])
            more = len(shard.rejected) - MAX_NAMED
            reasons.append(
                f"shard {shard.id}: {facts.rejected[shard.rejected[0]]}: {names}"
                + (f" and {more} more" if more > 0 else "")
            )
    reasons += [f"listener {one.id} is dead" for one in listeners if one.state == "dead"]
    for listener_id in sorted(alive):
        reasons += [f"{listener_id}: {why}" for why in facts.listeners[listener_id].reasons]
    if shards and uncovered == len(shards):
        return "down", reasons
    return ("degraded" if reasons else "ok"), reasons


def _troubles(troubles: Mapping[str, str]) -> list[str]:
    """One reason for all seats that share it."""
    seats: dict[str, list[str]] = {}
    for seat, why in sorted(troubles.items()):
        seats.setdefault(why, []).append(seat)
    return [
        f"{'seat' if len(names) == 1 else f'{len(names)} seats:'} "
        f"{', '.join(names[:MAX_NAMED])}{' …' if len(names) > MAX_NAMED else ''}: {why}"
        for why, names in seats.items()
    ]


def read(client: redis.Redis, settings: Settings) -> MirrorStatus:
    """Ask Redis, by a client that decodes. Raises `redis.RedisError` where it does not answer."""
    keys = Keys(settings.namespace)
    pipe = client.pipeline(transaction=False)
    pipe.time()
    pipe.get(keys.leader)
    pipe.zrange(keys.beats, 0, -1, withscores=True)
    pipe.hkeys(keys.shards)
    pipe.hgetall(keys.rejected)
    pipe.hgetall(keys.troubles)
    pipe.hgetall(keys.discovery)
    (seconds, micros), leader, beats, shard_ids, rejected, troubles, discovery = pipe.execute()
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
        holes=list_holes(client, keys),
        gap_reasons=gap_reasons(gaps),
        troubles=troubles,
        discovery=discovery,
    )
    return assemble(facts, settings.replicas, round(settings.lease * 1000))


def read_channels(client: redis.Redis, settings: Settings) -> list[ChannelStatus]:
    """Every channel of every listener that beats. Raises `redis.RedisError`."""
    keys = Keys(settings.namespace)
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
        for listener, report in sorted(reports, key=lambda one: (one[1].shard, one[1].replica))
    ]


def _documents(client: redis.Redis, keys: Mapping[str, str], kind: type[T]) -> dict[str, T]:
    if not keys:
        return {}
    values = client.mget(list(keys.values()))
    decoder = msgspec.json.Decoder(kind)
    return {
        name: decoder.decode(value)
        for name, value in zip(keys, values, strict=True)
        if value is not None
    }
