"""Reports of trackers, janitors and projectors in Redis, by which others see whether they work.

Each worker writes its field of the hash `workers` every `EVERY_SECONDS` while its threads make
progress. Writers remove fields that were silent for `FORGOTTEN_SECONDS`; readers judge by age. A
time in the future is from before Redis' clock went back: it counts as old.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec
import redis

from mirror.redis.clock import redis_now_ms
from mirror.redis.connect import explained
from mirror.redis.documents import readable
from mirror.redis.keys import Keys

EVERY_SECONDS: Final = 5.0
FORGOTTEN_SECONDS: Final = 600.0
#: A tracker or projector that is silent for this long is dead or cut off.
SILENT_MS: Final = 20_000
#: For this long after its start, a tracker may still wait for its group to assign partitions.
STARTING_MS: Final = 60_000

# A reader takes Redis' time a moment before it reads what others wrote. What is further ahead was
# written before Redis' clock went back.
AHEAD_MS: Final = 5_000

Kind = Literal["tracker", "janitor", "projector"]


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """One tracker, janitor or projector at the Redis time `at_ms`. `reasons`: why it does not work.

    For a tracker: `partitions` counts its own, `of` those of the topic (0: unknown), `lag` counts
    the records that are not folded yet, and `stale_ms` is how long it has not known that its fold
    is up to date. `up_ms` is how long the worker runs, None in an older version.
    """

    kind: Kind
    name: str
    at_ms: int
    reasons: tuple[str, ...] = ()
    partitions: int = 0
    of: int = 0
    lag: int = 0
    stale_ms: int = 0
    up_ms: int | None = None


_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(Worker).decode


class Reporter:
    """Writes one process' `Worker`, at most every `EVERY_SECONDS`. Safe to share by threads."""

    def __init__(
        self,
        client: redis.Redis,
        keys: Keys,
        kind: Kind,
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = client
        self._key = keys.workers
        self._kind: Kind = kind
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._began = clock()
        self._due = float("-inf")
        self._told: tuple[tuple[str, ...], int] = ((), 0)
        self._has_left = False

    def note(
        self,
        reasons: tuple[str, ...] = (),
        *,
        partitions: int = 0,
        of: int = 0,
        lag: int = 0,
        stale_ms: int = 0,
    ) -> None:
        """Report the state of the work, if it is time, or if the reasons or the partitions changed.
        A worker that has no partition for a moment, because the group shares them out anew, does
        not hurry to say so.

        Raises `RedisUnavailable`.
        """
        with self._lock:
            now = self._clock()
            told = (reasons, partitions or self._told[1])
            if self._has_left or (now < self._due and told == self._told):
                return
            self._due = now + EVERY_SECONDS
            self._told = told
        with explained():
            now_ms = redis_now_ms(self._redis)
            worker = Worker(
                kind=self._kind,
                name=self._name,
                at_ms=now_ms,
                reasons=reasons,
                partitions=partitions,
                of=of,
                lag=lag,
                stale_ms=stale_ms,
                up_ms=round(1000 * (now - self._began)),
            )
            self._redis.hset(self._key, f"{self._kind}/{self._name}", _encode(worker))
            texts: Any = self._redis.hgetall(self._key)
            old = forgotten(read(texts, self._key), texts, now_ms)
            if old:
                self._redis.hdel(self._key, *old)

    def leave(self) -> None:
        """Stop reporting, also from threads that still work. Raises `RedisUnavailable`."""
        with self._lock:
            self._has_left = True
        with explained():
            self._redis.hdel(self._key, f"{self._kind}/{self._name}")


def read(texts: Mapping[str, str], key: str) -> dict[str, Worker]:
    """The workers in the hash `key`, without unreadable fields."""
    found = {field: readable(_decode, text, key) for field, text in texts.items()}
    return {field: worker for field, worker in found.items() if worker is not None}


def forgotten(workers: Mapping[str, Worker], fields: Mapping[str, str], now_ms: int) -> list[str]:
    """Fields of workers that were silent for too long, and unreadable fields.

    The newest of each kind stays, so that everybody sees for how long none has worked.
    """
    kept_ms = round(FORGOTTEN_SECONDS * 1000)

    def age(item: tuple[str, Worker]) -> tuple[bool, int]:
        return is_recent(item[1].at_ms, now_ms, kept_ms), item[1].at_ms

    newest = {worker.kind: field for field, worker in sorted(workers.items(), key=age)}
    return sorted(
        field
        for field in fields
        if field not in workers
        or (
            not is_recent(workers[field].at_ms, now_ms, kept_ms)
            and field != newest[workers[field].kind]
        )
    )


def list_workers(client: redis.Redis, keys: Keys) -> list[Worker]:
    """All workers that reported lately. Raises `RedisUnavailable`."""
    with explained():
        texts: Any = client.hgetall(keys.workers)
    return list(read(texts, keys.workers).values())


def is_ahead(at_ms: int, now_ms: int) -> bool:
    """Whether a stored time is from before Redis' clock went back: its age is not known."""
    return at_ms > now_ms + AHEAD_MS


def is_recent(at_ms: int, now_ms: int, within_ms: int) -> bool:
    """Whether a stored Redis time is at most `within_ms` old, and not ahead of Redis' time."""
    return now_ms - at_ms <= within_ms and not is_ahead(at_ms, now_ms)


def working(workers: list[Worker], kind: Kind, now_ms: int, silent_ms: int) -> list[Worker]:
    """The workers of a kind that reported within `silent_ms`."""
    return [
        worker
        for worker in workers
        if worker.kind == kind and is_recent(worker.at_ms, now_ms, silent_ms)
    ]


def janitor_silent_ms(interval: float) -> int:
    """How many milliseconds a janitor with `interval` seconds between sweeps may be silent."""
    return round(1000 * (3 * interval + 30.0))
