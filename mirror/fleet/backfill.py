"""Files gaps by hand and follows their progress, for `mirror backfill`.

Janitors do the work; this module only writes to the gap ledger and reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import redis

from mirror.base.errors import MirrorError, RedisUnavailable
from mirror.fleet import reasons as causes
from mirror.fleet.gaps import BY_HAND, READINGS, Gap, GapState, decode, file_gap, new_id
from mirror.fleet.topics import read_shards
from mirror.fleet.words import Shard
from mirror.genesys.topics import QUEUE_TOPIC, USER_TOPIC, is_of_conversations
from mirror.redis.connect import explained
from mirror.redis.documents import readable
from mirror.redis.keys import Keys


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of several gaps together: conversations `found` and `read` in this reading.

    `share` is from 0 to 1 over all readings. `waiting`: all gaps were read once and wait for
    analytics before they are read again.
    """

    state: GapState
    found: int
    read: int
    events: int
    share: float
    waiting: bool
    errors: tuple[str, ...] = ()

    @property
    def done(self) -> bool:
        """Whether no work is left on any of the gaps."""
        return self.state in {"filled", "unfillable"}


def file_backfill(
    client: redis.Redis,
    keys: Keys,
    since_ms: int,
    until_ms: int,
    *,
    queues: Sequence[str] = (),
    users: Sequence[str] = (),
) -> list[Gap]:
    """File gaps for an interval (epoch milliseconds) and return them.

    For these queues and users; without any, for all of the mirror, one gap per shard. Raises
    `MirrorError` if there are no shards yet, and `RedisUnavailable`.
    """
    topics = tuple(
        [QUEUE_TOPIC.format(id=queue) for queue in queues]
        + [USER_TOPIC.format(id=user) for user in users]
    )
    wanted = {"-": topics} if topics else _subscribed(client, keys)
    if not wanted:
        raise MirrorError(
            "there are no shards to fill: start a coordinator, or name what to fill with "
            "--queue and --user"
        )
    gaps = [
        Gap(
            id=new_id(),
            shard=shard,
            topics=shard_topics,
            from_ms=since_ms,
            to_ms=until_ms,
            filed_by=BY_HAND,
        )
        for shard, shard_topics in wanted.items()
    ]
    for gap in gaps:
        file_gap(client, keys, gap)
    return gaps


def unmirrored(
    client: redis.Redis, keys: Keys, *, queues: Sequence[str] = (), users: Sequence[str] = ()
) -> list[str]:
    """The queues and users among these that no shard has. Raises `RedisUnavailable`."""
    mirrored = {topic for topics in _subscribed(client, keys).values() for topic in topics}
    wanted = {f"queue {queue}": QUEUE_TOPIC.format(id=queue) for queue in queues}
    wanted |= {f"user {user}": USER_TOPIC.format(id=user) for user in users}
    return [name for name, topic in wanted.items() if topic not in mirrored]


def file_recall(client: redis.Redis, keys: Keys, since_ms: int, now_ms: int) -> int:
    """File gaps by which janitors ask Genesys for unfinished conversations the tracker forgot.

    One gap per shard that can be read, at most one an hour. Returns the number of gaps. Raises
    `RedisUnavailable`.
    """
    wanted = _of_conversations(read_shards(client, keys))
    for shard, topics in wanted.items():
        hour = now_ms // 3_600_000 * 3600
        file_gap(
            client,
            keys,
            Gap(
                id=f"{hour:x}-r{shard}",
                shard=shard,
                topics=topics,
                from_ms=since_ms,
                to_ms=now_ms,
                kind="recall",
                filed_by="tracker",
            ),
        )
    return len(wanted)


def follow(client: redis.Redis, keys: Keys, gap_ids: Sequence[str]) -> Progress:
    """The present progress of these gaps. Raises `RedisUnavailable`.

    A gap that Redis lost is not done: the leader remembers it and files it again.
    """
    names = [keys.gap(gap_id) for gap_id in gap_ids]
    with explained():
        texts: Any = client.mget(names)
    foreign: list[str] = []
    found = [readable(decode, *item, foreign) for item in zip(texts, names, strict=True)]
    if foreign:  # such a gap must not count as filled
        raise RedisUnavailable(*causes.foreign(foreign))
    known = progress([gap for gap in found if gap is not None])
    lost = [gap_id for gap_id, gap in zip(gap_ids, found, strict=True) if gap is None]
    if not lost:
        return known
    error = f"Redis has lost gap {lost[0]}, and the leader files it again"
    return msgspec.structs.replace(known, state="open", waiting=False, errors=(error,))


def progress(gaps: Sequence[Gap]) -> Progress:
    """The progress of these gaps together."""
    done = [gap for gap in gaps if gap.done]
    if len(done) == len(gaps):
        unfillable = any(gap.state == "unfillable" for gap in gaps)
        state: GapState = "unfillable" if unfillable else "filled"
    else:
        state = "filling" if any(gap.attempts for gap in gaps) else "open"
    return Progress(
        state=state,
        found=sum(gap.found for gap in gaps),
        read=sum(gap.read for gap in gaps),
        events=sum(gap.events for gap in gaps),
        share=sum(map(_share, gaps)) / len(gaps) if gaps else 1.0,
        waiting=bool(gaps)
        and state == "filling"
        and all(gap.done or (gap.readings > 0 and gap.read >= gap.found) for gap in gaps),
        errors=tuple(dict.fromkeys(error for gap in gaps for error in gap.errors)),
    )


def _share(gap: Gap) -> float:
    if gap.done:
        return 1.0
    within = gap.read / gap.found if gap.found and gap.state == "filling" else 0.0
    # A reading that has ended and one that has just begun have the same figures.
    return min(1.0, (gap.readings + (within if within < 1 else 0.0)) / READINGS)


def _subscribed(client: redis.Redis, keys: Keys) -> dict[str, tuple[str, ...]]:
    foreign: list[str] = []
    shards = read_shards(client, keys, foreign)
    if foreign:  # no shard may be left out unseen
        raise RedisUnavailable(*causes.foreign(foreign))
    return _of_conversations(shards)


def _of_conversations(shards: Iterable[Shard]) -> dict[str, tuple[str, ...]]:
    """The topics of each shard that back-fill can read."""
    found = {shard.id: tuple(filter(is_of_conversations, shard.topics)) for shard in shards}
    return {shard: topics for shard, topics in found.items() if topics}
