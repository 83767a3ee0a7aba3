"""Reads the conversations that `mirror projector` keeps, once, when a dashboard opens.

The topic of conversations holds a record of each conversation. The record's header has the
projector's state: all legs as the fold knows them, the ids of the events, and the offset of the
last record of the interaction topic that it counts. A transaction writes a whole batch. So the
committed records of a partition count every record up to the highest of these offsets, and no later
record. The live reader goes on there, and no event is missing or folded twice
(docs/decisions/0011).

`read_views` asks Kafka; `view_of` is pure. If the conversations cannot be used, both raise
`ViewsUnusable` with the reason, and the dashboard folds the stream instead.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from dashboard.reader.timeline import Mark
from mirror.conversation.fold import ConversationView
from mirror.conversation.times import epoch_ms
from mirror.kafka.client import ClientLog, open_client
from mirror.kafka.config import committed_reader_config
from mirror.kafka.kept import ID_BYTES, KeptLeg, UnknownFormat, kept_of, read_head, read_kept
from mirror.kafka.partition import leaderless
from mirror.settings import Settings

BATCH: Final = 5_000
READ_SECONDS: Final = 0.05
# After this time, folding the end of the stream is quicker.
WHOLE_WITHIN_SECONDS: Final = 30.0
MOST_ENDED: Final = 1_000_000
_ANSWER_SECONDS: Final = 5.0

_OF_CONVERSATION: Final = -1
_RINGING: Final = {"alerting": "alert", "dialing": "dial", "contacting": "dial"}


class ViewsUnusable(Exception):
    """The dashboard cannot open from the topic of conversations. The text says why."""


class Opened(msgspec.Struct):
    """The topic from which the floor was opened, empty before. `reason` says why it was not the
    topic of conversations. `seconds` is how long it took.
    """

    topic: str = ""
    reason: str = ""
    seconds: float = 0.0


class Views(msgspec.Struct):
    """The kept conversations: `kept` by id, without those that ended before `over_since_ms`.

    `following` is the offset behind the last counted record of the interaction topic, for each
    partition that has a view. `ended` has hashes of the ids of ended conversations that are not in
    `kept`.
    """

    over_since_ms: int
    kept: dict[str, bytes] = msgspec.field(default_factory=dict)
    following: dict[int, int] = msgspec.field(default_factory=dict)
    ended: set[int] = msgspec.field(default_factory=set)
    records: int = 0

    def take(self, partition: int, key: str, kept: bytes, *, is_tombstone: bool) -> None:
        """Take a record, in the order of its partition.

        Raises `ViewsUnusable` if an unknown version wrote it.
        """
        try:
            head = read_head(kept)
        except UnknownFormat as error:
            raise ViewsUnusable(str(error)) from error
        self.records += 1
        self.following[partition] = max(self.following.get(partition, 0), head.offset + 1)
        is_over = head.ended_ms is not None and head.ended_ms < self.over_since_ms
        if not is_tombstone and not is_over:
            self.kept[key] = kept
            self.ended.discard(hash(key))
            return
        self.kept.pop(key, None)
        if len(self.ended) < MOST_ENDED:
            self.ended.add(hash(key))

    def split(self, most_over: int) -> tuple[list[bytes], list[bytes]]:
        """The active conversations, and the `most_over` latest ended ones in the order of their
        ends.
        """
        alive: list[bytes] = []
        over: list[tuple[int, bytes]] = []
        for kept in self.kept.values():
            ended_ms = read_head(kept).ended_ms
            if ended_ms is None:
                alive.append(kept)
            else:
                over.append((ended_ms, kept))
        return alive, [kept for _, kept in sorted(over)[-most_over:]]

    def places(self, retained: dict[int, tuple[int, int]], most: int) -> dict[int, int]:
        """Partition → offset at which the live reader goes on.

        `retained` has the first offset of each partition, and the offset behind its last record.
        `most` is how many records may be left to fold. Raises `ViewsUnusable`.
        """
        if not self.records:
            raise ViewsUnusable("no projector had written conversations yet")
        places: dict[int, int] = {}
        left = 0
        for partition, (low, high) in retained.items():
            following = self.following.get(partition, 0)
            if following > high:
                raise ViewsUnusable("the conversations are of another interaction topic")
            places[partition] = max(low, following)
            left += high - places[partition]
        if left > most:
            raise ViewsUnusable(f"the projector was {left:,} records behind")
        return places


def read_views(
    settings: Settings, partitions: Iterable[int], over_since_ms: int, turn: Callable[[], bool]
) -> Views:
    """All committed records of the topic of conversations.

    `partitions` are those of the interaction topic. `turn` is called again and again, and ends the
    reading if it returns False. Raises `ViewsUnusable`, and `KafkaException` if no broker answers.
    """
    topic, wanted = settings.conversations_topic, set(partitions)
    config = {
        **committed_reader_config(settings, "dashboard"),
        "enable.partition.eof": "true",
        "check.crcs": "false",
    }
    consumer: Any = open_client(Consumer, config, ClientLog("kafka.dashboard_views"))
    try:
        found = consumer.list_topics(topic, timeout=_ANSWER_SECONDS).topics[topic]
        if found.error is not None:
            _refuse(found.error, topic)
            raise ViewsUnusable(f"Kafka has no topic {topic}")
        if set(found.partitions) != wanted:
            raise ViewsUnusable(f"{topic} and {settings.topic} do not have the same partitions")
        if without := leaderless(found.partitions):
            raise ViewsUnusable(f"partition {min(without)} of {topic} has no leader")
        consumer.assign(
            [TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in wanted]
        )
        return _read(consumer, wanted, Views(over_since_ms), turn)
    finally:
        consumer.close()


def _read(consumer: Any, left: set[int], views: Views, turn: Callable[[], bool]) -> Views:
    """Read up to the end of committed records. The live reader folds the records behind it."""
    deadline = time.monotonic() + WHOLE_WITHIN_SECONDS
    while left:
        if time.monotonic() > deadline:
            raise ViewsUnusable(f"not read to the end in {WHOLE_WITHIN_SECONDS:.0f} s")
        if not turn():
            raise ViewsUnusable("the dashboard is ending")
        for message in consumer.consume(BATCH, timeout=READ_SECONDS):
            partition, error = message.partition(), message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    left.discard(partition)
                    continue
                _refuse(error, message.topic())
                if error.fatal() or not error.retriable():
                    raise KafkaException(error)
            elif partition in left:
                kept, is_tombstone = kept_of(message.headers()), message.value() is None
                views.take(partition, message.key().decode(), kept, is_tombstone=is_tombstone)
    return views


def _refuse(error: KafkaError, topic: str) -> None:
    """Raise `ViewsUnusable` if a right is missing."""
    if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        raise ViewsUnusable(f"the Kafka user may not read {topic}")


@contextmanager
def uncollected() -> Iterator[None]:
    """Turn garbage collection off: the reading makes no garbage, and collecting takes half of the
    time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Restored(msgspec.Struct):
    """A conversation for the floor. `first_seen` has an entry for each leg (epoch milliseconds).
    `ended_ms` is when the conversation ended, None if it is active.
    """

    view: ConversationView
    first_seen: list[int]
    marks: list[Mark]
    ended_ms: int | None


