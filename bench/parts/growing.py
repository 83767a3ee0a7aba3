"""Reads a topic that grows, each time from where the last reading ended. Memory holds a batch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from mirror.base.errors import KafkaUnavailable
from mirror.conversation.event import Event
from mirror.kafka.consume import open_reader, take
from mirror.kafka.record import UndecodableRecord, read_event
from mirror.settings import Settings

BATCH_RECORDS: Final = 5_000
POLL_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 60.0
STUCK_SECONDS: Final = 300.0  # without any record, though there are more


class GrowingTopic:
    """The interaction topic of a mirror."""

    def __init__(self, settings: Settings) -> None:
        self.unreadable = 0  # records that hold no event
        self._settings = settings
        self._consumer: Consumer | None = None
        self._next: dict[int, int] = {}

    def read(self) -> Iterator[list[Event]]:
        """Batches of events up to what is the end of each partition now.

        Raises `KafkaUnavailable` where no broker answers, or none gives records for long.
        """
        topic = self._settings.topic
        if self._consumer is None:
            self._consumer, partitions = open_reader(self._settings, topic, "outage")
            self._next = dict.fromkeys(partitions, OFFSET_BEGINNING)
        consumer, ends = self._consumer, self._ends(self._consumer)
        consumer.assign([TopicPartition(topic, number, self._next[number]) for number in ends])
        moved_at = time.monotonic()
        while ends:
            messages = take(consumer, BATCH_RECORDS, POLL_SECONDS)
            if messages:
                moved_at = time.monotonic()
                yield list(self._events(messages))
            elif time.monotonic() - moved_at > STUCK_SECONDS:
                raise KafkaUnavailable(f"{topic} gave nothing for {STUCK_SECONDS:.0f} s")
            # What a transaction left behind at the end is no message: ask where we are.
            for place in consumer.position([TopicPartition(topic, number) for number in ends]):
                if place.offset >= 0:
                    self._next[place.partition] = place.offset
                if place.offset >= ends[place.partition]:
                    del ends[place.partition]
        consumer.unassign()

    def _ends(self, consumer: Consumer) -> dict[int, int]:
        """The ends of the partitions that have more than was read."""
        topic, ends = self._settings.topic, {}
        for number, start in self._next.items():
            place = TopicPartition(topic, number)
            try:
                low, high = consumer.get_watermark_offsets(place, timeout=ANSWER_SECONDS)
            except KafkaException as error:
                raise KafkaUnavailable(f"{topic}/{number} tells no offsets: {error}") from error
            if high > max(low, start):
                ends[number] = high
        return ends

    def _events(self, messages: Iterable[Message]) -> Iterator[Event]:
        for message in messages:
            if message.error() is not None:
                continue
            try:
                yield read_event(message.value())
            except UndecodableRecord:
                self.unreadable += 1

    def close(self) -> None:
        """Let go of the consumer."""
        if self._consumer is not None:
            self._consumer.close()
