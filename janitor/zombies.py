"""Verifies conversations that are overdue, and finalises those that are over.

    analytics says   Genesys' GET says   then
    active           (not asked)         put back: verified again later
    over, unknown    over                missing events and `finalize`, acknowledged, then put back
    over, unknown    active              put back
    over, unknown    404                 `finalize` with `not_found`
    any              403, 5xx, time-out  put back for a short while

What was finalised stays in the active set until the tracker reads its end from Kafka, and is only
put back so that nobody does it twice: a janitor that dies before the acknowledgement leaves a lease
that lapses. Analytics is asked for many conversations at once; a GET is spent only on those that
it does not know to be active.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import msgspec

from janitor.genesys import Genesys
from janitor.leases import Leases
from janitor.outlet import Outlet
from janitor.verdict import closing, read, suspicion
from mirror.conversation.event import Event
from mirror.conversation.normaliser import Normaliser
from mirror.errors import GenesysError, KafkaUnavailable
from mirror.log import logger
from mirror.settings import Settings
from mirror.tracked import Tracked, threshold_ms
from mirror.turns import Turned, unwatched

# What analytics takes in one call (genesys/README section 6.3).
BATCH: Final = 100
LEASE_SECONDS: Final = 240.0
# Beyond this part of the lease no new conversation is begun: a call may take a minute.
LEASE_SHARE: Final = 0.7
RETRY_SECONDS: Final = 120.0
# So many calls that failed one after the other, each with its own retries: Genesys is unwell.
GIVE_UP_AFTER: Final = 3
# How long the tracker may take to read an end that Kafka has.
FOLD_SECONDS: Final = 120.0
# Still active: next verified when it has been overdue for twice as long, at most hourly.
AGAIN_MOST_SECONDS: Final = 3600.0
_NOT_FOUND: Final = 404


class Sweep(msgspec.Struct):
    """What a sweep did, in conversations; `calls` of Genesys and the fewest it could have taken.

    The fewest: one analytics call a batch and one GET a conversation that is over, since nothing
    is finalised without a GET.
    """

    claimed: int = 0
    finalised: int = 0
    not_found: int = 0
    active: int = 0
    ended_meanwhile: int = 0
    failed: int = 0
    calls: int = 0
    least_calls: int = 0
    seconds: float = 0.0
    obstacle: str = ""


class Zombies:
    """Sweeps over the conversations that are due."""

    def __init__(
        self,
        settings: Settings,
        leases: Leases,
        genesys: Genesys,
        outlet: Outlet,
        normaliser: Callable[[], Normaliser],
        *,
        lease_seconds: float = LEASE_SECONDS,
        stopping: Callable[[], bool] = lambda: False,
        turned: Turned = unwatched,
    ) -> None:
        self._settings = settings
        self._leases = leases
        self._genesys = genesys
        self._outlet = outlet
        self._normaliser = normaliser
        self._lease_seconds = lease_seconds
        self._stopping = stopping
        self._turned = turned
        self._log = logger("janitor.zombies")

    def sweep(self) -> Sweep:
        """Verify all that is due now. Raises `RedisUnavailable` and `KafkaUnavailable`.

        What falls due while it works waits for the next sweep, so that a sweep comes to an end.
        """
        sweep = Sweep()
        began = time.monotonic()
        due_ms: int | None = None
        while not self._stopping():
            self._turned()
            started = time.monotonic()
            claim = self._leases.claim_conversations(BATCH, self._lease_seconds, due_ms)
            due_ms = due_ms or claim.now_ms
            sweep.obstacle = claim.obstacle
            if not claim.ids:
                break
            sweep.claimed += len(claim.ids)
            until = started + self._lease_seconds * LEASE_SHARE
            if not self._verify(claim.lease, claim.ids, until, sweep):
                break
        sweep.seconds = round(time.monotonic() - began, 3)
        return sweep

    def _verify(self, lease: str, ids: tuple[str, ...], until: float, sweep: Sweep) -> bool:
        """Verify one batch; False where Genesys cannot be asked now."""
        sweep.calls += 1
        sweep.least_calls += 1
        try:
            details = {one.conversation_id: one for one in self._genesys.details(ids)}
        except GenesysError as error:
            self._log.warning("analytics_failed", error=str(error), conversations=len(ids))
            sweep.failed += len(ids)
            self._leases.put_back(lease, dict.fromkeys(ids, self._retry()))
            return False
        tracked = self._leases.tracked(ids)
        after: dict[str, float] = {}
        suspects = []
        for one in ids:
            if suspicion(details.get(one)) == "active":
                sweep.active += 1
                after[one] = self._again(tracked[one])
            else:
                suspects.append(one)
        self._leases.put_back(lease, after)
        in_a_row = 0
        for position, one in enumerate(suspects):
            self._turned()
            if in_a_row >= GIVE_UP_AFTER:
                sweep.failed += len(suspects) - position
                self._leases.put_back(lease, dict.fromkeys(suspects[position:], self._retry()))
                return False
            if self._stopping() or time.monotonic() > until:
                # Due again at once, for whoever is next.
                self._leases.put_back(lease, dict.fromkeys(suspects[position:], 0.0))
                return not self._stopping()
            failed = sweep.failed
            try:
                seconds = self._confirm(one, sweep)
            except KafkaUnavailable:
                self._leases.put_back(lease, dict.fromkeys(suspects[position:], self._retry()))
                raise
            in_a_row = in_a_row + 1 if sweep.failed > failed else 0
            self._leases.put_back(lease, {one: seconds})
        return True

    def _confirm(self, conversation_id: str, sweep: Sweep) -> float:
        """Ask Genesys for one suspect, and finalise it where it is over; when it is next due."""
        sweep.calls += 1
        raw = b""
        try:
            raw = self._genesys.conversation(conversation_id)
        except GenesysError as error:
            if error.status != _NOT_FOUND:
                sweep.failed += 1
                self._log.warning(
                    "conversation_not_read", conversation=conversation_id, error=str(error)
                )
                return self._retry()
        # Read anew: its end may have come while we asked.
        tracked = self._leases.tracked((conversation_id,))[conversation_id]
        if tracked is None or tracked.ended:
            sweep.ended_meanwhile += 1
            return FOLD_SECONDS
        now_ms = round(time.time() * 1000)
        events: list[Event]
        if raw:
            events = read(raw, conversation_id, tracked, self._normaliser(), now_ms)
        else:
            events = closing(conversation_id, tracked, "not_found", now_ms)
        if not events:
            sweep.active += 1
            return self._again(tracked)
        self._outlet.send(events)
        sweep.least_calls += 1
        sweep.finalised += 1
        sweep.not_found += not raw
        self._log.info(
            "conversation_finalised",
            conversation=conversation_id,
            reason=events[-1].reason,
            events=len(events),
        )
        return FOLD_SECONDS

    def _again(self, tracked: Tracked | None) -> float:
        """In how many seconds one that seems to go on is verified again.

        What analytics calls active may have ended within its lag. So soon after it was due it is
        asked for again when the lag is over, and then at growing distance: an end is found late by
        the lag, or by as long as the conversation was overdue when it ended, or by an hour.
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

    def _retry(self) -> float:
        return max(self._settings.janitor_interval, min(RETRY_SECONDS, self._settings.zombie_after))
