"""Partitions, and what becomes of records in them, without Kafka."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from mirror.conversation.event import Event
from mirror.conversation.published import PublishedView
from projector.projection import Draft, Partition, ViewRecord

GRACE_MS = 24 * 3_600_000

encode = msgspec.json.encode
read_view = msgspec.json.Decoder(PublishedView).decode


class Outcome:
    """One partition of the three topics: what a projector reads and writes."""

    def __init__(self) -> None:
        self.partition = Partition(0, GRACE_MS)
        self.once: list[Event] = []
        self.log: list[ViewRecord] = []  # the topic of conversations, before compaction
        self.clock_ms = 0

    @property
    def views(self) -> dict[str, PublishedView]:
        """What a consumer of the topic of conversations has."""
        found: dict[str, PublishedView] = {}
        for record in self.log:
            if record.value is None:
                found.pop(record.key, None)
            else:
                found[record.key] = read_view(record.value)
        return found

    def feed(self, events: Iterable[Event], *, batch: int = 10_000, ends: bool = False) -> None:
        """Have events projected, in batches; with `ends` the end of the partition is reached."""
        waiting = list(events)
        while waiting or ends:
            self.project(waiting[:batch], ends=ends and len(waiting) <= batch)
            waiting = waiting[batch:]
            if not waiting:
                return

    def project(self, events: Sequence[Event], *, ends: bool = False) -> None:
        """One batch that is committed."""
        draft, once, log = self.draft(events, ends=ends)
        self.once += once
        self.log += log
        self.partition.accept(draft)

    def draft(
        self, events: Sequence[Event], *, ends: bool = False
    ) -> tuple[Draft, list[Event], list[ViewRecord]]:
        """One batch that is yet to be committed."""
        draft = Draft(self.partition)
        first = self.partition.following
        once = [
            event
            for offset, event in enumerate(events, first)
            if draft.take(offset, encode(event), self.clock_ms)
        ]
        return draft, once, list(draft.views(self.clock_ms if ends else None))

    def restart(self) -> None:
        """Another projector takes over, from what is in Kafka."""
        fresh = Partition(0, GRACE_MS)
        for record in self.log:
            fresh.restore(record.key, record.kept, is_tombstone=record.value is None)
        fresh.following = max(fresh.following, self.partition.following)
        self.partition = fresh
