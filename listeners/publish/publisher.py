"""Sends records to Kafka in order, and stores those that Kafka cannot take now.

    a lane       without stored records: new records go straight to librdkafka
                 with stored records: new records are stored too, and the spool's thread sends them

A lane is a partition of a topic (`listeners.publish.lanes`). Records wait only for older ones of
their own lane: topics and partitions do not wait for each other.

    direct ──(a lane stands still, a report failed, queue full)──▶ retiring ──▶ spooling ──▶ direct

Every record has a sequence number. When a lane fails, the direct producer is retired
(`listeners.publish.direct`). Its undelivered records are taken back and stored under their numbers,
so that no record overtakes an older one of its conversation. The drain sends stored records with a
producer of its own. As soon as Kafka takes one of them, there is a direct producer again, for all
lanes without stored records. Records that may have reached Kafka without an acknowledgement are
sent again; consumers drop repeated ids.

On the direct way librdkafka does not report each success; its statistics tell how far each lane is.
A record that Kafka refuses for good becomes a dead letter.

All methods belong to one thread, and only `stop` waits: large amounts of work are done in slices,
and the spool's thread does all work on a disk (`listeners.publish.keeper`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final, Literal

from listeners.counters import Counters
from listeners.publish.direct import Direct
from listeners.publish.extent import Lost
from listeners.publish.keeper import Keeper
from listeners.publish.latency import Latency
from listeners.publish.path import Path
from listeners.publish.waits import reasons
from mirror.base.log import logger
from mirror.conversation.agent_event import AgentEvent
from mirror.kafka.partition import Partitions
from mirror.kafka.polling import serve
from mirror.kafka.record import (
    AgentRecorder,
    Header,
    Recorder,
)
from mirror.settings import Settings

LAST_LOOK_SECONDS: Final = 1.0  # while stopping: after this time without progress, give up
TAKE_BACK_SECONDS: Final = 4.0
LAST_WRITE_SECONDS: Final = 4.0
WAIT_SECONDS: Final = 0.01
RETIRE_SECONDS: Final = 0.001
# From one tick to the next. Records that are taken back, or pause, move in slices: the shorter, the
# sooner. Other records under way need ticks only to time their acknowledgement, and at small loads
# the ticks cost more than the frames.
MOVING_TICK_SECONDS: Final = 0.005
BUSY_TICK_SECONDS: Final = 0.01
IDLE_TICK_SECONDS: Final = 0.05

Mode = Literal["direct", "partly", "spooling"]


class Publisher:
    """The way of records to Kafka."""

    def __init__(
        self,
        settings: Settings,
        listener: str,
        counters: Counters,
        *,
        schemas: Mapping[str, Header] | None = None,
        partitions: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`schemas`: topic → the header that names its schema (`mirror.kafka.registry`).

        `partitions`: topic → partitions for its keys (`mirror.fleet.pinned`), if known; for other
        topics the first statistics count. Raises `SpoolError` if the spool folder cannot be used.
        """
        now = clock()
        self._settings = settings
        self._counters = counters
        self._clock = clock
        self._log = logger("listener.publisher")
        schemas = schemas or {}
        region, encoding = settings.region, settings.encoding
        self.recorder = Recorder(settings.topic, region, encoding, schemas.get(settings.topic))
        self._agents = AgentRecorder(
            settings.agents_topic, region, encoding, schemas.get(settings.agents_topic)
        )
        self.latency = Latency()
        known = Partitions(partitions or {})
        self._keeper = Keeper(settings, listener, counters, known, self.latency.waited, clock)
        self._store = self._keeper.store
        self._letters = self._keeper.letters
        self._direct = Direct(settings, known, now, clock)
        self._durable_at = now
        self._direct.begin(now)
        self._path = Path(self.recorder, self._keeper, self._direct, self.latency, counters, clock)
        self.events = self._path.events  # the hot path: one call less
        self.records = self._path.records
        self.mark = self._path.mark
        self.mark_records = self._path.mark_records
        self._keeper.start()

    def agents(self, events: list[AgentEvent]) -> None:
        """Take the states of one frame of an agent topic.

        A channel that was taken over may show agents although they are not mirrored. Such states
        are skipped: their Kafka topic need not exist.
        """
        if not self._settings.agents:
            return
        self._counters.agent_events += len(events)
        for event in events:
            self._path.send(self._agents.record(event))

    def dead_letter(
        self,
        value: bytes,
        *,
        source_topic: str | None,
        stage: str,
        error: str,
        message: str,
        size: int | None = None,
    ) -> None:
        """Take an unreadable frame; `size` is the full size if `value` was cut."""
        self._path.send(
            self._letters.of_frame(
                value,
                source_topic=source_topic,
                stage=stage,
                error=error,
                message=message,
                size=size,
            )
        )

    # -- work ------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Serve delivery reports, notice standstills, reopen the direct way. Call often.

        Raises the exception that ended the spool's thread.
        """
        self._keeper.check()
        self._turn(now)

    def _turn(self, now: float) -> None:
        direct, path = self._direct, self._path
        if direct.producer is not None:
            serve(direct.producer)
            path.judge(now)
            path.resume(now)
        elif direct.retiring is not None:
            path.retire(now)
        if direct.producer is None and direct.retiring is None:
            path.reopen(now)
        path.note_open()
        self._account(now)

    @property
    def mode(self) -> Mode:
        """`direct` with an empty store, `spooling` without a direct producer, else `partly`."""
        if self._direct.producer is None:
            return "spooling"
        return "partly" if self._store.waiting else "direct"

    def durable_at(self) -> float:
        """Monotonic time up to which all records handed in are in Kafka or on disk (I9)."""
        return self._durable_at

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why records wait, and what to do about it."""
        found = reasons(
            self._keeper.problems,
            self._path.waiting(),
            self.losses,
            kept_out="" if self._direct.producer is not None else self._direct.reason,
        )
        refused = sorted(set(self._store.refusing) - {self._settings.topic})
        lost = (f"the spool takes no more records of {topic}: they are lost" for topic in refused)
        return (*found, *lost, *self._keeper.reasons(self._clock()))

    @property
    def losses(self) -> tuple[Lost, ...]:
        """Losses of damaged spools without a filed gap."""
        return self._keeper.losses

    def settle(self, lost: Lost) -> None:
        """Note that a gap is filed for this loss."""
        self._keeper.settle(lost)

    @property
    def refusing_since(self) -> float | None:
        """Since when the spool takes no more interactions, None while it does."""
        return self._store.refusing_since

    @property
    def interactions_lost(self) -> int:
        """The number of interactions that the spool did not take."""
        return self._store.interactions_lost

    @property
    def pending(self) -> int:
        """The number of records that are neither acknowledged nor on disk."""
        return self._direct.under_way + self._store.unsaved + self._path.pauses.count

    @property
    def tick_seconds(self) -> float:
        """Seconds from one tick to the next."""
        direct = self._direct
        if direct.producer is None:
            is_moving = direct.retiring is not None or self._keeper.is_moving
            return MOVING_TICK_SECONDS if is_moving else IDLE_TICK_SECONDS
        if self._path.pauses:
            return MOVING_TICK_SECONDS
        return BUSY_TICK_SECONDS if len(direct.producer) else IDLE_TICK_SECONDS

    def stop(self, seconds: float) -> None:
        """Deliver the records within `seconds`; the rest goes to disk. The last call."""
        started = self._clock()
        moved_at, progress = started, (-1, -1)
        while (now := self._clock()) < started + seconds:
            self._turn(now)
            if not self.pending and not self._store.waiting:
                break
            moved = (self._counters.delivered, self._keeper.delivered)
            if moved != progress:
                moved_at, progress = now, moved
            elif not self.pending and now - moved_at > LAST_LOOK_SECONDS:
                break  # the rest is in the store and waits for Kafka
            time.sleep(WAIT_SECONDS)
        if self._direct.producer is not None:
            self._path.set_aside("stopping", self._clock())
        deadline = self._clock() + TAKE_BACK_SECONDS
        while self._direct.retiring is not None and (now := self._clock()) < deadline:
            self._path.retire(now, hurry=True)
            time.sleep(RETIRE_SECONDS)  # else the spool's thread and the reports' starve
        self._keeper.stop(LAST_WRITE_SECONDS)
        self._account(self._clock())

    def _account(self, now: float) -> None:
        counters = self._counters
        with self._store.lock:
            unsaved, stored, lost = self._store.balance()
            written = self._keeper.written
        counters.produced = self._path.sequence + written
        durable = counters.produced - self._direct.under_way - unsaved - self._path.pauses.count
        # Inherited records are in the spool but not in this count, which must not fall.
        counters.delivered = max(counters.delivered, durable - stored - lost)
        if self._direct.retiring is not None or self._path.pauses:
            return
        stored_at = self._store.durable_at if unsaved else now
        if stored_at >= self._path.released_at:  # all records taken back are on disk
            durable_at = min(stored_at, self._direct.durable_at(now))
            self._durable_at = max(self._durable_at, durable_at)
