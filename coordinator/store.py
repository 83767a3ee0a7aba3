"""The leader's reads from Redis at the start of a pass, and the writes at its end.

Each pass reads everything and writes the differences. So a flushed Redis is filled again by the
next pass: there is no memory of earlier writes.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec
import redis

from coordinator.election import Write
from coordinator.naming import Called, name_changes
from coordinator.plan.coverage import ShardCoverage
from coordinator.plan.gap_memory import Filed, LedgerView
from coordinator.plan.seats import Records, StoredSeats, stored_seats
from mirror.fleet.gaps import Gap, OngoingGap
from mirror.fleet.gaps import decode as decode_gap
from mirror.fleet.names import FAMILIES, read_names
from mirror.fleet.tracked import count_conversations, oldest_due_seconds
from mirror.fleet.words import Assignment, Beat, Grant, Released, Shard
from mirror.redis.connect import explained
from mirror.redis.documents import readable
from mirror.redis.keys import CAUSE, NOTE, REASON, Keys

T = TypeVar("T")

# A listener that has been silent for this long is forgotten.
FORGOTTEN_MS: Final = 10 * 60 * 1000

_encode = msgspec.json.encode
_stored_seats = msgspec.json.Decoder(StoredSeats).decode
_released = msgspec.json.Decoder(Released).decode
_departed = msgspec.json.Decoder(dict[str, int]).decode
_coverage = msgspec.json.Decoder(ShardCoverage).decode


class RedisState(msgspec.Struct, frozen=True):
    """Redis at one moment. Times in Redis milliseconds."""

    beats: dict[str, int]
    listeners: dict[str, Beat]
    assignments: dict[str, Assignment]
    shard_epochs: dict[str, int]
    released: dict[str, Released]
    commands: dict[str, str]
    rejected: dict[str, str]
    seats: str | None
    uncovered: dict[str, str] = {}
    problems: dict[str, str] = {}
    discovery: dict[str, str] = {}
    names: str | None = None


class FleetStore:
    """The leader's view of one namespace. Every method raises `RedisUnavailable`."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._redis = client
        self._keys = keys

    def see(self) -> RedisState:
        """Read all state that changes while a mirror runs."""
        keys = self._keys
        with explained():
            pipe = self._redis.pipeline(transaction=False)
            pipe.zrange(keys.beats, 0, -1, withscores=True)
            pipe.hgetall(keys.shards)
            pipe.hgetall(keys.released)
            pipe.hgetall(keys.commands)
            pipe.hgetall(keys.rejected)
            pipe.get(keys.seats)
            pipe.hgetall(keys.uncovered)
            pipe.hgetall(keys.problems)
            pipe.hgetall(keys.discovery)
            pipe.get(keys.names)
            beats, epochs, released, commands, rejected, seats, *rest = pipe.execute()
            uncovered, problems, discovery, names = rest
            ids = [listener for listener, _ in beats]
            listeners = self._documents(ids, keys.listener, Beat)
            assignments = self._documents(ids, keys.assignment, Assignment)
            lost = self._lost_shards(epochs)
        return RedisState(
            beats={listener: int(score) for listener, score in beats},
            listeners=listeners,
            assignments=assignments,
            # An unreadable epoch differs from every valid one, so it is written again. So is that
            # of a shard whose document is gone.
            shard_epochs={
                shard: 0 if shard in lost else readable(int, epoch, keys.shards) or 0
                for shard, epoch in epochs.items()
            },
            released=_readable(_released, _fields(keys.released, released)),
            commands=commands,
            rejected=rejected,
            seats=seats,
            uncovered=uncovered,
            problems=problems,
            discovery=discovery,
            names=names,
        )

    def _lost_shards(self, indexed: Iterable[str]) -> set[str]:
        """The shards that are in the index and have no document."""
        shards = list(indexed)
        pipe = self._redis.pipeline(transaction=False)
        for shard in shards:
            pipe.exists(self._keys.shard(shard))
        return {shard for shard, exists in zip(shards, pipe.execute(), strict=True) if not exists}

    def shards(self, known: Mapping[str, Shard]) -> dict[str, Shard]:
        """All shards in Redis. `known` shards are fetched only if their epoch differs."""
        with explained():
            epochs: Any = self._redis.hgetall(self._keys.shards)
            kept = {
                shard_id: shard
                for shard_id, shard in known.items()
                if epochs.get(shard_id) == str(shard.epoch)
            }
            return kept | self._documents(sorted(epochs.keys() - kept), self._keys.shard, Shard)

    def seats(self) -> StoredSeats:
        """The seats as the last leader stored them."""
        with explained():
            text: Any = self._redis.get(self._keys.seats)
        return readable(_stored_seats, text, self._keys.seats) or StoredSeats()

    def coverage(self) -> dict[str, ShardCoverage]:
        """The coverage as the last leader stored it."""
        with explained():
            texts: Any = self._redis.hgetall(self._keys.coverage)
        return _readable(_coverage, _fields(self._keys.coverage, texts))

    def departed(self) -> dict[str, int]:
        """Topics that became invisible, as the last leader stored them."""
        with explained():
            text: Any = self._redis.get(self._keys.departed)
        return readable(_departed, text, self._keys.departed) or {}

    def passed(self) -> int | None:
        """The Redis time of the last leader's last pass."""
        with explained():
            text: Any = self._redis.get(self._keys.passed)
        return readable(int, text, self._keys.passed)

    def census(self, by_hand: int) -> tuple[int, int, int, float]:
        """Open gaps without those asked for `by_hand`, active conversations, overdue conversations,
        and the longest overdue time in seconds. Raises `RedisUnavailable`."""
        with explained():
            open_gaps: Any = self._redis.zcount(self._keys.gaps, "-inf", "(+inf")
        gaps = max(0, int(open_gaps) - by_hand)
        counts = count_conversations(self._redis, self._keys)
        return gaps, *counts, oldest_due_seconds(self._redis, self._keys)

    def gaps(self, filed: Filed) -> LedgerView:
        """The gap ledger: the scores of remembered gaps, and gaps that `filed` does not know."""
        keys, known = self._keys, filed.ids
        with explained():
            pipe = self._redis.pipeline()  # both from one moment
            # The `known` gaps are among the open ones: this many are enough to find new ones.
            pipe.zrangebyscore(keys.gaps, "-inf", "(+inf", 0, len(known) + filed.room)
            if known:
                pipe.zmscore(keys.gaps, list(known))
            listed, *scores = pipe.execute()
            fresh = sorted(set(listed) - set(known))[: filed.room]
            names = [keys.gap(gap_id) for gap_id in fresh]
            texts: Any = self._redis.mget(names) if names else []
        return LedgerView(
            scores=dict(zip(known, scores[0], strict=True)) if known else {},
            fresh=tuple(_readable(decode_gap, zip(fresh, names, texts, strict=True)).values()),
        )

    def _documents(self, ids: list[str], key: Any, kind: type[T]) -> dict[str, T]:
        if not ids:
            return {}
        texts: Any = self._redis.mget([key(id_) for id_ in ids])
        decode = msgspec.json.Decoder(kind).decode
        return _readable(decode, zip(ids, map(key, ids), texts, strict=True))

    # -- writes ----------------------------------------------------------------------------------

    def shard_writes(self, shards: Mapping[str, Shard], seen: RedisState) -> list[Write]:
        """Write shards that Redis lacks or has in another epoch; delete those that are gone."""
        keys = self._keys
        writes: list[Write] = []
        for shard in shards.values():
            if seen.shard_epochs.get(shard.id) != shard.epoch:
                writes.append(Write("SET", keys.shard(shard.id), (_encode(shard),)))
                writes.append(Write("HSET", keys.shards, (shard.id, shard.epoch)))
        for shard_id in seen.shard_epochs.keys() - shards.keys():
            writes.append(Write("DEL", keys.shard(shard_id)))
            writes.append(Write("HDEL", keys.shards, (shard_id,)))
        return writes

    def seat_writes(self, seats: Records, seen: RedisState) -> list[Write]:
        """Write the seats, if they differ from the stored ones."""
        text = _encode(stored_seats(seats)).decode()
        return [] if text == seen.seats else [Write("SET", self._keys.seats, (text,))]

    def assignment_writes(
        self, grants: Mapping[str, tuple[Grant, ...]], seen: RedisState, now_ms: int
    ) -> list[Write]:
        """Write the assignments of all recent listeners, if they differ from the stored ones."""
        writes: list[Write] = []
        for listener in seen.beats:
            wanted = grants.get(listener, ())
            stored = seen.assignments.get(listener)
            if stored is None or stored.grants != wanted:
                version = max(now_ms, stored.version + 1 if stored else 1)
                document = _encode(Assignment(version, wanted))
                writes.append(Write("SET", self._keys.assignment(listener), (document,)))
        return writes

    def forgotten_writes(
        self, seen: RedisState, now_ms: int, silent: Container[str] = ()
    ) -> list[Write]:
        """Delete the traces of listeners that died long ago, and of `silent` ones."""
        keys = self._keys
        writes: list[Write] = []
        for listener, beat_ms in seen.beats.items():
            if now_ms - beat_ms > FORGOTTEN_MS or listener in silent:
                # The beat last: where the list of writes breaks off, the next pass does it again.
                writes.append(Write("DEL", keys.listener(listener)))
                writes.append(Write("DEL", keys.assignment(listener)))
                writes.append(Write("ZREM", keys.beats, (listener,)))
        return writes

    def rejected_writes(self, rejected: Mapping[str, str], seen: RedisState) -> list[Write]:
        """Write refused topics; delete those that are no longer refused."""
        return _differences(self._keys.rejected, rejected, seen.rejected)

    def problem_writes(
        self, uncovered: Mapping[str, OngoingGap], problems: Mapping[str, str], seen: RedisState
    ) -> list[Write]:
        """Write the uncovered shards and the seats that do not serve."""
        told = {shard: _encode(ongoing).decode() for shard, ongoing in uncovered.items()}
        return [
            *_differences(self._keys.uncovered, told, seen.uncovered),
            *_differences(self._keys.problems, problems, seen.problems),
        ]

    def discovery_writes(
        self, reasons: Iterable[str], notes: Iterable[str], causes: Iterable[str], seen: RedisState
    ) -> list[Write]:
        """Write discovery's reasons, notes and causes, each line once."""
        said = dict.fromkeys(notes, NOTE) | dict.fromkeys(reasons, REASON)
        said |= dict.fromkeys(causes, CAUSE)
        return _differences(self._keys.discovery, said, seen.discovery)

    def name_writes(self, called: Called | None, seen: RedisState) -> list[Write]:
        """Turn the stored names into those of `called`; no writes if its digest is stored.

        Raises `RedisUnavailable`.
        """
        if called is None or called.digest == seen.names:
            return []
        writes: list[Write] = []
        for family in FAMILIES:
            stored = read_names(self._redis, self._keys, family)
            writes += name_changes(self._keys, family, called, stored)
        return [*writes, Write("SET", self._keys.names, (called.digest,))]

    def used_writes(self, released: Iterable[str], commands: Iterable[str]) -> list[Write]:
        """Remove used released channels, and commands that were carried out."""
        return [Write("HDEL", self._keys.released, (seat,)) for seat in released] + [
            Write("HDEL", self._keys.commands, (command,)) for command in commands
        ]

    def coverage_writes(
        self, coverage: Mapping[str, ShardCoverage], stored: Mapping[str, bytes]
    ) -> tuple[list[Write], dict[str, bytes]]:
        """Write the coverage that differs from `stored`. Also returns the new stored state."""
        now = {shard: _encode(entry) for shard, entry in coverage.items()}
        writes = [
            Write("HSET", self._keys.coverage, (shard, text))
            for shard, text in now.items()
            if stored.get(shard) != text
        ]
        gone = stored.keys() - now.keys()
        return writes + [
            Write("HDEL", self._keys.coverage, (shard_id,)) for shard_id in sorted(gone)
        ], now

    def passed_writes(self, now_ms: int) -> list[Write]:
        """Write the time of the pass, so that readers know the age of the state."""
        return [Write("SET", self._keys.passed, (now_ms,))]

    def departed_writes(
        self, departed: Mapping[str, int], stored: Mapping[str, int] | None
    ) -> list[Write]:
        """Write the topics that became invisible, unless they are the `stored` object."""
        if departed is stored:
            return []
        return [Write("SET", self._keys.departed, (_encode(departed),))]

    def gap_writes(self, gaps: Iterable[Gap]) -> list[Write]:
        """File new gaps, each once (see `mirror.fleet.gaps`)."""
        return [Write("FILE", self._keys.gap(gap.id), (gap.id, _encode(gap))) for gap in gaps]


def _readable(
    decode: Callable[[str], T], documents: Iterable[tuple[str, str, str | None]]
) -> dict[str, T]:
    """Id → document, for the readable ones of `documents` (id, key, text).

    An unreadable document counts as absent: the leader writes it again if it is the owner.
    """
    found = {}
    for id_, key, text in documents:
        document = readable(decode, text, key)
        if document is not None:
            found[id_] = document
    return found


def _fields(key: str, texts: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """The fields of a hash as documents."""
    return ((field, key, text) for field, text in texts.items())


def _differences(key: str, wanted: Mapping[str, str], stored: Mapping[str, str]) -> list[Write]:
    """The writes that turn the hash `stored` into `wanted`."""
    news = sorted(item for item in wanted.items() if stored.get(item[0]) != item[1])
    writes = [Write("HSET", key, item) for item in news]
    return writes + [
        Write("HDEL", key, (field,)) for field in sorted(stored.keys() - wanted.keys())
    ]
