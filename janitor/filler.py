"""Fills gaps: analytics finds the conversations, a GET reads each, Kafka acknowledges its events.

A gap is read twice. The first reading takes all conversations that analytics lists; the second, as
long after as analytics may lag (`lag_seconds`), takes those that it did not list before. Which
conversations were read stands in Redis beside the gap, so a janitor that takes over a dead one's
gap goes on where that one was. The mark is set after the acknowledgement (I9).

A conversation touches topics of several shards, so one hole makes several gaps that all list it. A
GET tells the whole history of a conversation up to the moment it was asked for: one that was asked
for after a gap's end, and acknowledged, serves that gap too, whichever gap it was made for.

Readings carry the time *before* the conversation was asked for: a live event that comes while the
answer is under way is then newer than the answer, and wins.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Final

import msgspec
import redis

from janitor.genesys import Genesys
from janitor.leases import NEVER, Leases
from janitor.outlet import Outlet
from janitor.plan import MAX_HITS, PAGE_SIZE, Question, predicates, questions
from mirror.conversation.normaliser import Normaliser
from mirror.conversation.times import show_epoch
from mirror.errors import GenesysError, KafkaUnavailable, MirrorError
from mirror.gaps import KEPT_SECONDS, READINGS, Gap
from mirror.log import logger
from mirror.redis.connect import explained
from mirror.redis.keys import Keys
from mirror.turns import Turned, unwatched

LEASE_SECONDS: Final = 240.0
WRITE_EVERY_SECONDS: Final = 2.0
RETRY_SECONDS: Final = 30.0
RETRY_MOST_SECONDS: Final = 900.0
# A gap's end comes from a listener's ages: a reading counts for it from so long after its end on.
AFTER_END_MS: Final = 1_000
# For so long readings of other gaps are known; gaps of one hole are filed and read together.
SHARED_MS: Final = 3_600_000
MAX_PAGES: Final = MAX_HITS // PAGE_SIZE
_NOT_FOUND: Final = 404
_BAD_REQUEST: Final = 400
_FORBIDDEN: Final = 403


class LeaseLost(MirrorError):
    """Somebody else works on this gap now: we were too slow."""


class Filler:
    """Works on the gap ledger, one gap at a time."""

    def __init__(
        self,
        client: redis.Redis,
        keys: Keys,
        leases: Leases,
        genesys: Genesys,
        outlet: Outlet,
        normaliser: Callable[[], Normaliser],
        *,
        lag_seconds: float,
        lease_seconds: float = LEASE_SECONDS,
        stopping: Callable[[], bool] = lambda: False,
        turned: Turned = unwatched,
    ) -> None:
        self.filled = 0
        self.conversations = 0  # read and produced
        self.events = 0
        self._redis = client
        self._keys = keys
        self._leases = leases
        self._genesys = genesys
        self._outlet = outlet
        self._normaliser = normaliser
        self._lag_seconds = lag_seconds
        self._lease_seconds = lease_seconds
        self._stopping = stopping
        self._turned = turned
        self._log = logger("janitor.gaps")

    def fill_next(self) -> bool:
        """Work on the next gap that is due, until its reading ends; False where there is none.

        Raises `RedisUnavailable` and `KafkaUnavailable`; the gap is then due again by itself.
        """
        self._turned()
        claim = self._leases.claim_gaps(1, self._lease_seconds)
        if not claim.ids:
            return False
        gap = self._leases.gap(claim.ids[0])
        if gap is None or gap.done:
            self._leases.drop_gap(claim.lease, claim.ids[0])
            return True
        _Reading(self, gap, claim.lease).run()
        return True


class _Reading:
    """One reading of one gap, under one lease."""

    def __init__(self, filler: Filler, gap: Gap, lease: str) -> None:
        self._filler = filler
        self._gap = gap
        self._lease = lease
        self._log = filler._log
        self._marks = filler._keys.key("gap", gap.id, "read")
        self._normaliser = filler._normaliser()
        self._written_at = time.monotonic()

    def run(self) -> None:
        """Read to the end, or write down why not."""
        gap = self._gap
        if not predicates(gap.topics):
            self._change(state="unfillable", error="no topic of a queue or a user")
            self._write(NEVER)
            return
        self._change(state="filling", attempts=gap.attempts + 1, found=0, read=0, error="")
        try:
            self._write(self._filler._lease_seconds)
            finished = self._read()
        except LeaseLost:
            self._log.warning("gap_lease_lost", gap=gap.id)
            return
        except GenesysError as error:
            self._failed(error)
            return
        except KafkaUnavailable as error:
            self._retry_later(str(error))
            raise
        if not finished:  # told to stop: whoever is next goes on at once
            self._change(state="open")
            self._write(0.0)
            return
        self._end_reading()

    def _read(self) -> bool:
        seen: set[str] = set()
        for question in questions(self._gap):
            for page in self._pages(question):
                fresh = [one for one in page if one not in seen]
                seen.update(fresh)
                todo = self._unread(fresh)
                random.shuffle(todo)  # else janitors at gaps of one hole ask for the same at once
                self._change(
                    found=self._gap.found + len(fresh),
                    read=self._gap.read + len(fresh) - len(todo),
                )
                for one in todo:
                    if self._filler._stopping():
                        return False
                    self._take(one)
        return True

    def _pages(self, question: Question) -> Iterator[list[str]]:
        """The ids that a question finds, page by page."""
        for number in range(1, MAX_PAGES + 1):
            self._filler._turned()
            answer = self._filler._genesys.query_details(question.page(number))
            self._beat()
            if number == 1 and answer.total_hits >= MAX_HITS and (halves := question.halves()):
                for half in halves:
                    yield from self._pages(half)
                return
            if not answer.conversations:
                return
            yield [one.conversation_id for one in answer.conversations]
            if len(answer.conversations) < PAGE_SIZE:
                return

    def _unread(self, ids: list[str]) -> list[str]:
        if not ids:
            return []
        with explained():
            marked = self._filler._redis.smismember(self._marks, ids)
        assert isinstance(marked, list)  # the client is not an asynchronous one
        return [one for one, is_read in zip(ids, marked, strict=True) if not is_read]

    def _take(self, conversation_id: str) -> None:
        """Read one conversation, produce what it tells, then mark it as read."""
        filler = self._filler
        filler._turned()
        asked_ms = self._now_ms()
        if not self._is_read_elsewhere(conversation_id):
            self._produce(conversation_id)
            with explained():
                filler._redis.zadd(filler._keys.readings, {conversation_id: asked_ms}, gt=True)
        with explained():
            filler._redis.sadd(self._marks, conversation_id)
            filler._redis.expire(self._marks, KEPT_SECONDS)
        self._change(read=self._gap.read + 1)
        self._beat()

    def _produce(self, conversation_id: str) -> None:
        filler = self._filler
        asked_at = time.time()
        try:
            raw = filler._genesys.conversation(conversation_id)
        except GenesysError as error:
            if error.status not in {_NOT_FOUND, _FORBIDDEN}:
                raise
            # Purged, or of a division that the role is not granted in: others can be read.
            self._log.warning(
                "gap_conversation_not_read", conversation=conversation_id, error=str(error)
            )
            return
        reading = self._normaliser.conversation(
            raw, show_epoch(asked_at), asked_at, origin="backfill"
        )
        if reading.problem is not None:
            self._log.warning("gap_body_unreadable", conversation=conversation_id)
        filler._outlet.send(reading.events)
        filler.conversations += 1
        filler.events += len(reading.events)
        self._change(events=self._gap.events + len(reading.events))

    def _is_read_elsewhere(self, conversation_id: str) -> bool:
        """Whether its history up to this gap's end is in Kafka by another gap's reading."""
        with explained():
            read_ms = self._filler._redis.zscore(self._filler._keys.readings, conversation_id)
        return isinstance(read_ms, float) and read_ms >= self._gap.to_ms + AFTER_END_MS

    def _now_ms(self) -> int:
        with explained():
            now = self._filler._redis.time()
        assert isinstance(now, tuple)  # the client is not an asynchronous one
        return int(now[0]) * 1000 + int(now[1]) // 1000

    def _end_reading(self) -> None:
        readings = self._gap.readings + 1
        if readings < READINGS:
            self._change(readings=readings)
            self._write(self._filler._lag_seconds)
        else:
            self._change(readings=readings, state="filled")
            self._write(NEVER)
            with explained():
                self._filler._redis.delete(self._marks)
                self._filler._redis.zremrangebyscore(
                    self._filler._keys.readings, "-inf", self._now_ms() - SHARED_MS
                )
            self._filler.filled += 1
        gap = self._gap
        self._log.info(
            "gap_read",
            gap=gap.id,
            reading=readings,
            state=gap.state,
            conversations=gap.found,
            events=gap.events,
        )

    def _failed(self, error: GenesysError) -> None:
        if error.status == _BAD_REQUEST:
            self._log.error("gap_unfillable", gap=self._gap.id, error=str(error))
            self._change(state="unfillable", error=str(error))
            self._write(NEVER)
            return
        self._retry_later(str(error))

    def _retry_later(self, error: str) -> None:
        attempts = self._gap.attempts
        self._change(state="open", error=error)
        self._write(min(RETRY_SECONDS * 2.0 ** min(attempts - 1, 10), RETRY_MOST_SECONDS))
        self._log.warning("gap_not_read", gap=self._gap.id, attempts=attempts, error=error)

    def _beat(self) -> None:
        """Renew the lease and show progress, every now and then."""
        if time.monotonic() - self._written_at >= WRITE_EVERY_SECONDS:
            self._write(self._filler._lease_seconds)

    def _write(self, seconds: float) -> None:
        lease = self._filler._leases.write_gap(self._lease, self._gap, seconds)
        if not lease:
            raise LeaseLost(f"gap {self._gap.id} is another janitor's")
        self._lease = lease
        self._written_at = time.monotonic()

    def _change(self, **fields: object) -> None:
        self._gap = msgspec.structs.replace(self._gap, **fields)
