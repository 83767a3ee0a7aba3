"""The thread that reads the earlier part of today once, for the figures of the day.

The reader begins some way from the end of the topic, or where the projector's conversations end.
This thread reads from the beginning of the day to the place where the reader began. A partition
without a leader, one that the reader does not read yet, or one that comes to a standstill is read
later. The thread fills `dashboard.reader.today` and the courses of conversations on the floor. If
Kafka no longer has the beginning of the day, `counts_from_ms` says since when it has all events.
"""

from __future__ import annotations

import threading
import time
from typing import Final

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from dashboard.reader.reader import Reader, find_leaderless, wall_ms
from mirror.base.errors import MirrorError
from mirror.base.log import logger
from mirror.base.thread_watch import ReportProgress, unwatched
from mirror.kafka.consume import open_reader, take
from mirror.kafka.record import UndecodableRecord, read_event
from mirror.settings import Settings

# Read this much before the day too: a wait may go over midnight.
LEAD_MS: Final = 2 * 3_600_000
BATCH: Final = 200
RETRY_SECONDS: Final = 5.0
STANDSTILL_SECONDS: Final = 10.0  # without a record, the partitions that are left are read later
_LOOK_SECONDS: Final = 0.2
_POLL_SECONDS: Final = 0.5
_ANSWER_SECONDS: Final = 5.0
# A pause between batches, so that the page stays quick while the past is read.
_BREATH_SECONDS: Final = 0.002


class Past:
    """Reads the day's beginning into `reader.today`. `run` is the body of a thread."""

    def __init__(
        self, settings: Settings, reader: Reader, report_progress: ReportProgress = unwatched
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._report_progress = report_progress
        self._log = logger("dashboard.past")
        self._done: set[int] = set()  # partitions whose past was read

    def run(self, stop: threading.Event) -> None:
        """Read each partition once the reader has opened, until `stop` is set."""
        while not stop.wait(_LOOK_SECONDS):
            self._report_progress()
            is_open = self._reader.opening is None
            if not is_open or self._reader.beginnings.keys() <= self._done:
                continue
            try:
                whole = self._read(stop)
            except (MirrorError, KafkaException) as error:
                self._log.warning("past_interrupted", error=str(error))
                whole = False
            if not whole:
                stop.wait(RETRY_SECONDS)

    def _read(self, stop: threading.Event) -> bool:
        """Read the partitions that have a leader. Whether all are read."""
        consumer, partitions = open_reader(self._settings, self._settings.topic, "dashboard-past")
        try:
            day_ms = self._reader.today.day_ms
            leaderless = find_leaderless(consumer, self._settings.topic)
            ends = dict(self._reader.beginnings)
            undone = ends.keys() - self._done
            wanted = sorted(undone.intersection(partitions) - leaderless)
            if not wanted:
                return False
            left, cut = self._stretches(consumer, wanted, ends, day_ms - LEAD_MS)
            began, events = time.monotonic(), 0
            moved_at, moved = began, (0, 0)
            first: dict[int, int] = {}
            consumer.assign(
                [TopicPartition(self._settings.topic, *start) for start in left.items()]
            )
            while left and not stop.is_set():
                self._report_progress()
                messages = take(consumer, BATCH, _POLL_SECONDS)
                now_ms = wall_ms()
                with self._reader.lock:
                    for message in messages:
                        at, offset = message.partition(), message.offset()
                        if message.error() is not None or at is None or offset is None:
                            continue
                        first.setdefault(at, message.timestamp()[1])
                        if at in left and offset < ends[at]:
                            events += 1
                            self._note(message.value(), now_ms)
                for place in consumer.position(
                    [TopicPartition(self._settings.topic, partition) for partition in left]
                ):
                    if place.offset >= ends[place.partition]:
                        del left[place.partition]
                now = time.monotonic()
                if (events, len(left)) != moved:
                    moved_at, moved = now, (events, len(left))
                elif now - moved_at > STANDSTILL_SECONDS:
                    break  # the others may have lost their leader
                stop.wait(_BREATH_SECONDS)
            read = set(wanted) - left.keys()
            if stop.is_set() or not read:
                return False
            self._done |= read
            with self._reader.lock:
                known_from = [first[at] for at in cut if at in first and at in read]
                feed = self._reader.feed
                feed.counts_from_ms = max([day_ms, feed.counts_from_ms, *known_from])
            self._log.info("past_read", events=events, seconds=round(time.monotonic() - began, 1))
            return undone == read
        finally:
            consumer.close()

    def _stretches(
        self, consumer: Consumer, partitions: list[int], ends: dict[int, int], since_ms: int
    ) -> tuple[dict[int, int], list[int]]:
        """Where to begin in each of `partitions` that has a past, and those whose past is cut
        off."""
        topic = self._settings.topic
        wanted = [TopicPartition(topic, partition, since_ms) for partition in partitions]
        left: dict[int, int] = {}
        cut: list[int] = []
        for place in consumer.offsets_for_times(wanted, timeout=_ANSWER_SECONDS):
            self._report_progress()
            topic_partition = TopicPartition(topic, place.partition)
            low, _ = consumer.get_watermark_offsets(topic_partition, timeout=_ANSWER_SECONDS)
            if 0 <= place.offset < ends[place.partition]:
                left[place.partition] = place.offset
                if 0 < low == place.offset:
                    cut.append(place.partition)
        return left, cut

    def _note(self, value: bytes | None, now_ms: int) -> None:
        try:
            event = read_event(value)
            self._reader.today.note(event, now_ms)
            self._reader.floor.recall(event, now_ms)
        except (UndecodableRecord, msgspec.DecodeError, ValueError):
            self._reader.unreadable += 1
