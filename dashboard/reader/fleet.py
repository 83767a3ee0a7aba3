"""Reads the mirror's state from Redis, and makes the document of the view "Mirror".

`read` asks Redis; everything else is pure. It reads the same as `mirror status`, and the budgets of
each OAuth client. Lists are bounded, channel ids shortened, and client ids masked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

import msgspec
import redis

from mirror.conversation.times import show_ms
from mirror.fleet.gaps import GapView, show_gaps
from mirror.fleet.status import ChannelStatus, MirrorStatus, ShardStatus
from mirror.fleet.status_reader import read as read_status
from mirror.fleet.status_reader import read_channels
from mirror.fleet.tracked import read_active
from mirror.fleet.words import SERVING
from mirror.redis.clock import redis_now_ms
from mirror.redis.connect import explained
from mirror.redis.keys import Keys
from mirror.redis.rate import BURST, RATE_PER_MINUTE, used_ahead
from mirror.settings import Settings

MOST_SHARDS: Final = 500
MOST_GAPS: Final = 300
MOST_OVERDUE: Final = 20
MOST_NAMED: Final = 5
_SHOWN_OF_CLIENT: Final = (4, 3)


class Budget(msgspec.Struct, frozen=True):
    """The budgets of an OAuth client: its channels, and its bursts of requests."""

    client: str
    channels: int
    most: int
    spent: float  # part of the burst: 0 nothing, 1 all, more after a 429
    waits_ms: int  # until the next request may go


class Fleet(msgspec.Struct, frozen=True):
    """One reading."""

    now_ms: int
    status: MirrorStatus
    channels: list[ChannelStatus]
    budgets: list[Budget]
    gaps: list[GapView]
    overdue: list[tuple[str, int, int]]  # conversation, active since, due at


def read(client: redis.Redis, settings: Settings) -> Fleet:
    """Ask Redis. Raises `RedisUnavailable`."""
    keys = Keys(settings.namespace)
    status = read_status(client, settings)
    channels = read_channels(client, settings)
    now_ms = redis_now_ms(client)
    clients = {configured.id for configured in settings.clients} | {
        channel.client for channel in channels
    }
    with explained():
        budgets = [
            _budget(client, keys, client_id, now_ms, settings.channels_per_client)
            for client_id in sorted(clients - {""})
        ]
    gaps = show_gaps(client, keys, now_ms)
    overdue = [
        (conversation_id, tracked.since_ms, due)
        for conversation_id, due, tracked in islice(read_active(client, keys, now_ms), MOST_OVERDUE)
    ]
    return Fleet(now_ms, status, channels, budgets, gaps, overdue)


def document(fleet: Fleet) -> dict[str, Any]:
    """The document for the page. Ages are milliseconds at `now`."""
    status = fleet.status
    return {
        "now": fleet.now_ms,
        "health": status.health,
        "reasons": status.reasons,
        "leader": status.leader,
        "listeners": status.listeners,
        "shards": [
            {
                "id": shard.id,
                "topics": shard.topics,
                "rejected": len(shard.rejected),
                "replicas": [
                    {
                        "replica": replica.replica,
                        "state": replica.state,
                        "listener": replica.listener,
                        "channel": replica.channel,
                        "client": mask(replica.client),
                        "last_frame_ms": replica.last_frame_ms,
                    }
                    for replica in shard.replicas
                ],
            }
            for shard in status.shards[:MOST_SHARDS]
        ],
        "shards_in_all": len(status.shards),
        "budgets": [
            {
                "client": mask(budget.client),
                "channels": budget.channels,
                "most": budget.most,
                "spent": round(budget.spent, 3),
                "waits_ms": budget.waits_ms,
                "per_minute": RATE_PER_MINUTE,
            }
            for budget in fleet.budgets
        ],
        "gaps": {
            "open": status.gaps.open,
            "filled": status.gaps.filled,
            "by_hand": sum(gap.kind == "hand" and not gap.done for gap in fleet.gaps),
            "states": Counter(gap.state for gap in fleet.gaps),
            "latest": _latest(fleet.gaps),
        },
        "unreceived": _unreceived(fleet),
        "conversations": status.conversations,
        "overdue": [
            {"id": conversation_id, "since": since_ms, "due": due_ms}
            for conversation_id, since_ms, due_ms in fleet.overdue
        ],
    }


def mask(client_id: str | None) -> str | None:
    """An OAuth client's id as the page shows it: long enough to tell clients apart."""
    head, tail = _SHOWN_OF_CLIENT
    if client_id is None or len(client_id) <= head + tail + 1:
        return client_id
    return f"{client_id[:head]}…{client_id[-tail:]}"


def _budget(client: redis.Redis, keys: Keys, name: str, now_ms: int, most: int) -> Budget:
    taken: Any = client.zcount(keys.channels(name), now_ms, "+inf")
    ahead = used_ahead(client, keys, name)
    cost_ms = 60_000 / RATE_PER_MINUTE
    waits = max(0, round(ahead + cost_ms - BURST * cost_ms))
    return Budget(name, int(taken), most, ahead / (BURST * cost_ms), waits)


def _unreceived(fleet: Fleet) -> dict[str, Any] | None:
    """The shards that no channel receives, and since when the first of them (RFC 3339; None if that
    is not known). None where all are received, and where the mirror is down."""
    lasting = {gap.shard: gap for gap in fleet.gaps if gap.lasts}
    lost = [
        shard
        for shard in fleet.status.shards
        if shard.id in lasting or not any(replica.state in SERVING for replica in shard.replicas)
    ]
    if not lost or fleet.status.health == "down":
        return None
    ends = [_last_received(shard, lasting.get(shard.id), fleet.now_ms) for shard in lost]
    return {
        "shards": [shard.id for shard in lost[:MOST_NAMED]],
        "more": len(lost[MOST_NAMED:]),
        "topics": sum(shard.topics for shard in lost),
        "since": min((end for end in ends if end), default=None),
    }


def _last_received(shard: ShardStatus, lasting: GapView | None, now_ms: int) -> str | None:
    if lasting is not None:
        return None if lasting.kind == "snapshot" else lasting.from_time
    ages = [seat.last_frame_ms for seat in shard.replicas if seat.last_frame_ms is not None]
    return show_ms(now_ms - min(ages)) if ages else None


def _latest(gaps: Iterable[GapView]) -> list[GapView]:
    """Open gaps and the latest closed gaps, earliest first."""
    ordered = sorted(gaps, key=lambda gap: (not gap.done, gap.to), reverse=True)[:MOST_GAPS]
    return sorted(ordered, key=lambda gap: (gap.from_time, gap.id))
