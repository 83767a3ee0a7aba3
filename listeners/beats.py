"""Reports this listener to Redis and fetches its assignment. The body of a thread.

A beat is made from the loop's latest state. If the loop hangs, the beats stop too, so the leader
notices. While Redis does not answer nothing changes: channels go on (I8).

Between two beats the thread checks `LOOKS` times for news: it takes a changed assignment, and sends
an early beat if the state of a channel changed. Otherwise a take-over would wait for two
heartbeats, for its grant and for its success.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

import msgspec

from listeners.channels.topic_list import Missed
from listeners.fleet_link import FleetLink
from listeners.publish.extent import Lost
from listeners.receive.loop import Loop
from listeners.receive.loop_state import LoopState
from mirror.base.errors import MirrorError
from mirror.base.log import logger
from mirror.base.thread_watch import ReportProgress, unwatched
from mirror.fleet.words import Assignment, Beat, ChannelReport, ListenerState, Seat, Shard

# A loop state older than this many leases is no sign of life.
STALE_LEASES: Final = 0.75
# Shards in one answer of Redis: a few MB, and a second beat is not late for it.
SHARD_FETCHES: Final = 50
LOOKS: Final = 4  # in a heartbeat
MISSED_FILINGS: Final = 10  # per beat, so that no beat waits for them

States = frozenset[tuple[Seat, int, str]]


class Beats:
    """Sends the beats. `run` belongs to its thread; other threads may call the rest."""

    def __init__(
        self,
        fleet: FleetLink,
        loop: Loop,
        template: Beat,
        *,
        heartbeat: float,
        lease: float,
        clock: Callable[[], float] = time.monotonic,
        report_progress: ReportProgress = unwatched,
    ) -> None:
        """`template` has the fields that never change, such as the listener's id and host."""
        self.state: ListenerState = "live"
        self.failing_since: float | None = None
        self.assigned_at = clock()  # when the assignment last changed
        self._fleet = fleet
        self._loop = loop
        self._template = template
        self._heartbeat = heartbeat
        self._stale_after = lease * STALE_LEASES
        self._clock = clock
        self._report_progress = report_progress
        self._log = logger("listener.beats")
        self._stop = threading.Event()
        self._now = threading.Event()
        self._shards: dict[str, Shard] = {}
        self._incomplete = False
        self._version = 0
        self._told: States = frozenset()  # in the last beat that Redis took

    @property
    def problem(self) -> str:
        """Why the leader hears nothing of this listener, empty if it does. Any thread may ask."""
        since = self.failing_since
        if since is None:
            return ""
        return (
            f"Redis has not answered for {self._clock() - since:.0f}s: open channels go on, and no "
            "assignment comes"
        )

    def hurry(self) -> None:
        """Beat at once, because there is news."""
        self._now.set()

    def stop(self) -> None:
        """Have `run` deregister the listener and return."""
        self._stop.set()
        self._now.set()

    def run(self) -> None:
        """Beat until `stop`."""
        due = self._clock()
        while not self._stop.is_set():
            self._report_progress()
            hurried = self._now.is_set()
            self._now.clear()
            if hurried or self._clock() >= due or self._has_news():
                self._once()
                due = self._next_due(due)
            else:
                self._look()
            rest = max(0.0, min(due - self._clock(), self._heartbeat / LOOKS))
            self._report_progress(rest)
            self._now.wait(rest)
        try:
            self._fleet.leave(self._template.listener)
        except MirrorError as error:
            self._log.warning("deregister_failed", error=error)

    def _next_due(self, due: float) -> float:
        """The time of the next beat: a heartbeat after the last beat was due, or after now if it
        came early, so that several early beats do not delay it. After a late beat, not at once."""
        now = self._clock()
        return max(min(due, now) + self._heartbeat, now + self._heartbeat / LOOKS)

    def _has_news(self) -> bool:
        """Whether a channel came, went, changed its state or missed topics since the last beat."""
        if self.failing_since is not None:
            return False
        state = self._loop.state
        return bool(state.missed) or _states(state) != self._told

    def _look(self) -> None:
        """Take an assignment that was changed since the last beat."""
        if self.failing_since is not None:
            return  # the next beat tries again
        try:
            assignment = self._fleet.news(self._template.listener, self._loop.state.version)
        except MirrorError:
            return  # the next beat reports it
        if assignment is not None:
            self._assign(assignment)

    def _once(self) -> None:
        state = self._loop.state
        late = self._clock() - state.at
        if late > self._stale_after:
            self._log.error("loop_hung", seconds=round(late, 1))
            return
        beat = self._beat(state, late)
        version = 0 if self._incomplete else state.version
        try:
            assignment = self._fleet.beat(beat, version)
            if assignment is not None:
                self._assign(assignment)
            if self._shards:
                self._fleet.restore_shards(self._shards.values())
            for lost in state.losses:
                self._file(lost)
            for missed in state.missed[:MISSED_FILINGS]:
                self._file_missed(missed)
        except MirrorError as error:
            if self.failing_since is None:
                self.failing_since = self._clock()
                self._log.warning("redis_unavailable", error=error)
            return
        self._told = _states(state)
        if self.failing_since is not None:
            self._log.info("redis_recovered", seconds=round(self._clock() - self.failing_since, 1))
            self.failing_since = None

    def _file(self, lost: Lost) -> None:
        """File gaps for records that a damaged spool lost: the leader counted them as safe."""
        filed = self._fleet.file_loss(lost.name, lost.from_ms, lost.to_ms, self._template.listener)
        if filed:
            self._log.warning("spool_loss_filed", folder=lost.name, gaps=filed)
            self._loop.settle(lost)

    def _file_missed(self, missed: Missed) -> None:
        """File a gap for topics that a channel lacked: the leader counted them as received."""
        self._fleet.file_missed(missed, self._clock(), self._template.listener)
        self._log.warning(
            "missed_topics_filed",
            shard=missed.shard,
            replica=missed.replica,
            topics=len(missed.topics),
            seconds=round(missed.until - missed.since, 1),
        )
        self._loop.filed(missed)

    def _beat(self, state: LoopState, late: float) -> Beat:
        return msgspec.structs.replace(
            self._template,
            state=self.state,
            channels=tuple(_aged(report, late) for report in state.channels),
            spool_records=state.spool_records,
            spool_bytes=state.spool_bytes,
            reasons=state.reasons,
            native=state.native,
        )

    def _assign(self, assignment: Assignment) -> None:
        """Fetch changed shards, then inform the loop. Unknown shards are asked for again later."""
        epochs = {grant.shard: grant.shard_epoch for grant in assignment.grants}
        known = {shard_id: shard for shard_id, shard in self._shards.items() if shard_id in epochs}
        stale = [
            shard_id for shard_id in epochs if not _is_known(known.get(shard_id), epochs[shard_id])
        ]
        for start in range(0, len(stale), SHARD_FETCHES):
            self._report_progress()
            known |= self._fleet.shards(stale[start : start + SHARD_FETCHES])
        complete = all(_is_known(known.get(shard_id), epoch) for shard_id, epoch in epochs.items())
        self._shards = known
        self._incomplete = not complete
        if assignment.version != self._version:
            self._version = assignment.version
            self.assigned_at = self._clock()
            self._log.info(
                "assignment_received", version=assignment.version, grants=len(assignment.grants)
            )
        self._loop.assign(assignment, known)


def _is_known(shard: Shard | None, epoch: int) -> bool:
    return shard is not None and shard.epoch >= epoch


def _states(state: LoopState) -> States:
    return frozenset((report.seat, report.epoch, report.state) for report in state.channels)


def _aged(report: ChannelReport, late: float) -> ChannelReport:
    """`report` as of now, when its ages were measured `late` seconds ago."""
    milliseconds = round(late * 1000)
    return msgspec.structs.replace(
        report,
        covered_ms=None if report.covered_ms is None else report.covered_ms + milliseconds,
        last_frame_ms=None if report.last_frame_ms is None else report.last_frame_ms + milliseconds,
    )