def view_of(kept: bytes, now_ms: int) -> Restored:
    """A kept conversation as a view of the fold, with its marks.

    The projector does not keep earlier holds or ringing times, so there are only present marks.
    Raises `ViewsUnusable`.
    """
    try:
        stored = read_kept(kept)
    except UnknownFormat as error:
        raise ViewsUnusable(str(error)) from error
    view = stored.view()
    view.seen = {stored.ids[at : at + ID_BYTES].hex() for at in range(0, len(stored.ids), ID_BYTES)}
    marks: list[Mark] = []
    first_seen: list[int] = []
    began_ms = epoch_ms(stored.started_at) if stored.started_at else now_ms
    if stored.started_at:
        marks.append(Mark(began_ms, "start", _OF_CONVERSATION))
    for number, leg in enumerate(stored.legs):  # long threads have gaps in their numbers
        leg.number = number
        course = _course(leg)
        marks += course
        first_seen.append(min((mark.at_ms for mark in course), default=began_ms))
    if stored.over_at and not stored.is_active:
        kind = "finalize" if stored.finalized else "end"
        marks.append(Mark(epoch_ms(stored.over_at), kind, _OF_CONVERSATION))
    return Restored(view, first_seen, marks, stored.ended_ms)


def _course(leg: KeptLeg) -> list[Mark]:
    times = {
        "answer": leg.answered_at,
        "hold": leg.hold_started_at,
        "park": leg.parked_at,
        "disconnect": leg.ended_at,
        "acw": leg.acw_started_at,
        "acw_end": leg.acw_ended_at,
    }
    if leg.state in _RINGING:
        times[_RINGING[leg.state]] = leg.since
    elif leg.since and not any(times.values()):
        times["answer"] = leg.since
    return [Mark(epoch_ms(at), kind, leg.number) for kind, at in times.items() if at]
