"""Reads the interaction topic as a member of a consumer group, projects the records, and writes.

Each batch is one transaction. `projector.share` says which partitions this process reads, and from
which offsets. A partition that cannot be written must not stop the others. So after an abort, the
next batches are written partition by partition, and a partition that fails alone is left out for a
while.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from mirror.base.errors import MirrorError
from mirror.base.log import logger
from mirror.base.thread_watch import ReportProgress, unwatched
from mirror.kafka.client import ClientLog, open_client
from mirror.kafka.config import committed_reader_config
from mirror.kafka.kept import KEPT_HEADER
from mirror.kafka.limits import record_limit
from mirror.kafka.projected import PARTITIONS_HEADER, group_name
from mirror.settings import Settings
from projector.projection import Draft, ViewRecord
from projector.share import Share
from projector.writer import Aborted, Out, Writer

BATCH: Final = 5_000
POLL_SECONDS: Final = 0.2
# How long a batch waits for more records after its first one. Even a small transaction costs some
# ten milliseconds.
GATHER_SECONDS: Final = 0.02
# The interval between two searches for conversations whose grace is over.
SWEEP_SECONDS: Final = 1.0
# The number of batches that are written partition by partition after an abort.
CAREFUL_BATCHES: Final = 5
SESSION_TIMEOUT_MS: Final = 10_000
# librdkafka tells the refusal of a partition only once. After this time it is asked again.
ASK_AGAIN_SECONDS: Final = 60.0
# The pause between two attempts to make a consumer.
OPEN_SECONDS: Final = 1.0

# How many conversations with refused records are logged by id.
MOST_TOLD: Final = 1_000

_OF_A_PARTITION: Final = frozenset(
    {KafkaError._PARTITION_EOF, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET}
)

Header = tuple[str, Any]


class Loop:
    """Projects until `stop` of `run` is set. `run` closes everything that it opens.

    The counters may be read from other threads at any time.
    """

    def __init__(
        self,
        settings: Settings,
        transactional_id: str,
        *,
        partitions: int,
        held: Callable[[], str] = str,
        header: Header | None = None,
        report_progress: ReportProgress = unwatched,
        make_writer: Callable[[Settings, str], Writer] = Writer,
    ) -> None:
        """`partitions` is the number of partitions of each topic. `held` returns the reason why
        nothing may be projected now, or an empty string. `header` names the schema of views
        (`mirror.kafka.registry`).
        """
        self.events = self.repeats = self.unreadable = self.views = self.tombstones = 0
        self.transactions = self.aborted = self.fenced = 0
        self.shortened = self.refused = 0  # shortened views, records refused for good
        self.problem = ""  # why the last transaction was aborted
        self.share = Share(settings, self._accept, partitions)
        self._settings = settings
        self._held = held
        self._report_progress = report_progress
        self._log = logger("projector")
        self._writer = make_writer(settings, transactional_id)
        self._limit = record_limit(settings)
        self._told: set[tuple[str, str]] = set()  # logged: (kind, conversation)
        self._careful = 0
        self._sweep_at = 0.0
        self._refused: dict[int, str] = {}  # partitions that Kafka does not let us read → why
        self._ask_at = 0.0
        self._headers = [
            ("content-type", b"application/json"),
            *([header] if header else ()),
            (PARTITIONS_HEADER, str(partitions).encode()),
        ]

    def run(self, stop: threading.Event) -> None:
        """Project until `stop` is set. An outage of Kafka does not end it."""
        consumer, share = self._opened(stop), self.share
        if consumer is None:
            return
        try:
            consumer.subscribe(
                [self._settings.topic],
                on_assign=share.on_assign,
                on_revoke=share.on_revoke,
                on_lost=share.on_revoke,
            )
            while not stop.is_set():
                self._report_progress()
                self.step(consumer)
        finally:
            share.close()
            self._writer.close()
            consumer.close()

    def _opened(self, stop: threading.Event) -> Any:
        """The consumer, as soon as it can be made; None if `stop` is set before."""
        while not stop.is_set():
            self._report_progress()
            try:
                consumer = self._consumer()
            except MirrorError as error:
                if str(error) != self.problem:
                    self._log.warning("projector_waits", reason=str(error))
                self.problem = str(error)
            else:
                self.problem = ""
                return consumer
            stop.wait(OPEN_SECONDS)
        return None

    @property
    def unread(self) -> str:
        """Why own partitions cannot be read, empty if they can. Any thread may ask."""
        found = {n: why for n, why in dict(self._refused).items() if n in self.share.assigned}
        if not found:
            return ""
        numbers = ", ".join(map(str, sorted(found)))
        return f"partition {numbers} cannot be read: {found[min(found)]}"

    def step(self, consumer: Any) -> None:
        """One round: find offsets, restore conversations, read, project and write."""
        share, is_held = self.share, bool(self._held())
        if not is_held:
            share.advance(consumer)
            self._ask_again(consumer)
        batches = self._sorted(consumer, self._read(consumer))
        if is_held:
            if share.ready:
                share.renew(consumer, share.ready)
            return
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + SWEEP_SECONDS
            for number in share.due(round(time.time() * 1000)):
                batches.setdefault(number, [])
        self._project(consumer, batches)

    def _read(self, consumer: Any) -> list[Message]:
        messages: list[Message] = consumer.consume(
            1, timeout=0.0 if self.share.is_restoring else POLL_SECONDS
        )
        if messages:
            messages += consumer.consume(BATCH - 1, timeout=GATHER_SECONDS)
        return messages

    def _ask_again(self, consumer: Any) -> None:
        """Place refused partitions again, so that Kafka refuses them again or tells their end."""
        if self._refused and time.monotonic() >= self._ask_at:
            self._ask_at = time.monotonic() + ASK_AGAIN_SECONDS
            own = self.share.assigned
            self._refused = {n: why for n, why in self._refused.items() if n in own}
            if self._refused:
                self.share.renew(consumer, self._refused)

    def _sorted(self, consumer: Any, messages: Iterable[Any]) -> dict[int, list[Message]]:
        """Ready partition → its records among `messages`. Notes ends and errors of partitions."""
        share = self.share
        batches: dict[int, list[Message]] = {}
        for message in messages:
            number, error = message.partition(), message.error()
            if error is not None and error.code() not in _OF_A_PARTITION:
                self._log.warning("projector_kafka_error", code=error.name())
                if number >= 0:
                    self._refused[number] = error.str()
                    self._ask_at = time.monotonic() + ASK_AGAIN_SECONDS
                continue
            self._refused.pop(number, None)
            if number not in share.ready:
                continue
            if error is None:
                share.ends.discard(number)
                batches.setdefault(number, []).append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                share.ends.add(number)
            else:
                share.renew(consumer, {number})
        return {number: batch for number, batch in batches.items() if number in share.ready}

    def _project(self, consumer: Any, batches: dict[int, list[Message]]) -> None:
        share = self.share
        alone = [number for number in batches if self._careful or share.is_suspect(number)]
        together = {n: messages for n, messages in batches.items() if n not in alone}
        if together:
            self._write(consumer, together)
        self._careful = max(0, self._careful - bool(alone))
        for number in sorted(alone, key=share.is_suspect):  # suspects last
            self._report_progress()
            failed = self._write(consumer, {number: batches[number]})
            if failed is None:
                share.clear(number)
            elif not failed.is_everywhere:
                share.rest(number)

    def _write(self, consumer: Any, batches: dict[int, list[Message]]) -> Aborted | None:
        """Project and write some partitions in one transaction. Returns the error if it was
        aborted."""
        share, topic = self.share, self._settings.topic
        wall_ms = round(time.time() * 1000)
        drafts: list[Draft] = []
        records: list[Out] = []
        for number, messages in batches.items():
            draft = Draft(share.partition(number))
            records += self._once(draft, messages, wall_ms)
            records += self._views(draft, wall_ms if number in share.ends else None)
            drafts.append(draft)
        offsets = [
            TopicPartition(topic, draft.partition.number, draft.following) for draft in drafts
        ]
        try:
            self._writer.write(records, offsets, share.group)
        except Aborted as error:
            self._on_abort(consumer, drafts, error)
            return error
        self.transactions += 1
        self.problem = ""
        for draft in drafts:
            self._accept(draft)
        for number, messages in batches.items():
            if messages:
                share.read_ms[number] = messages[-1].timestamp()[1]
        return None

    def _once(self, draft: Draft, messages: Iterable[Any], wall_ms: int) -> Iterator[Out]:
        topic, number = self._settings.once_topic, draft.partition.number
        for message in messages:
            if message.offset() < draft.following:
                continue  # a repeat: a new assignment read the record again
            timestamp_ms = message.timestamp()[1]
            value = message.value()
            # A record with a time in the future must not end the grace of other conversations.
            if draft.take(message.offset(), value, min(timestamp_ms, wall_ms)):
                key, headers = message.key(), message.headers()
                leave_out = partial(draft.leave_out, key)
                yield Out(topic, number, key, value, headers, max(0, timestamp_ms), leave_out)

    def _views(self, draft: Draft, wall_ms: int | None) -> Iterator[Out]:
        for view in draft.views(wall_ms):
            record: Out | None = self._view(draft, view)
            # librdkafka does not count headers, and the broker would refuse the whole batch.
            while record is not None and record.value and record.size > self._limit:
                record = record.smaller()
            if record is not None:
                yield record

    def _view(self, draft: Draft, view: ViewRecord) -> Out:
        def smaller() -> Out | None:
            shortened = draft.shorten(view.key)
            return None if shortened is None else self._view(draft, shortened)

        topic, number = self._settings.conversations_topic, draft.partition.number
        headers = [*self._headers, (KEPT_HEADER, view.kept)]
        return Out(topic, number, view.key, view.value, headers, smaller=smaller)

    def _accept(self, draft: Draft) -> None:
        draft.partition.accept(draft)
        self.events += draft.events
        self.repeats += draft.repeats
        self.unreadable += draft.unreadable
        gone = sum(kept is None for _, kept, _ in draft.outcome)
        self.tombstones += gone
        self.views += len(draft.outcome) - gone
        self.shortened += len(draft.shortened)
        self.refused += len(draft.refused)
        number = draft.partition.number
        for key in self._untold("shortened", draft.shortened):
            self._log.warning("view_shortened", conversation=key, partition=number)
        for key in self._untold("refused", draft.refused):
            self._log.error("record_left_out", conversation=key, partition=number)

    def _untold(self, kind: str, keys: Iterable[str]) -> list[str]:
        """The conversations for which this kind was not logged yet. Their ids may be very long."""
        fresh = {(kind, key[:64]) for key in keys} - self._told
        if len(self._told) + len(fresh) > MOST_TOLD:
            return []
        self._told |= fresh
        return [key for _, key in sorted(fresh)]

    def _on_abort(self, consumer: Any, drafts: list[Draft], error: Aborted) -> None:
        self.aborted += 1
        self.fenced += error.is_fenced
        self.problem = f"a transaction was aborted: {error}"
        self._log.warning(
            "transaction_aborted", reason=str(error), fenced=error.is_fenced, partitions=len(drafts)
        )
        if error.is_doubtful:
            self.share.doubt(drafts)
        if not error.is_fenced and not error.is_everywhere:
            self._careful = CAREFUL_BATCHES
        self.share.renew(consumer, [draft.partition.number for draft in drafts], later=True)

    def _consumer(self) -> Any:
        settings = self._settings
        config = {
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": SESSION_TIMEOUT_MS // 4,
            **committed_reader_config(settings, "projector", group_name(settings)),
            "partition.assignment.strategy": "range",
            "auto.offset.reset": "error",
            "enable.partition.eof": "true",
            "check.crcs": "false",
        }
        return open_client(Consumer, config, ClientLog("projector.kafka"))
