"""Gives records to Kafka in order, and to the spool what Kafka cannot take now.

    a lane       with nothing in the store: its records go straight to librdkafka
                 with anything in the store: they go there too, and the spool's thread sends them

A lane is a partition of a topic (`listeners.publish.lanes`). Only what one lane has waiting holds
up what is newer in it: topics and partitions do not wait for each other.

    direct ──(a lane stands still, a report failed, queue full)──▶ retiring ──▶ spooling ──▶ direct

Every record has a sequence number. When a lane fails, the direct producer is retired
(`listeners.publish.direct`): what it cannot deliver is taken back and stored under its numbers, so
that no record overtakes an older one of its conversation. The drain sends it on with a producer of
its own; as soon as Kafka takes any of it there is a direct producer again, for all lanes that have
nothing in the store. What may have reached Kafka unacknowledged is sent again; consumers drop
repeated ids.

Success is not reported record by record on the direct way: librdkafka's statistics tell how far
each lane is. A record that Kafka refuses for good becomes a dead letter.

All methods belong to one thread, and none but `stop` waits: what there is much of is taken in
slices, and all that asks a disk is the spool's thread's (`listeners.publish.keeper`).
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
from mirror.kafka.record import (
    AgentRecorder,
    Header,
    Recorder,
)
from mirror.settings import Settings

LAST_LOOK_SECONDS: Final = (
    1.0  # while stopping: without any progress for so long there will be none
)
TAKE_BACK_SECONDS: Final = 4.0
LAST_WRITE_SECONDS: Final = 4.0
WAIT_SECONDS: Final = 0.01

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

        `partitions`: topic → over how many its keys go (`mirror.fleet.pinned`), as far as that is
        known; of other topics what statistics tell first.
        Raises `SpoolError` where the spool folder cannot be used.
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

        Where agents are not asked for, a channel taken over may show them all the same. They are
        passed over: their Kafka topic need not exist.
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
        """Take what could not be read; `size` is the full size where `value` was cut."""
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

    # -- the clockwork ---------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Call often: serves delivery reports, notices what stands still, opens the way again.

        Raises what ended the spool's thread.
        """
        self._keeper.check()
        self._turn(now)

    def _turn(self, now: float) -> None:
        direct, path = self._direct, self._path
        if direct.producer is not None:
            direct.producer.poll(0)
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
        """Monotonic time up to which all that was handed in is in Kafka or on disk (I9)."""
        return self._durable_at

    @property
    def reasons(self) -> tuple[str, ...]:
        """What waits, why, and what to do about it."""
        found = reasons(
            self._keeper.problems,
            self._path.waiting(),
            self.losses,
            kept_out="" if self._direct.producer is not None else self._direct.reason,
        )
        return (*found, *self._keeper.reasons(self._clock()))

    @property
    def losses(self) -> tuple[Lost, ...]:
        """What damaged spools lost, as far as no gap is filed for it."""
        return self._keeper.losses

    def settle(self, lost: Lost) -> None:
        """A gap is filed for this loss."""
        self._keeper.settle(lost)

    @property
    def refusing_since(self) -> float | None:
        """Since when the spool takes nothing more, null while it does."""
        return self._store.refusing_since

    @property
    def pending(self) -> int:
        """Records that are neither acknowledged nor on disk."""
        return self._direct.under_way + self._store.unsaved + self._path.pauses.count

    @property
    def is_busy(self) -> bool:
        """Whether there is work for the next tick."""
        direct = self._direct
        return direct.under_way > 0 or (direct.producer is None and self._keeper.is_moving)

    def stop(self, seconds: float) -> None:
        """Deliver what there is within `seconds`; the rest goes to disk. The last call."""
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
                break  # what is left waits for a Kafka that is away, and is in the store
            time.sleep(WAIT_SECONDS)
        if self._direct.producer is not None:
            self._path.set_aside("stopping", self._clock())
        deadline = self._clock() + TAKE_BACK_SECONDS
        while self._direct.retiring is not None and (now := self._clock()) < deadline:
            self._path.retire(now, hurry=True)
        self._keeper.stop(LAST_WRITE_SECONDS)
        self._account(self._clock())

    def _account(self, now: float) -> None:
        counters = self._counters
        with self._store.lock:
            unsaved, stored, lost = self._store.balance()
            written = self._keeper.written
        counters.produced = self._path.sequence + written
        durable = counters.produced - self._direct.under_way - unsaved - self._path.pauses.count
        # What was inherited is in the spool but not of this count: it must not seem to fall.
        counters.delivered = max(counters.delivered, durable - stored - lost)
        if self._direct.retiring is not None or self._path.pauses:
            return
        stored_at = self._store.durable_at if unsaved else now
        if stored_at >= self._path.released_at:  # what was taken back is on disk
            durable_at = min(stored_at, self._direct.durable_at(now))
            self._durable_at = max(self._durable_at, durable_at)
