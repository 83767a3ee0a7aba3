"""The records of one partition → once records, views and tombstones. Pure.

A `Partition` holds the conversations of one partition between batches. A batch is a `Draft` over
it. The draft takes records in their order. Its output is written in one transaction together with
the offset behind the records. After the commit, the partition accepts the draft. A dropped draft
leaves no trace.

The clock of a partition is the time of its records, and wall time once its end was reached. So when
days of records are read again, copies of an event come before its conversation is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

import msgspec

from mirror.conversation.fold import COUNT_AGAIN
from mirror.kafka.kept import read_head
from mirror.kafka.record import UndecodableRecord, read_event
from projector.memory import BOUNDS, Conversation, knows, raw_id, tombstone

# A transaction of tombstones stays small; the remaining ones follow in the next transaction.
MOST_TOMBSTONES: Final = 2_000


class ViewRecord(msgspec.Struct, frozen=True, gc=False):
    """A record for the topic of conversations: `value` is null in a tombstone."""

    key: str
    value: bytes | None
    kept: bytes


class Partition:
    """The conversations of one partition, as kept bytes by id."""

    def __init__(self, number: int, grace_ms: int) -> None:
        """`grace_ms` is how long an ended conversation is kept."""
        self.number = number
        self.following = 0  # offset of the next record of the interaction topic
        self.clock_ms = 0
        self.kept: dict[str, bytes] = {}
        self.grace_ms = grace_ms
        self._ended: OrderedDict[str, int] = OrderedDict()  # id → end time, earliest first

    def restore(self, key: str, kept: bytes, *, is_tombstone: bool) -> None:
        """Take a record of the topic of conversations, in the order of its partition.

        Raises `UnknownFormat`.
        """
        head = read_head(kept)
        self.following = max(self.following, head.offset + 1)
        self._put(key, None if is_tombstone else kept, head.ended_ms)

    def accept(self, draft: Draft) -> None:
        """Take over the outcome of `draft`, which was written."""
        for key, kept, ended_ms in draft.outcome:
            self._put(key, kept, ended_ms)
        self.following, self.clock_ms = draft.following, draft.clock_ms

    def due(self, clock_ms: int) -> Iterator[str]:
        """The conversations whose grace is over, earliest end first."""
        for key, ended_ms in self._ended.items():
            if ended_ms + self.grace_ms <= clock_ms:
                yield key
            elif ended_ms <= clock_ms + self.grace_ms:
                return
            # Others ended while the clock was far ahead: they do not hold up those behind them.

    def _put(self, key: str, kept: bytes | None, ended_ms: int | None) -> None:
        self._ended.pop(key, None)
        if kept is None:
            self.kept.pop(key, None)
            return
        self.kept[key] = kept
        if ended_ms is not None:
            self._ended[key] = ended_ms


class Draft:
    """What a batch of records makes of a partition, until it is accepted or dropped."""

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.following = partition.following
        self.clock_ms = partition.clock_ms
        self.events = self.repeats = self.unreadable = 0
        self.outcome: list[tuple[str, bytes | None, int | None]] = []
        self.shortened: set[str] = set()  # conversations whose view was shortened
        self.refused: list[str] = []  # conversations with records that were left out
        self._touched: dict[str, Conversation] = {}
        self._bounds: dict[str, int] = {}  # id → how many of `BOUNDS` have been tried
        self._changed: dict[str, int] = {}  # id → offset of the last record that changed it

    def take(self, offset: int, value: bytes | None, timestamp_ms: int) -> bool:
        """Take the record at `offset`. Returns whether it is the first record of its event."""
        self.following = offset + 1
        self.clock_ms = max(self.clock_ms, timestamp_ms)
        try:
            event = read_event(value)
            raw = raw_id(event.event_id)
        except (UndecodableRecord, ValueError):
            self.unreadable += 1
            return False
        key = event.conversation_id
        conversation = self._touched.get(key)
        if conversation is None:
            kept = self.partition.kept.get(key)
            if kept is None:
                conversation = Conversation(key)
            elif event.event_type not in COUNT_AGAIN and knows(kept, raw):
                self.repeats += 1
                return False
            else:
                conversation = Conversation.of(kept)
            self._touched[key] = conversation
        is_first, has_changed = conversation.take(event, raw)
        if has_changed:
            self._changed[key] = offset
        if is_first:
            self.events += 1
        else:
            self.repeats += 1
        return is_first

    def views(self, wall_ms: int | None = None) -> Iterator[ViewRecord]:
        """The records for the topic of conversations. Call it once, at the end.

        `wall_ms` is wall time if the end of the partition was reached, else None.
        """
        if wall_ms is not None:
            self.clock_ms = wall_ms  # also back, if it was ahead for a while
        for key, offset in self._changed.items():
            conversation = self._touched[key]
            ended_ms = self.clock_ms if conversation.view.state == "ended" else None
            kept = conversation.keep(offset, ended_ms)
            self.outcome.append((key, kept, ended_ms))
            yield ViewRecord(key, _encoder.encode(conversation.published()), kept)
        gone = tombstone(self.following - 1)
        for key in list(self._leaving()):
            self.outcome.append((key, None, None))
            yield ViewRecord(key, None, gone)

    def shorten(self, key: str) -> ViewRecord | None:
        """A smaller view of a conversation, after Kafka refused its last one. None: it is left out.

        The kept state is shortened in the same way. A refused tombstone is left out at once.
        """
        offset = self._changed.get(key)
        if offset is not None:
            conversation = self._touched[key]
            place = next(n for n, found in enumerate(self.outcome) if found[0] == key)
            _, before, ended_ms = self.outcome[place]
            for number in range(self._bounds.get(key, 0), len(BOUNDS)):
                self._bounds[key] = number + 1
                conversation.shorten(BOUNDS[number])
                kept = conversation.keep(offset, ended_ms)
                if len(kept) < len(before or b""):
                    self.outcome[place] = (key, kept, ended_ms)
                    self.shortened.add(key)
                    return ViewRecord(key, _encoder.encode(conversation.published()), kept)
        self.shortened.discard(key)
        self.refused.append(key)
        return None

    def leave_out(self, key: bytes | str | None) -> None:
        """Note that Kafka refuses the once record of an event of this conversation."""
        text = key.decode(errors="replace") if isinstance(key, bytes) else key or ""
        self.refused.append(text)

    def _leaving(self) -> Iterator[str]:
        count = 0
        for key in self.partition.due(self.clock_ms):
            if key in self._changed:
                continue
            yield key
            count += 1
            if count >= MOST_TOMBSTONES:
                return


_encoder: Final = msgspec.json.Encoder()
