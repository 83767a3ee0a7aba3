"""Fills gaps: takes the ledger's next gap, reads it (`janitor.gaps.reading`), notes the result.

A gap is read twice. The first reading reads all conversations that lived in the gap and can be
found. The second reading comes after the lag of analytics (`lag_seconds`), and reads conversations
that were unknown before. A reading counts only if everything was read. If Genesys refuses a
conversation or does not know it yet, if its body cannot be read, or if Genesys does not understand
the request (400), the gap stays open with the reasons, and is read again after growing pauses.
After a day (`PATIENCE_SECONDS`) and `LEAST_ATTEMPTS` tries, such a gap becomes `unfillable`, with
these reasons. While Genesys or Kafka is away, a gap only waits.

Beside the gap, Redis has a mark for each conversation that was read. So a janitor that takes over a
dead janitor's gap continues its reading. A mark is set only after Kafka has acknowledged the events
of the conversation (I9).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec
import redis

from janitor.agreement import Agreement
from janitor.claims import NEVER, LeaseLost, Leases
from janitor.gaps.plan import predicates
from janitor.gaps.reading import Desk, GapReading, Stopped
from janitor.gaps.unfinished import Unfinished
from janitor.gaps.unread import PARTITION
from janitor.genesys import Pool
from janitor.oddity import refuses_request
from janitor.producer import AckedProducer
from mirror.base.errors import GenesysError, KafkaUnavailable
from mirror.base.log import logger
from mirror.base.thread_watch import ReportProgress, unwatched
from mirror.conversation.normaliser import Normaliser
from mirror.fleet.gaps import READINGS, Gap
from mirror.redis.clock import redis_now_ms
from mirror.redis.keys import Keys

LEASE_SECONDS: Final = 240.0
WRITE_EVERY_SECONDS: Final = 2.0
RETRY_SECONDS: Final = 30.0
RETRY_MOST_SECONDS: Final = 900.0
# A gap that cannot be read completely becomes unfillable after this time and this many tries.
PATIENCE_SECONDS: Final = 24 * 3600.0
LEAST_ATTEMPTS: Final = 8
# How long the readings of a filled gap still serve other gaps: one outage makes several gaps.
SHARED_MS: Final = 3_600_000


class Filler:
    """Works on the gap ledger, one gap at a time."""

    def __init__(
        self,
        client: redis.Redis,
        keys: Keys,
        leases: Leases,
        genesys: Pool,
        producer: AckedProducer,
        normaliser: Callable[[], Normaliser],
        *,
        lag_seconds: float,
        horizon_seconds: float,
        lease_seconds: float = LEASE_SECONDS,
        stopping: Callable[[], bool] = lambda: False,
        report_progress: ReportProgress = unwatched,
    ) -> None:
        self.filled = 0
        self.conversations = 0  # read and produced
        self.events = 0
        self.unread: Counter[str] = Counter()  # why conversations could not be read → how often
        self._failing: dict[str, tuple[str, float]] = {}  # gap → why, until its next try is over
        self._redis = client
        self._keys = keys
        self._leases = leases
        self._genesys = genesys
        self._producer = producer
        self._normaliser = normaliser
        self._lag_seconds = lag_seconds
        self._agreement = Agreement()
        self._horizon_ms = round(horizon_seconds * 1000)
        self._lease_seconds = lease_seconds
        self._stopping = stopping
        self._report_progress = report_progress
        self._unfinished = Unfinished(client, keys, report_progress)
        self._log = logger("janitor.gaps")

    def fill_next(self) -> bool:
        """Work on the next due gap until its reading ends; False if no gap is due.

        Raises `RedisUnavailable` and `KafkaUnavailable`; the gap is due again later.
        """
        self._report_progress()
        self._unfinished.tidy()
        furthest = max(self._lag_seconds, self._lease_seconds, RETRY_MOST_SECONDS)
        claim = self._leases.claim_gaps(1, self._lease_seconds, furthest)
        if not claim.ids:
            return False
        gap = self._leases.gap(claim.ids[0])
        if gap is None or gap.done:
            self._leases.drop_gap(claim.lease, claim.ids[0])
            return True
        _Attempt(self, gap, claim.lease).run()
        return True

    @property
    def problem(self) -> str:
        """Why a gap that this janitor tried is not filled; empty if none failed lately."""
        now = time.monotonic()
        found = (
            f"gap {gap_id} could not be read to the end yet: {reason}"
            for gap_id, (reason, until) in sorted(dict(self._failing).items())
            if now < until
        )
        return next(found, "")

    def note(self, gap_id: str, errors: tuple[str, ...] = (), seconds: float = 0.0) -> None:
        """Note the end of an attempt, and in how many seconds the next one is due. Another janitor
        may make it: then only the gap says how it ended."""
        now = time.monotonic()
        self._failing = {key: found for key, found in self._failing.items() if now < found[1]}
        self._failing.pop(gap_id, None)
        if errors:
            self._failing[gap_id] = ("; ".join(errors), now + seconds + self._lease_seconds)


class _Attempt:
    """One attempt at one gap, under one lease. The reading reports to it."""

    def __init__(self, filler: Filler, gap: Gap, lease: str) -> None:
        self.gap = gap
        self._filler = filler
        self._lease = lease
        self._log = filler._log
        self._written_at = time.monotonic()

    def run(self) -> None:
        """Read the gap to its end, or note why that failed."""
        filler, gap = self._filler, self.gap
        if not predicates(gap.topics):
            # The states of users alone: there are no conversations to read.
            if gap.kind == "gap":
                self._give_up(("the states of users cannot be read again",))
            else:
                self.change(state="filled")
                self._write(NEVER)
                filler.filled += 1
            return
        self.change(state="filling", attempts=gap.attempts + 1, found=0, read=0, unread=0)
        sight = filler._genesys.seeing(gap.topics)
        desk = Desk(
            client=filler._redis,
            keys=filler._keys,
            genesys=sight.genesys,
            parts=sight.parts,
            producer=filler._producer,
            normaliser=filler._normaliser(),
            unfinished=filler._unfinished,
            agreement=filler._agreement,
            horizon_ms=filler._horizon_ms,
            lag_ms=round(filler._lag_seconds * 1000),
            stopping=filler._stopping,
            report_progress=filler._report_progress,
        )
        reading = GapReading(desk, self)
        try:
            self._write(filler._lease_seconds)
            reading.run()
        except LeaseLost:
            self._log.warning("gap_lease_lost", gap=gap.id)
            return
        except Stopped:  # the next janitor goes on at once
            self.change(state="open")
            self._write(0.0)
            return
        except GenesysError as error:
            self._failed(error)
            return
        except KafkaUnavailable as error:
            self._retry_later((str(error),))
            raise
        finally:
            filler.conversations += reading.conversations
            filler.events += reading.events
            filler.unread.update(reading.unread.reasons())
        if errors := reading.unread.errors():
            # While a partition takes no events, the gap only waits.
            self._retry_later(errors, final=PARTITION not in reading.unread.reasons())
        else:
            self._end_reading(reading)

    # --- what the reading tells -------------------------------------------------------------------

    def change(self, **fields: object) -> None:
        """Change fields of the gap; the next beat writes them."""
        self.gap = msgspec.structs.replace(self.gap, **fields)

    def beat(self) -> None:
        """Renew the lease and write the progress, if both are due. Raises `LeaseLost`."""
        if time.monotonic() - self._written_at >= WRITE_EVERY_SECONDS:
            self._write(self._filler._lease_seconds)

    # --- how it ends ------------------------------------------------------------------------------

    def _end_reading(self, reading: GapReading) -> None:
        readings = self.gap.readings + 1
        done = readings >= READINGS
        self.change(
            readings=readings,
            state="filled" if done else self.gap.state,
            errors=(),
            failing_since_ms=0,
            least_calls=self.gap.least_calls + reading.least_queries,
        )
        self._write(NEVER if done else self._filler._lag_seconds)
        self._filler.note(self.gap.id)
        if done:
            reading.forget(SHARED_MS)
            self._filler.filled += 1
        gap = self.gap
        self._log.info(
            "gap_read",
            gap=gap.id,
            reading=readings,
            state=gap.state,
            conversations=gap.found,
            events=gap.events,
            calls=gap.calls,
            least_calls=gap.least_calls,
        )

    def _failed(self, error: GenesysError) -> None:
        self._retry_later((str(error),), final=refuses_request(error))

    def _retry_later(self, errors: tuple[str, ...], *, final: bool = False) -> None:
        """Leave the gap open. `final`: the errors are about what it asks for, and after a day with
        such errors the gap is given up."""
        attempts = self.gap.attempts
        if final:
            now_ms = redis_now_ms(self._filler._redis)
            since_ms = self.gap.failing_since_ms
            if not 0 < since_ms <= now_ms:
                since_ms = now_ms
            self.change(failing_since_ms=since_ms)
            if now_ms - since_ms >= PATIENCE_SECONDS * 1000 and attempts >= LEAST_ATTEMPTS:
                self._give_up(errors)
                return
        self.change(state="open", errors=errors)
        pause = min(RETRY_SECONDS * 2.0 ** min(attempts - 1, 10), RETRY_MOST_SECONDS)
        self._write(pause)
        self._filler.note(self.gap.id, errors, pause)
        self._log.warning(
            "gap_read_failed",
            gap=self.gap.id,
            attempts=attempts,
            unread=self.gap.unread,
            error="; ".join(errors),
        )

    def _give_up(self, errors: tuple[str, ...]) -> None:
        self._log.error("gap_unfillable", gap=self.gap.id, error="; ".join(errors))
        self.change(state="unfillable", errors=errors)
        self._write(NEVER)
        self._filler.note(self.gap.id)

    def _write(self, seconds: float) -> None:
        lease = self._filler._leases.write_gap(self._lease, self.gap, seconds)
        if not lease:
            raise LeaseLost(f"gap {self.gap.id} is another janitor's")
        self._lease = lease
        self._written_at = time.monotonic()
