"""What processes wait for at their start, in Redis, so that commands and the page can show it.

A process that waits has no beat and no worker's report yet: without its note it would look like a
process that nobody started. Each process writes its field of the hash `waiting` while it waits. A
note without a repetition counts for `KEPT_MS`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import redis

from mirror.base.errors import RedisUnavailable
from mirror.base.units import counted
from mirror.fleet.workers import is_recent
from mirror.redis.clock import redis_now_ms
from mirror.redis.connect import explained
from mirror.redis.documents import readable
from mirror.redis.keys import Keys

EVERY_SECONDS: Final = 3.0
KEPT_MS: Final = 30_000  # an attempt may take ten seconds
_FORGOTTEN_SECONDS: Final = 60


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """A process that waits at its start, at the Redis time `at_ms`; `reason` is one line."""

    program: str
    host: str
    pid: int
    reason: str
    at_ms: int


_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(Wait).decode


class WaitNote:
    """The note of one process. `waits` belongs to one thread; another may call `ends`."""

    def __init__(
        self,
        client: redis.Redis,
        keys: Keys,
        *,
        program: str,
        host: str,
        pid: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = client
        self._key = keys.waiting
        self._wait = Wait(program=program, host=host, pid=pid, reason="", at_ms=0)
        self._clock = clock
        self._due = float("-inf")
        self._reason = ""
        self._is_over = False

    def waits(self, reason: str) -> None:
        """Note the reason, if it changed or it is time to repeat it.

        Without Redis there is no note: nobody could read it, and the process' log has the reason.
        """
        now = self._clock()
        if self._is_over or (now < self._due and reason == self._reason):
            return
        self._due, self._reason = now + EVERY_SECONDS, reason
        try:
            with explained():
                at_ms = redis_now_ms(self._redis)
                noted = msgspec.structs.replace(self._wait, reason=reason, at_ms=at_ms)
                self._redis.hset(self._key, self._field, _encode(noted))
                self._redis.expire(self._key, _FORGOTTEN_SECONDS)
        except RedisUnavailable:
            return

    def ends(self) -> None:
        """Remove the note, for good."""
        if self._is_over or not self._reason:
            return
        self._is_over = True
        try:
            with explained():
                self._redis.hdel(self._key, self._field)
        except RedisUnavailable:
            return  # it is forgotten soon

    @property
    def _field(self) -> str:
        return f"{self._wait.program}/{self._wait.host}/{self._wait.pid}"


def list_waits(client: redis.Redis, keys: Keys) -> list[Wait]:
    """The processes that wait at their start. Raises `RedisUnavailable`."""
    with explained():
        now_ms = redis_now_ms(client)
        texts: Any = client.hgetall(keys.waiting)
    return read(texts, keys.waiting, now_ms)


def read(texts: Mapping[str, str], key: str, now_ms: int) -> list[Wait]:
    """The recent notes in the hash `key`, by program and host."""
    found = (readable(_decode, text, key) for text in texts.values())
    recent = [wait for wait in found if wait and is_recent(wait.at_ms, now_ms, KEPT_MS)]
    return sorted(recent, key=lambda wait: (wait.program, wait.host, wait.pid))


def advice(program: str, waits: Sequence[Wait]) -> str:
    """What to do where no process of a program works; empty if some of them wait at their start."""
    if any(wait.program == program for wait in waits):
        return ""
    return f": start `mirror up` or `mirror {program}`, or see its log"


def reasons(waits: Sequence[Wait]) -> list[str]:
    """One line for all processes that wait for the same reason."""
    shared: dict[str, dict[str, int]] = {}
    for wait in waits:
        counts = shared.setdefault(wait.reason, {})
        counts[wait.program] = counts.get(wait.program, 0) + 1
    lines = []
    for reason, counts in shared.items():
        *most, last = (counted(number, program) for program, number in counts.items())
        who = f"{', '.join(most)} and {last}" if most else last
        verb = "waits" if sum(counts.values()) == 1 else "wait"
        lines.append(f"{who} {verb} at the start: {reason}")
    return lines
