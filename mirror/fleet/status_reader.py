"""Reads from Redis what the status of the whole mirror is assembled from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from mirror.fleet.gaps import count_gaps, late, list_gaps, list_ongoing_gaps
from mirror.fleet.gaps import reasons as gap_reasons
from mirror.fleet.names import Names
from mirror.fleet.requests import DRAIN
from mirror.fleet.status import (
    MAX_NAMED,
    ChannelStatus,
    ConversationCounts,
    Facts,
    GapCounts,
    Limits,
    MirrorStatus,
    assemble,
    assemble_channels,
    refused,
)
from mirror.fleet.tracked import count_conversations
from mirror.fleet.waiting import read as read_waits
from mirror.fleet.words import Beat, Shard
from mirror.fleet.workers import janitor_silent_ms
from mirror.fleet.workers import read as read_workers
from mirror.redis.clock import told_ms
from mirror.redis.connect import explained
from mirror.redis.documents import readable
from mirror.redis.keys import Keys

if TYPE_CHECKING:
    import redis

    from mirror.settings import Settings

T = TypeVar("T")

# Beats after which the leader's state is old: the leader notes every two seconds that it made a
# pass.
STATE_BEATS: Final = 5
# A gap that is not filled so long after its end is late. Its second reading waits for analytics.
LATE_GAP_SECONDS: Final = 3600.0


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
    pipe.hgetall(keys.waiting)
    pipe.hkeys(keys.commands)
    pipe.get(keys.passed)
    pipe.zrange(keys.gaps, 0, 0, withscores=True)
    pipe.zrange(keys.active, 0, 0, withscores=True)
    with explained():
        (
            now,
            leader,
            beats,
            shard_ids,
            rejected,
            problems,
            discovery,
            workers,
            waiting,
            commands,
            passed,
            *oldest,
        ) = pipe.execute()
    now_ms = told_ms(now)
    beat_times = {name: int(score) for name, score in beats}
    ids = sorted(shard_ids)
    foreign: list[str] = []
    gaps = list_gaps(client, keys, foreign)
    open_gaps, filled_gaps, by_hand = count_gaps(gaps)
    shards = _documents(client, {i: keys.shard(i) for i in ids}, Shard, foreign)
    named = [topic for shard in shards.values() for topic in refused(shard, rejected)[:MAX_NAMED]]
    late_before = now_ms - round(1000 * (LATE_GAP_SECONDS + 2 * settings.analytics_lag))
    facts = Facts(
        now_ms=now_ms,
        leader=leader,
        beats=beat_times,
        listeners=_documents(client, {i: keys.listener(i) for i in beat_times}, Beat, foreign),
        shards=shards,
        rejected=rejected,
        called=Names(client, keys).describe(named),
        gaps=GapCounts(open_gaps, filled_gaps),
        gaps_by_hand=by_hand,
        conversations=ConversationCounts(*count_conversations(client, keys)),
        uncovered=list_ongoing_gaps(client, keys, foreign),
        gap_reasons=gap_reasons(gaps) + late(gaps, late_before),
        foreign=foreign,
        problems=problems,
        discovery=discovery,
        workers=list(read_workers(workers, keys.workers).values()),
        waits=read_waits(waiting, keys.waiting, now_ms),
        drained={command.removeprefix(DRAIN) for command in commands if command.startswith(DRAIN)},
        passed_ms=readable(int, passed, keys.passed),
        waited_ms=max(_waited(first, now_ms) for first in oldest),
        has_projectors=settings.has_projectors,
        overdue_ms=_waited(oldest[1], now_ms),
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
    """Every channel of every listener that is known. Raises `RedisUnavailable`."""
    keys = Keys(settings.namespace)
    pipe = client.pipeline(transaction=False)
    pipe.time()
    pipe.zrange(keys.beats, 0, -1, withscores=True)
    with explained():
        now, found = pipe.execute()
    times = {name: int(score) for name, score in found}
    beats = _documents(client, {name: keys.listener(name) for name in times}, Beat, [])
    return assemble_channels(beats, times, told_ms(now), round(settings.lease * 1000))


def _documents(
    client: redis.Redis, keys: Mapping[str, str], kind: type[T], foreign: list[str]
) -> dict[str, T]:
    if not keys:
        return {}
    decode = msgspec.json.Decoder(kind).decode
    with explained():
        texts: Any = client.mget(list(keys.values()))
    return {
        name: document
        for (name, key), text in zip(keys.items(), texts, strict=True)
        if (document := readable(decode, text, key, foreign)) is not None
    }
