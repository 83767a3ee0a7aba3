"""The consumer around the fold: its partitions, its offsets, and recovery when Redis loses data.

Offsets live in Redis beside the folded records, never in Kafka. So a partition is read from the
offset in Redis. If Redis has none (a new mirror, a flushed Redis), it is read from the beginning,
but from no further back than the longest age of verification and a day. That misses older
conversations that still go on, such as message threads of weeks. So once the partitions are folded
again, janitors ask Genesys for all unfinished conversations that began since `MIRROR_HORIZON`
(`mirror.fleet.backfill.file_recall`), and read those that the fold lacks.

A partition that is not caught up is marked `behind`, and janitors leave its conversations alone: a
conversation with an unread end is no zombie.

Several coordinators share the partitions as one classic consumer group. If two believe for a moment
that they own the same partition, nothing is written twice: the stored offset decides
(`lua/fold.lua`).
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any, Final

import redis
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from coordinator.tracker.batch import changes, read
from coordinator.tracker.health import STALE_SECONDS, STATISTICS_MS, TrackerHealth, decode
from coordinator.tracker.lag import Lag
from coordinator.tracker.store import ConversationStore
from mirror.base.errors import MirrorError, RedisUnavailable
from mirror.base.log import logger
from mirror.base.thread_watch import ReportProgress, unwatched
from mirror.fleet.backfill import file_recall
from mirror.fleet.workers import Reporter
from mirror.kafka.client import ClientLog, open_client
from mirror.kafka.config import member_config
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.settings import Settings

BATCH: Final = 5_000
POLL_SECONDS: Final = 0.2
# The broker answers when it has this many bytes, or after `fetch.wait.max.ms`. Answers for every
# few records took an eighth of its time, and a turn waits for a batch anyway.
FETCH_BYTES: Final = 65_536
BEAT_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 0.5
# Added to the longest age of verification. Reading further back costs minutes without a search for
# zombies, and Kafka may not have older records; Genesys is asked for older conversations.
HORIZON_MARGIN_SECONDS: Final = 24 * 3600.0
# A record this young counts as the end of the partition, which a broker may not announce.
FRESH_SECONDS: Final = 10.0
_METADATA_TIMEOUT_SECONDS: Final = 10.0


class Tracker:
    """Tracks conversations until `stop`. `run` owns everything that it opens.

    The counters may be read from other threads at any time.
    """

    def __init__(
        self,
        settings: Settings,
        client: redis.Redis | None = None,
        report_progress: ReportProgress = unwatched,
        name: str = "tracker",
    ) -> None:
        """`name` is the name of its process, for its reports in Redis."""
        self.events = 0  # folded, repeats included
        self.batches = 0  # written, each of one partition
        self.unreadable = 0
        self.rebuilds = 0  # partitions begun without a stored offset
        self.conflicts = 0  # batches dropped because another offset was stored
        self.caught_up = False  # all own partitions are folded to their end
        self.reasons: tuple[str, ...] = ()  # why it does not work
        self.is_starting = True  # it has not been in its group yet
        self._settings = settings
        self._report_progress = report_progress
        self._topic = settings.topic
        self._redis = client or connect(settings)
        self._keys = Keys(settings.namespace)
        self._store = ConversationStore(self._redis, self._keys, settings.topic)
        self._log = logger("coordinator.tracker")
        self._group = f"{settings.kafka.prefix}mirror-{settings.namespace}-tracker"
        self._health = TrackerHealth(self._group, time.monotonic())
        self._reporter = Reporter(self._redis, self._keys, "tracker", name)
        self._stored: dict[int, str] = {}  # own partitions → offset that Redis has ("" for none)
        self._behind: set[int] = set()  # own partitions in which newer records are known to wait
        self._rebuilding: set[int] = set()  # placed at the beginning, no record seen yet
        self._misplaced = True
        self._redis_away = False
        self._beat_at = 0.0
        self._lag = Lag(time.monotonic())
        self._recall = False  # a fold began without the whole past: Genesys must be asked

    @property
    def lag(self) -> int:
        """The number of unfolded records of own partitions, by the broker's last answer."""
        return self._lag.records

    @property
    def lag_seconds(self) -> float:
        """The age of the oldest of them, at most."""
        return self._lag.seconds

    def run(self, stop: threading.Event) -> None:
        """Track until `stop` is set; outlives any outage of Kafka and Redis."""
        consumer = self._opened(stop)
        if consumer is None:
            return
        try:
            consumer.subscribe([self._topic], on_assign=self._on_assign, on_revoke=self._on_lost)
            while not stop.is_set():
                self._report_progress()
                try:
                    self._step(consumer)
                except RedisUnavailable as error:
                    self._without_redis(consumer, error)
        finally:
            consumer.close()
            self._report_progress()
            self._leave()

    # -- one turn --------------------------------------------------------------------------------

    def _step(self, consumer: Any) -> None:
        if time.monotonic() >= self._beat_at:
            self._look(consumer)
            self._report_progress()  # the next call may wait for Redis again
        if self._misplaced and self._stored:
            self._place(consumer)
        if time.monotonic() >= self._beat_at:
            self._beat()
        batches: dict[int, list[Message]] = {}
        for message in consumer.consume(BATCH, timeout=POLL_SECONDS):
            error = message.error()
            if error is None:
                batches.setdefault(message.partition(), []).append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                # The end comes after records that may be of this very turn.
                self._behind.discard(message.partition())
                self._rebuilding.discard(message.partition())
            else:
                self._health.failed(error.name(), error.str(), time.monotonic())
                self._log.warning("tracker_kafka_error", code=error.name())
        if self._redis_away:
            self._redis_away = False
            self._log.info("tracker_redis_recovered")
        for partition, messages in batches.items():
            self._report_progress()
            if self._misplaced or partition not in self._stored:
                continue  # read again from where Redis is
            self._take(consumer, partition, messages)

    def _take(self, consumer: Any, partition: int, messages: list[Message]) -> None:
        if partition in self._rebuilding:
            self._rebuilding.discard(partition)
            if self._skip_ahead(consumer, partition, messages[0]):
                self._recall = True
                return
            self._recall = self._recall or bool(messages[0].offset())
        if time.time() - messages[-1].timestamp()[1] / 1000 < FRESH_SECONDS:
            self._behind.discard(partition)
        conversations, unreadable = read(message.value() for message in messages)
        settings = self._settings
        found = changes(
            conversations,
            self._store.documents(list(conversations)),
            settings.zombie_after,
            settings.zombie_after_media,
        )
        following = (messages[-1].offset() or 0) + 1
        if not self._store.apply(
            partition,
            self._stored[partition],
            following,
            found,
            behind=partition in self._behind,
        ):
            self.conflicts += 1
            self._log.warning("tracker_offset_moved", partition=partition)
            self._misplaced = True
            return
        self._stored[partition] = str(following)
        self._lag.folded(partition, messages[-1].timestamp()[1] / 1000)
        self.batches += 1
        self.events += len(messages) - unreadable
        self.unreadable += unreadable

    def _look(self, consumer: Any) -> None:
        """Update the state of the work, from memory, and report changes."""
        now = time.monotonic()
        self._lag.measured(self._waiting(consumer), now, time.time())
        self._health.measured(self.lag, self.events, now, self.unreadable)
        if self._health.asks_again(now):
            self._misplaced = True  # `_place` makes Kafka refuse again, or tell the end
        before, self.reasons = self.reasons, self._health.reasons(now)
        if bool(before) != bool(self.reasons):
            write = self._log.warning if self.reasons else self._log.info
            write("tracker_idle" if self.reasons else "tracker_at_work", reason=self.reasons)
        self._reporter.note(
            self.reasons,
            partitions=len(self._stored),
            of=self._health.partitions,
            lag=self.lag,
            stale_ms=max(self._health.stale_ms(now), self._late_ms()),
        )

    def _late_ms(self) -> int:
        """The age of the oldest waiting record in milliseconds, 0 as in a busy moment."""
        return round(1000 * self._lag.seconds) if self._lag.seconds >= STALE_SECONDS else 0

    def _leave(self) -> None:
        try:
            self._reporter.leave()
        except RedisUnavailable as error:
            self._log.info("deregister_failed", error=str(error))

    def _beat(self) -> None:
        """Report the fold's progress to janitors; check that Redis still has the written state."""
        self._beat_at = time.monotonic() + BEAT_SECONDS
        if self._misplaced:
            return
        caught_up = [partition for partition in self._stored if partition not in self._behind]
        stored = self._store.beat(caught_up, behind=False)
        self.caught_up = len(caught_up) == len(self._stored)
        if self._recall and self.caught_up and not self._store.anybody_behind():
            self._ask_genesys()
        for partition, offset in self._stored.items():
            if offset and partition not in stored:
                self._log.warning("tracker_fold_lost", partition=partition)
                self._misplaced = True

    def _ask_genesys(self) -> None:
        """Have janitors look for live conversations that the fold lacks; repeated until filed."""
        now_ms = round(time.time() * 1000)
        since_ms = now_ms - round(self._settings.horizon * 1000)
        gaps = file_recall(self._redis, self._keys, since_ms, now_ms)
        if gaps:
            self._recall = False
            self._log.info("tracker_recall", gaps=gaps)

    def _waiting(self, consumer: Any) -> dict[int, int]:
        """Own partition → its unfolded records, by the broker's last answer, without a request."""
        waiting = {}
        for partition, stored in self._stored.items():
            # -1001 before the first answer.
            low, high = consumer.get_watermark_offsets(
                TopicPartition(self._topic, partition), cached=True
            )
            waiting[partition] = max(0, high - int(stored or low))
        return waiting

    # -- where to read from ----------------------------------------------------------------------

    def _place(self, consumer: Any) -> None:
        """Set all own partitions to the offsets in Redis."""
        self._behind = set(self._stored)
        offsets = self._store.beat(sorted(self._behind), behind=True)
        places = []
        self._rebuilding = set()
        for partition in sorted(self._stored):
            stored = offsets.get(partition, "")
            self._stored[partition] = stored
            if not stored:
                self._rebuilding.add(partition)
                self.rebuilds += 1
            places.append(
                TopicPartition(self._topic, partition, int(stored) if stored else OFFSET_BEGINNING)
            )
        consumer.assign(places)
        self._misplaced = False
        self._log.info(
            "tracker_seeked", partitions=len(places), without_offset=len(self._rebuilding)
        )

    def _skip_ahead(self, consumer: Any, partition: int, first: Message) -> bool:
        """Skip records that are too old to matter. Returns whether the partition was moved.

        Done only if there really are old records, because not every broker finds offsets by time.
        """
        longest = max(self._settings.zombie_after_media.values(), default=0.0)
        horizon = max(longest, self._settings.zombie_after) + HORIZON_MARGIN_SECONDS
        since_ms = round((time.time() - horizon) * 1000)
        if first.timestamp()[1] >= since_ms:
            return False
        try:
            found = consumer.offsets_for_times(
                [TopicPartition(self._topic, partition, since_ms)],
                timeout=_METADATA_TIMEOUT_SECONDS,
            )[0].offset
            if found <= (first.offset() or 0):
                return False
            consumer.seek(TopicPartition(self._topic, partition, found))
        except KafkaException as error:
            # Without a position the whole partition is read: that only takes longer.
            self._log.warning("tracker_no_offset_by_time", partition=partition, error=error)
            return False
        return True

    def _on_assign(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        self._stored = {partition.partition: "" for partition in partitions}
        now = time.monotonic()
        self._lag.reassigned(now)
        self._misplaced = True
        self._health.assigned(now)
        self.is_starting = False
        consumer.assign([])  # read nothing before `_place` has the offsets from Redis

    def _on_lost(self, _consumer: Any, _partitions: list[TopicPartition]) -> None:
        self._stored = {}
        self._behind = set()
        self._misplaced = True
        self._health.lost(time.monotonic())

    def _sampled(self, text: str) -> None:
        self._health.sampled(decode(text), self._stored, self._topic, time.monotonic())

    def _without_redis(self, consumer: Any, error: RedisUnavailable) -> None:
        """Stay in the group without reading, and start again from the offsets in Redis later."""
        if not self._redis_away:
            self._redis_away = True
            self._log.warning("tracker_redis_unavailable", error=str(error))
        self._misplaced = True
        self.caught_up = False
        # Not `pause`: a `resume` right behind an `assign` can cross the start of the partition's
        # fetcher within librdkafka, which then drops all that it fetches as outdated.
        consumer.assign([])
        consumer.consume(1, timeout=RETRY_SECONDS)  # its records are read again later

    def _opened(self, stop: threading.Event) -> Any:
        """The consumer, as soon as it can be made; None if `stop` is set before."""
        told = ""
        while not stop.is_set():
            self._report_progress()
            try:
                return self._consumer()
            except MirrorError as error:
                if str(error) != told:
                    told = str(error)
                    self._log.warning("tracker_no_consumer", error=told)
                self.reasons = (f"the tracker: {told}",)
                with contextlib.suppress(RedisUnavailable):  # others report it
                    self._reporter.note(self.reasons)
            stop.wait(RETRY_SECONDS)
        return None

    def _consumer(self) -> Any:
        settings = self._settings
        config = {
            "fetch.min.bytes": FETCH_BYTES,
            **member_config(settings, "tracker"),
            "group.id": self._group,
            "enable.partition.eof": "true",
            "check.crcs": "false",
            "statistics.interval.ms": STATISTICS_MS,
            "stats_cb": self._sampled,
        }
        return open_client(Consumer, config, ClientLog("coordinator.tracker.kafka"))
