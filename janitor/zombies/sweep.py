"""Verifies overdue conversations, and finalizes those that are over.

    analytics says   Genesys' GET says   then
    active           (not asked)         put back: verified again later
    silent           over                as below
    silent           active, 404         put back
    over, unknown    over                missing events and `finalize`, acknowledged, then put back
    over, unknown    active              put back
    over             404                 the same from analytics, `finalize` with `not_found`
    unknown          404                 `finalize` with `not_found`
    any              403, 5xx, time-out  put back, for growing pauses
    any              something strange   the same: another's body, a page that is not Genesys'
    cannot be asked  404                 the same

A conversation without a live leg is over, although `conversationEnd` waits for after-call work. If
a fresh frame contradicts an answer, or the answer is the same for everything, the answer is
doubted, and the conversation is put back (`janitor.zombies.doubt`).

A finalized conversation stays in the active set until the tracker reads its end from Kafka. It is
put back only so that it is not done twice: if a janitor dies before the acknowledgement, its lease
lapses. Analytics is asked for many conversations at once; a GET is made only for those that
analytics does not show as active. A conversation that analytics shows without an open segment of a
party and without an end (`silent`) may still go on: a few of these in each batch get a GET.
A conversation at which Genesys always fails is due later and later, so it does not delay others.
So are the conversations of a partition that takes no events (`janitor.zombies.held`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from janitor.agreement import Agreement
from janitor.answers import Answer, ask
from janitor.claims import Leases
from janitor.control import any_conversation
from janitor.details import Details, ask_details
from janitor.genesys import Genesys
from janitor.producer import AckedProducer, PartitionUnavailable
from janitor.zombies import doubt
from janitor.zombies.held import Held
from janitor.zombies.verdict import closing, read, read_analytics, suspicion
from mirror.base.errors import GenesysError, KafkaUnavailable
from mirror.base.log import logger
from mirror.base.thread_watch import ReportProgress, unwatched
from mirror.base.units import counted
from mirror.conversation.event import Event
from mirror.conversation.normaliser import Normaliser
from mirror.conversation.times import known_ms
from mirror.fleet.tracked import Tracked, threshold_ms
from mirror.genesys.shapes import AnalyticsConversation
from mirror.settings import Settings

# Most conversations per call of analytics (docs/protocol.md, "Analytics").
BATCH: Final = 100
LEASE_SECONDS: Final = 240.0
# After this part of the lease no new conversation is started: a call may take a minute.
LEASE_SHARE: Final = 0.7
RETRY_SECONDS: Final = 120.0
# After this many failed calls in a row, each with its own retries, Genesys counts as unavailable.
GIVE_UP_AFTER: Final = 3
# How long the tracker may take to read an end that Kafka has.
FOLD_SECONDS: Final = 120.0
# A doubted conversation is asked for again after this time.
DOUBT_SECONDS: Final = 600.0
# An active conversation is next verified when it is overdue for twice as long, at least hourly.
AGAIN_MOST_SECONDS: Final = 3600.0
# So many of the silent conversations of a batch get a GET.
MOST_SILENT: Final = 10


class Sweep(msgspec.Struct):
    """The result of a sweep in conversations, its `calls` to Genesys and the fewest possible.

    The fewest: one analytics call per batch and one GET per conversation that is over, because
    nothing is finalized without a GET. `held` are those whose partition takes no events. The
    tracker is `behind` in these partitions, whose conversations are put back. What failed or is
    held is due again after `longest_pause` seconds, at most. `problem` says why the sweep broke
    off, why several conversations in a row could not be verified, or which partitions take no
    events; `error` is the last failure.
    """

    claimed: int = 0
    finalized: int = 0
    not_found: int = 0
    active: int = 0
    ended_meanwhile: int = 0
    failed: int = 0
    doubted: int = 0
    held: int = 0
    calls: int = 0
    least_calls: int = 0
    longest_pause: float = 0.0
    seconds: float = 0.0
    obstacle: str = ""
    behind: frozenset[int] = frozenset()
    doubt: str = ""
    error: str = ""
    problem: str = ""


class _Batch:
    """The state of one batch in verification."""

    def __init__(self, lease: str, details: Details) -> None:
        self.lease = lease
        self.details: Mapping[str, AnalyticsConversation] = details.shown
        self.refused = details.refused  # by analytics, which cannot be asked about them
        self.silent: set[str] = set()  # silent conversations that get a GET
        self.rest_knows = False
        self.unknown: list[str] = []  # unknown to REST and analytics; not judged yet


class Zombies:
    """Sweeps over the due conversations."""

    def __init__(
        self,
        settings: Settings,
        leases: Leases,
        genesys: Genesys,
        producer: AckedProducer,
        normaliser: Callable[[], Normaliser],
        *,
        lease_seconds: float = LEASE_SECONDS,
        fresh_seconds: float = doubt.FRESH_SECONDS,
        stopping: Callable[[], bool] = lambda: False,
        report_progress: ReportProgress = unwatched,
    ) -> None:
        self._settings = settings
        self._leases = leases
        self._genesys = genesys
        self._producer = producer
        self._normaliser = normaliser
        self._agreement = Agreement()
        self._held = Held(settings.janitor_interval)
        self._failing: set[str] = set()  # some that failed since a conversation was verified
        self._lease_seconds = lease_seconds
        self._fresh_seconds = fresh_seconds
        self._furthest = max(
            settings.zombie_after, AGAIN_MOST_SECONDS, *settings.zombie_after_media.values()
        )
        self._stopping = stopping
        self._report_progress = report_progress
        self._log = logger("janitor.zombies")

    def sweep(self) -> Sweep:
        """Verify all conversations due now. Raises `RedisUnavailable` and `KafkaUnavailable`.

        Conversations that become due meanwhile wait for the next sweep, so that a sweep ends.
        """
        sweep = Sweep()
        self._held.begin_sweep()
        is_broken_off = False
        began = time.monotonic()
        due_ms: int | None = None
        while not self._stopping():
            self._report_progress()
            started = time.monotonic()
            claim = self._leases.claim_conversations(
                BATCH, self._lease_seconds, due_ms, self._furthest
            )
            due_ms = due_ms or claim.now_ms
            sweep.obstacle = claim.obstacle or sweep.obstacle
            sweep.behind = claim.behind
            if not claim.ids:
                break
            sweep.claimed += len(claim.ids)
            until = started + self._lease_seconds * LEASE_SHARE
            if not self._verify(claim.lease, claim.ids, until, sweep):
                is_broken_off = not self._stopping()
                break
        if sweep.claimed > sweep.failed:
            self._failing.clear()
        # A few conversations may be odd, and Genesys fails at them alone, for good.
        fails_at_all = sweep.claimed and len(self._failing) >= GIVE_UP_AFTER
        if is_broken_off or fails_at_all:
            failed = counted(sweep.failed, "overdue conversation")
            sweep.problem = f"{failed} cannot be verified: {sweep.error}"
        else:
            sweep.problem = self._held.problem()
        sweep.seconds = round(time.monotonic() - began, 3)
        return sweep

    def _verify(self, lease: str, ids: tuple[str, ...], until: float, sweep: Sweep) -> bool:
        """Verify one batch; False if Genesys cannot be asked now."""

        def call() -> None:
            self._report_progress()
            sweep.calls += 1

        sweep.least_calls += 1
        try:
            details = ask_details(self._genesys, ids, call, until)
        except GenesysError as error:
            self._log.warning("analytics_failed", error=str(error), conversations=len(ids))
            sweep.failed += len(ids)
            sweep.error = str(error)
            self._leases.put_back(lease, dict.fromkeys(ids, self._retry(sweep)))
            return False
        tracked = self._leases.tracked(ids)
        after: dict[str, float] = {}
        said = {id_: suspicion(details.shown.get(id_), self._normaliser()) for id_ in ids}
        batch = _Batch(lease, details)
        silent = [id_ for id_ in ids if said[id_] == "silent"]
        batch.silent.update(random.sample(silent, min(len(silent), MOST_SILENT)))
        suspects = [id_ for id_ in ids if said[id_] in {"over", "unknown"} or id_ in batch.silent]
        for id_ in set(ids).difference(suspects):
            sweep.active += 1
            after[id_] = self._again(tracked[id_])
        self._leases.put_back(lease, after)
        in_a_row = 0
        for position, id_ in enumerate(suspects):
            self._report_progress()
            if in_a_row >= GIVE_UP_AFTER:
                sweep.failed += len(suspects) - position
                self._leases.put_back(lease, dict.fromkeys(suspects[position:], self._retry(sweep)))
                return False
            if self._stopping() or time.monotonic() > until:
                # Due again at once, for the next janitor.
                self._leases.put_back(lease, dict.fromkeys(suspects[position:], 0.0))
                self._judge_unknown(batch, sweep)
                return not self._stopping()
            if self._is_held(id_):
                self._leases.put_back(lease, {id_: self._hold(id_, sweep)})
                continue
            try:
                answer = ask(self._genesys, id_)
                sweep.calls += 1
                # Perhaps only a client without a token sees a refused one: Genesys is not away.
                in_a_row = in_a_row + (id_ not in batch.refused) if answer.kind == "failed" else 0
                seconds = self._confirm(id_, answer, batch, sweep)
            except GenesysError as error:  # no budget or token, so not about this conversation
                in_a_row = GIVE_UP_AFTER
                self._note_failure(id_, Answer("failed", reason=str(error)), sweep)
                seconds = self._retry(sweep)
            except KafkaUnavailable:
                rest = [*suspects[position:], *batch.unknown]
                self._leases.put_back(lease, dict.fromkeys(rest, self._retry(sweep)))
                raise
            if seconds is not None:
                self._leases.put_back(lease, {id_: seconds})
        self._judge_unknown(batch, sweep)
        return True

    def _confirm(
        self, conversation_id: str, answer: Answer, batch: _Batch, sweep: Sweep
    ) -> float | None:
        """Act on Genesys' answer on one suspect. Returns when it is next due, None if not
        judged."""
        details = batch.details.get(conversation_id)
        if answer.kind == "forgotten" and conversation_id in batch.refused:
            # Nobody says that analytics does not know it either.
            answer = Answer("refused", reason=batch.refused[conversation_id])
        if answer.kind not in {"given", "forgotten"}:
            self._note_failure(conversation_id, answer, sweep)
            failing = self._leases.failing_since(conversation_id)
            return self._retry(sweep, 2 * failing)
        self._leases.answered(conversation_id)
        now_ms = round(time.time() * 1000)
        # Read again: its end may have come meanwhile. Without a record the fold was lost, and
        # Genesys has the whole conversation.
        tracked = self._leases.tracked((conversation_id,))[conversation_id] or Tracked(now_ms)
        if tracked.ended:
            sweep.ended_meanwhile += 1
            return FOLD_SECONDS
        events: list[Event]
        if answer.kind == "given":
            batch.rest_knows = True
            if details is not None:
                self._agreement.look(answer.raw, details)
            events = read(answer.raw, conversation_id, tracked, self._normaliser(), now_ms)
        elif conversation_id in batch.silent:
            events = []  # nothing says that it is over
        elif details is not None:
            events = read_analytics(
                details, tracked, self._normaliser(), now_ms, by_legs=self._agreement.holds
            )
        else:
            if doubt.contradicts(tracked, now_ms, None, self._fresh_seconds):
                return self._doubt(conversation_id, doubt.BY_FRAME, sweep)
            batch.unknown.append(conversation_id)
            return None
        if not events:
            sweep.active += 1
            return self._again(tracked)
        ended_ms = None if events[-1].estimated else known_ms(events[-1].occurred_at)
        if doubt.contradicts(tracked, now_ms, ended_ms, self._fresh_seconds):
            return self._doubt(conversation_id, doubt.BY_FRAME, sweep)
        return self._finalize(conversation_id, events, sweep)

    def _judge_unknown(self, batch: _Batch, sweep: Sweep) -> None:
        """Finalize conversations that REST and analytics do not know, if both know any others."""
        if not batch.unknown:
            return
        knows = self._knows_anything(batch, sweep)
        for position, id_ in enumerate(batch.unknown):
            self._report_progress()
            if not knows and self._leases.doubted_since(id_) < doubt.BELIEVED_AFTER_SECONDS:
                self._leases.put_back(
                    batch.lease, {id_: self._doubt(id_, doubt.NOTHING_KNOWN, sweep)}
                )
                continue
            tracked = self._leases.tracked((id_,))[id_]
            now_ms = round(time.time() * 1000)
            if tracked is None or tracked.ended:
                sweep.ended_meanwhile += 1
                seconds = FOLD_SECONDS
            else:
                try:
                    events = closing(id_, tracked, "not_found", now_ms)
                    seconds = self._finalize(id_, events, sweep)
                except KafkaUnavailable:
                    left = dict.fromkeys(batch.unknown[position:], self._retry(sweep))
                    self._leases.put_back(batch.lease, left)
                    raise
                if not self._is_held(id_):
                    self._leases.trust(id_)
            self._leases.put_back(batch.lease, {id_: seconds})

    def _knows_anything(self, batch: _Batch, sweep: Sweep) -> bool:
        """Whether REST and analytics know a conversation: of the batch, or any other."""
        if batch.details and batch.rest_knows:
            return True
        try:
            control = next(iter(batch.details), None)
            if control is None:
                self._report_progress()
                sweep.calls += 1
                control = any_conversation(self._genesys, round(time.time() * 1000))
            if control is None:
                return False
            self._report_progress()
            sweep.calls += 1
            return ask(self._genesys, control).kind == "given"
        except GenesysError as error:
            self._log.warning("control_failed", error=str(error))
            return False

    def _finalize(self, conversation_id: str, events: list[Event], sweep: Sweep) -> float:
        if self._is_held(conversation_id):
            return self._hold(conversation_id, sweep)
        try:
            self._producer.send(events)
        except PartitionUnavailable as error:
            self._held.refused(error.partition, str(error))
            return self._hold(conversation_id, sweep)
        self._held.taken(self._producer.partition_of(conversation_id))
        sweep.least_calls += 1
        sweep.finalized += 1
        sweep.not_found += events[-1].reason == "not_found"
        self._log.info(
            "conversation_finalized",
            conversation=conversation_id,
            reason=events[-1].reason,
            events=len(events),
        )
        return FOLD_SECONDS

    def _is_held(self, conversation_id: str) -> bool:
        """Whether this sweep has found that the conversation's partition takes no events."""
        return self._held.is_held(self._producer.partition_of(conversation_id))

    def _hold(self, conversation_id: str, sweep: Sweep) -> float:
        """Hold a conversation until its partition takes events. Returns when it is next due."""
        sweep.held += 1
        number = self._producer.partition_of(conversation_id)
        seconds = self._retry(sweep, 2 * self._held.seconds(number))
        self._held.waits(number, seconds)
        return seconds

    def _note_failure(self, conversation_id: str, answer: Answer, sweep: Sweep) -> None:
        sweep.failed += 1
        if len(self._failing) < GIVE_UP_AFTER:
            self._failing.add(conversation_id)
        sweep.error = answer.reason
        self._log.warning(
            "conversation_read_failed",
            conversation=conversation_id,
            answer=answer.kind,
            error=answer.reason,
        )

    def _doubt(self, conversation_id: str, reason: str, sweep: Sweep) -> float:
        sweep.doubted += 1
        sweep.doubt = reason
        self._log.warning("conversation_doubted", conversation=conversation_id, reason=reason)
        return max(self._settings.janitor_interval, min(DOUBT_SECONDS, self._settings.zombie_after))

    def _again(self, tracked: Tracked | None) -> float:
        """Seconds until a conversation that seems to go on is verified again.

        A conversation that analytics calls active may have ended within its lag. So it is asked for
        again when the lag is over, and then after growing pauses. An end is found late by the lag,
        or by the time that the conversation was overdue at its end, or by an hour.
        """
        settings = self._settings
        overdue = 0.0
        if tracked is not None:
            age = threshold_ms(tracked, settings.zombie_after, settings.zombie_after_media)
            overdue = time.time() - (tracked.since_ms + age) / 1000
        return max(
            settings.janitor_interval,
            min(max(overdue, settings.analytics_lag), AGAIN_MOST_SECONDS),
        )

    def _retry(self, sweep: Sweep, seconds: float = 0.0) -> float:
        """Seconds until a failed or held conversation is due again, within bounds."""
        settings = self._settings
        least = max(settings.janitor_interval, min(RETRY_SECONDS, settings.zombie_after))
        pause = max(least, min(seconds, AGAIN_MOST_SECONDS))
        sweep.longest_pause = max(sweep.longest_pause, pause)
        return pause
