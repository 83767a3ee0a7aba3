"""A listener's link to the leader, through Redis: beats go up, assignments come down.

`FleetLink` is thin: each method is one Lua command. It remembers only the channel reservations
made through it, so that every beat renews them. Threads may share it. Every method raises
`RedisUnavailable` if Redis cannot be asked; a listener then goes on with what it has (I8).
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import redis

from listeners.channels.topic_list import Missed
from mirror.fleet.gaps import Gap, file_gap
from mirror.fleet.words import Assignment, Beat, Grant, Released, Shard
from mirror.genesys.handles import Handle
from mirror.redis.clock import redis_now_ms
from mirror.redis.connect import explained
from mirror.redis.documents import readable
from mirror.redis.keys import Keys
from mirror.redis.scripts import script
from mirror.settings import Settings

PACKAGE: Final = "listeners"
# How long the record of a silent listener is kept.
BEAT_KEPT_SECONDS: Final = 3600.0
# A reservation outlives its listener's last beat by this many leases. The leader takes a listener
# for dead after one lease. If it is wrong, the channels of a slow or paused listener still count
# (I5). If it is right, a client without spare channels waits longer.
RESERVED_LEASES: Final = 3

_encode = msgspec.json.encode
_assignment = msgspec.json.Decoder(Assignment)
_shard = msgspec.json.Decoder(Shard)


class FleetLink:
    """A listener's commands to Redis."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        self._redis = client
        self._keys = Keys(settings.namespace)
        self._lapse_ms = round(settings.lease * RESERVED_LEASES * 1000)
        self._held: set[tuple[str, str]] = set()  # (OAuth client, holder)
        self._lock = threading.Lock()
        self._beat = script(client, "beat", PACKAGE)
        self._leave = script(client, "leave", PACKAGE)
        self._reserve = script(client, "reserve_channel")  # doctor reserves too
        self._release = script(client, "release_channel", PACKAGE)
        self._give_back = script(client, "give_back", PACKAGE)

    def beat(self, beat: Beat, version: int) -> Assignment | None:
        """Report that this listener lives, and ask for its assignment.

        `version` is the version of its present assignment (0: none). The answer is an assignment
        only if the version differs: it replaces the present one, whether its number is higher or
        lower. Without an assignment in the answer the listener goes on; it never drops everything.
        """
        holders: dict[str, list[str]] = defaultdict(list)
        with self._lock:
            for client, holder in sorted(self._held):
                holders[client].append(holder)
        assignment = self._beat(
            [
                self._keys.beats,
                self._keys.listener(beat.listener),
                self._keys.assignment(beat.listener),
                *(self._keys.channels(client) for client in holders),
            ],
            [
                beat.listener,
                _encode(beat),
                round(BEAT_KEPT_SECONDS * 1000),
                version,
                self._lapse_ms,
                *(_encode(names) for names in holders.values()),
            ],
        )
        key = self._keys.assignment(beat.listener)
        return readable(_assignment.decode, assignment or None, key)

    def news(self, listener_id: str, version: int) -> Assignment | None:
        """The assignment if it differs from `version`, else None. For use between two beats."""
        with explained():
            text: Any = self._redis.get(self._keys.assignment(listener_id))
        assignment = readable(_assignment.decode, text, self._keys.assignment(listener_id))
        return None if assignment is None or assignment.version == version else assignment

    def shards(self, ids: Sequence[str]) -> dict[str, Shard]:
        """Shard id → shard, for the shards that Redis has, in one call.

        Missing and unreadable shards are removed from Redis' list of shards, so that the leader
        writes them again.
        """
        if not ids:
            return {}
        keys = [self._keys.shard(id_) for id_ in ids]
        with explained():
            texts: Any = self._redis.mget(keys)
            found = {
                shard_id: shard
                for shard_id, key, text in zip(ids, keys, texts, strict=True)
                if (shard := readable(_shard.decode, text, key)) is not None
            }
            if lacking := [id_ for id_ in ids if id_ not in found]:
                self._redis.hdel(self._keys.shards, *lacking)
        return found

    def restore_shards(self, shards: Iterable[Shard]) -> None:
        """Store the shards that Redis has lost.

        A leader that never saw these shards goes on with them. It replaces those that it knows
        better.
        """
        keys = self._keys
        with explained():
            known: Any = self._redis.hkeys(keys.shards)
            forgotten = [shard for shard in shards if shard.id not in set(known)]
            if not forgotten:
                return
            pipe = self._redis.pipeline(transaction=False)
            for shard in forgotten:
                pipe.set(keys.shard(shard.id), _encode(shard), nx=True)
                pipe.hset(keys.shards, shard.id, str(shard.epoch))
            pipe.execute()

    def reserve_channel(self, client: str, holder: str, limit: int) -> bool:
        """Reserve a channel of an OAuth client before creating it (I5); False if all are taken.

        `holder` names the reservation, one per channel (e.g. `<listener>/<shard>/<replica>/
        <epoch>`). Reserving it again is True. Beats renew it; without beats it lapses after
        `RESERVED_LEASES` times `MIRROR_LEASE`.
        """
        granted = bool(
            self._reserve([self._keys.channels(client)], [holder, limit, self._lapse_ms])
        )
        if granted:
            with self._lock:
                self._held.add((client, holder))
        return granted

    def release_channel(self, client: str, holder: str) -> None:
        """Give a reservation back, after its channel was closed. Safe to repeat."""
        with self._lock:
            self._held.discard((client, holder))
        self._release([self._keys.channels(client)], [holder])

    def give_back(self, grant: Grant, handle: Handle, holder: str) -> None:
        """Hand on a channel with a closed socket; releases the reservation of `holder` too."""
        with self._lock:
            self._held.discard((grant.client, holder))
        released = Released(client=grant.client, epoch=grant.epoch, handle=handle)
        self._give_back(
            [self._keys.released, self._keys.channels(grant.client)],
            [grant.seat.name, _encode(released), holder],
        )

    def file_missed(self, missed: Missed, now: float, listener_id: str) -> None:
        """File a gap for topics that a channel lacked.

        `now` is from the monotonic clock of `missed`: ages become Redis' time (I6). Filing it again
        within the same second of Redis changes nothing.
        """
        with explained():
            now_ms = redis_now_ms(self._redis)
        since_ms, until_ms = (
            now_ms - round((now - at) * 1000) for at in (missed.since, missed.until)
        )
        mark = hashlib.sha256(missed.name.encode()).hexdigest()[:8]
        gap = Gap(
            id=f"{until_ms // 1000:x}-m{missed.shard}-{mark}",
            shard=missed.shard,
            topics=missed.topics,
            from_ms=since_ms,
            to_ms=max(until_ms, since_ms + 1),
            filed_by=listener_id,
        )
        file_gap(self._redis, self._keys, gap)

    def file_loss(self, name: str, from_ms: int, to_ms: int, listener_id: str) -> int:
        """File a gap in each shard for records that a spool lost. Returns the number of shards.

        The times are from this host's clock and are converted to Redis' (I6). `name` identifies the
        loss: filing it again changes nothing.
        """
        with explained():
            ids: Any = self._redis.hkeys(self._keys.shards)
            now_ms = redis_now_ms(self._redis)
        ahead = now_ms - round(time.time() * 1000)
        filed = 0
        mark = hashlib.sha256(f"{name}/{from_ms}/{to_ms}".encode()).hexdigest()[:8]
        for shard in self.shards(ids).values():
            if not shard.topics:
                continue
            gap = Gap(
                id=f"{to_ms // 1000:x}-l{shard.id}-{mark}",
                shard=shard.id,
                topics=shard.topics,
                from_ms=from_ms + ahead,
                to_ms=min(to_ms + ahead, now_ms),
                filed_by=listener_id,
            )
            file_gap(self._redis, self._keys, gap)
            filed += 1
        return filed

    def leave(self, listener_id: str) -> None:
        """Deregister the listener, after its last channel was closed. Safe to repeat."""
        self._leave(
            [
                self._keys.beats,
                self._keys.listener(listener_id),
                self._keys.assignment(listener_id),
            ],
            [listener_id],
        )
