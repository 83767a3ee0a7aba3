"""The thread that reads Kafka: one consumer without a group for all browsers of this process.

It opens with the conversations that `mirror projector` keeps, and goes on behind the last record
that they count (`dashboard.reader.views`). If that is impossible, it reads the end of the
interaction topic, at most `BACKLOG` records; `opened` says which. Then it asks Redis for the
tracker's conversations that began before, and follows the topics live. A partition that does not
answer holds up no other: `missing` has it, and it is read once it answers. At each tick the thread
makes one message for all browsers. Other threads may read its state under `lock`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

import msgspec
import redis
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from dashboard.hub import Hub, message
from dashboard.reader.dead_letters import LETTERS_KEPT, Letters
from dashboard.reader.feed import Feed, Finalized
from dashboard.reader.floor import MOST_LIVE, MOST_OVER, OVER_KEPT_MS, Floor
from dashboard.reader.presence import Presences
from dashboard.reader.rates import Rates
from dashboard.reader.today import Today, day_of
from dashboard.reader.views import (
    Opened,
    Views,
    ViewsUnusable,
    read_views,
    uncollected,
    view_of,
)
from mirror.base.errors import KafkaUnavailable, MirrorError, RedisUnavailable
from mirror.base.log import logger
from mirror.base.thread_watch import ReportProgress, unwatched
from mirror.conversation.times import epoch_ms
from mirror.fleet.tracked import read_active
from mirror.kafka.consume import open_reader, take
from mirror.kafka.deadletters import read_letter
from mirror.kafka.partition import leaderless
from mirror.kafka.record import UndecodableRecord, read_agent_event, read_event
from mirror.redis.keys import Keys
from mirror.settings import Settings

TICK_SECONDS: Final = 0.2
BATCH: Final = 1_000
BACKLOG: Final = 120_000  # past records of all partitions together; about four seconds of work
RESTORED_AT_ONCE: Final = 500  # conversations; other threads wait for the lock meanwhile
AGENTS_BACKLOG: Final = 50_000
QUIET_SECONDS: Final = 1.5  # without a message for this long, the past was read
RETRY_SECONDS: Final = 2.0
ADOPT_AGAIN_SECONDS: Final = 5.0
MISSING_SECONDS: Final = 5.0  # between two looks for partitions that do not answer
# librdkafka tells the refusal of a partition only once. After this time it is asked again.
ASK_AGAIN_SECONDS: Final = 60.0
NO_LEADER: Final = "has no leader"
READING: Final = "the past is still being read: the page does not show all yet"
_ANSWER_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 1.0


def wall_ms() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


class Reader:
    """Reads Kafka for a dashboard. `run` is the body of a thread. `problem` says why it cannot
    read."""

    def __init__(
        self,
        settings: Settings,
        client: redis.Redis,
        hub: Hub,
        report_progress: ReportProgress = unwatched,
    ) -> None:
        self.lock = threading.Lock()
        self.floor = Floor()
        self.rates = Rates()
        self.finalized = Finalized()
        self.letters = Letters()
        self.unreadable = 0
        self.backfilled = 0
        self.last_event_ms = 0  # when the latest event was received by a listener
        self.problem = ""
        self.missing: dict[tuple[str, int], str] = {}  # partitions that are not read → why
        self.refused: dict[
            tuple[str, int], tuple[str, float]
        ] = {}  # … that Kafka refuses → why, when
        self.opening: float | None = 0.0
        self.opened = Opened()
        self._settings = settings
        self._redis = client
        self._hub = hub
        self._report_progress = report_progress
        self._presences = Presences() if settings.agents else None
        self.today = Today(day_of(wall_ms()), round(1000 * settings.service_level))
        self.feed = Feed(self.floor, self.rates, self._presences, self.today)
        # Where reading began, by partition. `dashboard.reader.past` reads the records before.
        self.beginnings: dict[int, int] = {}
        self._log = logger("dashboard.reader")
        self._next: dict[tuple[str, int], int] = {}  # where to go on after an error
        self._targets: dict[tuple[str, int], int] = {}
        self._adopted = False
        self._adopt_at = 0.0
        self._began = 0.0
        self._missing_due = 0.0
        self._ask_due = 0.0
        self._assigned: set[tuple[str, int]] = set()  # partitions that this session reads
        self._turn = 0  # which of the missing partitions is asked
        self._following: dict[int, int] = {}  # where the projector's conversations end
        self._ended: set[int] = set()  # hashes of conversations that the projector knows as ended

    def run(self, stop: threading.Event) -> None:
        """Read until `stop` is set. After an error of Kafka it tries again."""
        self._began = time.monotonic()
        while not stop.is_set():
            self._report_progress()
            try:
                self._session(stop)
            except (MirrorError, KafkaException) as error:
                if not self.problem:
                    self._log.warning("reading_interrupted", error=str(error))
                self.problem = str(error)
                self._publish(wall_ms())
                stop.wait(RETRY_SECONDS)

    def reasons(self) -> list[str]:
        """Why the page shows less than there is. Any thread may ask."""
        opening = "" if self.opening is None else READING
        return [*filter(None, (self.problem, opening)), *self.reasons_of_missing()]

    def reasons_of_missing(self) -> list[str]:
        """Why partitions are not read, one reason for all that share it."""
        told: dict[tuple[str, str], list[str]] = {}
        refused = {at: f"cannot be read ({why})" for at, (why, _) in dict(self.refused).items()}
        for (topic, partition), reason in sorted((refused | self.missing).items()):
            told.setdefault((topic, reason), []).append(str(partition))
        return [
            f"partition {', '.join(numbers)} of {topic} {reason}: its records are not shown"
            for (topic, reason), numbers in told.items()
        ]

    # --- reading -------------------------------------------------------------------------------

    def _session(self, stop: threading.Event) -> None:
        consumer, partitions = open_reader(self._settings, self._settings.topic, "dashboard")
        try:
            if not self.opened.topic:
                self._open(consumer, partitions, stop)
            consumer.assign(self._places(consumer, partitions))
            self.problem = ""
            self._follow(consumer, stop)
        finally:
            consumer.close()

    def _follow(self, consumer: Consumer, stop: threading.Event) -> None:
        next_tick = heard_at = time.monotonic()
        began_ms = wall_ms()
        while not stop.is_set():
            self._report_progress()
            left = max(0.0, next_tick - time.monotonic())
            messages = take(consumer, BATCH, left)
            now_ms, now = wall_ms(), time.monotonic()
            if messages:
                heard_at = now
                with self.lock:
                    for message in messages:
                        self._take(message, now_ms)
            if self.opening is not None and (
                self._is_at_end()
                or now - heard_at > QUIET_SECONDS
                # Not every broker says where a topic ends. A message younger than this process is
                # the present.
                or (messages and min(message.timestamp()[1] for message in messages) >= began_ms)
            ):
                self._is_open(now_ms)
            if not self._adopted and self.opening is None and now >= self._adopt_at:
                self._adopt(now_ms)
            if now >= next_tick:
                next_tick = now + TICK_SECONDS
                self._publish(now_ms)
            if now >= self._missing_due:
                if self._answers_again(consumer) or self._asks_again(now):
                    return  # the next session reads it too
                self._missing_due = time.monotonic() + MISSING_SECONDS

    def _take(self, message: Message, now_ms: int) -> None:
        error = message.error()
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if error is not None:
            if not error.retriable():
                self._log.warning("kafka_refuses", error=error.str())
                if topic is not None and partition is not None and partition >= 0:
                    self.refused[topic, partition] = (error.str(), time.monotonic())
            return
        assert topic is not None
        assert partition is not None
        assert offset is not None
        self._next[topic, partition] = offset + 1
        self.refused.pop((topic, partition), None)
        try:
            if topic == self._settings.topic:
                self._event(message, now_ms)
            elif topic == self._settings.dead_letter_topic:
                self.letters.note(read_letter(message))
            elif self._presences is not None:
                self._presences.note(read_agent_event(message.value()))
        except (UndecodableRecord, msgspec.DecodeError, ValueError):
            self.unreadable += 1

    def _event(self, message: Message, now_ms: int) -> None:
        event = read_event(message.value())
        received_ms = epoch_ms(event.received_at)
        self.last_event_ms = max(self.last_event_ms, received_ms)
        fresh = self.floor.fold(event, now_ms)
        self.today.note(event, now_ms)
        if fresh and event.event_type == "finalize":
            self.finalized.note(event, epoch_ms(event.occurred_at))
        if self.opening is not None:
            return
        latency = now_ms - received_ms if event.origin == "live" else None
        self.rates.note(fresh, latency)
        if fresh:
            self.backfilled += event.origin == "backfill"
            self.feed.ticker.note(event, epoch_ms(event.occurred_at))

    # --- the past ------------------------------------------------------------------------------

    def _open(self, consumer: Consumer, partitions: list[int], stop: threading.Event) -> None:
        """Put the projector's conversations on the floor. If that is impossible, `opened` says why.

        Raises `KafkaException`; then the floor is unchanged.
        """
        settings, began = self._settings, time.monotonic()
        next_tick = began

        def turn() -> bool:
            nonlocal next_tick
            self._report_progress()
            if time.monotonic() >= next_tick:
                next_tick = time.monotonic() + TICK_SECONDS
                self._publish(wall_ms())
            return not stop.is_set()

        try:
            with uncollected():
                views = read_views(settings, partitions, wall_ms() - OVER_KEPT_MS, turn)
                retained = {}
                leaderless = find_leaderless(consumer, settings.topic)
                for partition in partitions:
                    if partition not in leaderless:
                        bounds = _bounds(consumer, settings.topic, partition)
                        if isinstance(bounds, tuple):
                            retained[partition] = bounds
                    turn()
                self._following = views.following | views.places(retained, BACKLOG)
                self._restore(views, turn)
        except ViewsUnusable as reason:
            with self.lock:
                self.floor = self.feed.floor = Floor()
            self._following = {}
            self.opened = Opened(settings.topic, str(reason))
            self._log.info("conversations_not_used", reason=str(reason))
            return
        self.opened = Opened(settings.conversations_topic)
        self._ended = views.ended
        self._log.info(
            "conversations_read",
            records=views.records,
            conversations=len(views.kept),
            seconds=round(time.monotonic() - began, 2),
        )

    def _restore(self, views: Views, turn: Callable[[], bool]) -> None:
        now_ms = wall_ms()
        alive, over = views.split(MOST_OVER)
        for start in range(0, len(alive) + len(over), RESTORED_AT_ONCE):
            turn()
            with self.lock:
                for kept in (over + alive)[start : start + RESTORED_AT_ONCE]:
                    self.floor.restore(view_of(kept, now_ms), now_ms)

    def _places(self, consumer: Consumer, partitions: list[int]) -> list[TopicPartition]:
        """The offset at which to read each partition: after an error where reading broke off, else
        behind the projector's conversations, else some way before its end.
        """
        settings = self._settings
        share = BACKLOG // max(1, len(partitions))
        wanted = [(settings.topic, partition, share) for partition in partitions]
        before = 0
        for topic, records in (
            (settings.dead_letter_topic, LETTERS_KEPT),
            (settings.agents_topic if settings.agents else "", AGENTS_BACKLOG),
        ):
            wanted += [(topic, partition, records) for partition in _partitions(consumer, topic)]
        leaderless = {name: find_leaderless(consumer, name) for name in {at[0] for at in wanted}}
        places: list[TopicPartition] = []
        missing: dict[tuple[str, int], str] = {}
        for topic, partition, most in wanted:
            self._report_progress()
            # A partition without a leader is not asked: that would only cost time.
            bounds = (
                NO_LEADER if partition in leaderless[topic] else _bounds(consumer, topic, partition)
            )
            if isinstance(bounds, str):
                missing[topic, partition] = bounds
                continue
            place = TopicPartition(topic, partition)
            low, high = bounds
            start = max(low, high - most)
            if topic == settings.topic and partition in self._following:
                start = min(high, max(low, self._following[partition]))
            if topic == settings.dead_letter_topic:
                before += start - low
            if topic == settings.topic and start < high:
                self._targets.setdefault((topic, partition), high)
            place.offset = max(low, self._next.get((topic, partition), start))
            if topic == settings.topic:
                self.beginnings.setdefault(partition, place.offset)
            places.append(place)
        if not any(place.topic == settings.topic for place in places):
            raise KafkaUnavailable(f"no partition of {settings.topic} answers")
        if not self._next:
            with self.lock:
                self.letters = Letters(before)
        self._assigned = {(topic, partition) for topic, partition, _ in wanted} - missing.keys()
        self._note_missing(missing)
        self._missing_due = time.monotonic() + MISSING_SECONDS
        return places

    def _note_missing(self, missing: dict[tuple[str, int], str]) -> None:
        for (topic, partition), reason in missing.items():
            if (topic, partition) not in self.missing:
                self._log.warning(
                    "partition_missing", topic=topic, partition=partition, reason=reason
                )
        self.missing = missing

    def _answers_again(self, consumer: Consumer) -> bool:
        """Whether a partition answers that this session does not read. One that has a leader is
        asked at a time, because reading waits meanwhile.

        Also notes which partitions have lost their leader, or have one again: the session reads
        them on by itself.
        """
        leaderless: set[tuple[str, int]] = set()
        try:
            for topic in {topic for topic, _ in self._assigned | self.missing.keys()}:
                self._report_progress()
                found = find_leaderless(consumer, topic, _AGAIN_SECONDS)
                leaderless |= {(topic, partition) for partition in found}
        except KafkaException:
            return False  # Kafka is away: `dashboard.reader.watch` says so
        unread = {at: why for at, why in self.missing.items() if at not in self._assigned}
        self._note_missing(unread | dict.fromkeys(self._assigned & leaderless, NO_LEADER))
        led = [at for at in unread if at not in leaderless]
        if not led:
            return False
        self._turn += 1
        topic, partition = led[self._turn % len(led)]
        return isinstance(_bounds(consumer, topic, partition, _AGAIN_SECONDS), tuple)

    def _asks_again(self, now: float) -> bool:
        """Whether a refusal is so old that a new session must ask for it again. One that was not
        repeated then is over."""
        over = ASK_AGAIN_SECONDS + 2 * MISSING_SECONDS
        self.refused = {at: told for at, told in self.refused.items() if now - told[1] < over}
        ages = [now - at for _, at in self.refused.values()]
        is_due = bool(ages) and max(ages) >= ASK_AGAIN_SECONDS and now >= self._ask_due
        if is_due:
            self._ask_due = now + ASK_AGAIN_SECONDS
        return is_due

    def _is_at_end(self) -> bool:
        return all(self._next.get(place, 0) >= high for place, high in self._targets.items())

    def _is_open(self, now_ms: int) -> None:
        if self.opened.reason:  # else the tracker hardly knows more: it can wait
            self._adopt(now_ms)
        self.opening = None
        self.opened.seconds = round(time.monotonic() - self._began, 3)
        self._log.info(
            "backlog_read",
            source=self.opened.topic,
            reason=self.opened.reason,
            seconds=self.opened.seconds,
            conversations=self.floor.live,
            tracker=self._adopted,
            unread=self.unreadable,
        )

    def _adopt(self, now_ms: int) -> None:
        """Add the tracker's conversations. Without Redis, try again later."""
        keys = Keys(self._settings.namespace)
        try:
            found = []
            for conversation in islice(read_active(self._redis, keys), MOST_LIVE):
                self._report_progress()  # hundreds of calls in a row
                found.append(conversation)
        except RedisUnavailable as error:
            self._log.warning("tracker_unknown", error=str(error))
            self._adopt_at = time.monotonic() + ADOPT_AGAIN_SECONDS
            return
        with self.lock:
            for conversation_id, _, tracked in found:
                if hash(conversation_id) in self._ended:
                    continue
                self.floor.adopt(conversation_id, tracked, now_ms)
        self._adopted = True

    # --- out -----------------------------------------------------------------------------------

    def _publish(self, now_ms: int) -> None:
        hub, feed = self._hub, self.feed
        with self.lock:
            if not hub.is_heard("floor"):
                feed.rest(now_ms)
                return
            full, change = feed.tick(now_ms, self._share())
            if hub.is_awaited("floor"):
                complete: bytes | None = message("floor", feed.complete(full))
            else:
                complete = None
        hub.publish("floor", complete, message("floor", change))

    def _share(self) -> float | None:
        """The share of the past that was read."""
        if self.opening is None:
            return None
        total = BACKLOG
        left = sum(max(0, high - self._next.get(at, high)) for at, high in self._targets.items())
        return max(0.0, min(0.99, 1 - left / total))


def _partitions(consumer: Consumer, topic: str) -> list[int]:
    """The partitions of a topic, none if it does not exist."""
    if not topic:
        return []
    return sorted(_described(consumer, topic))


def find_leaderless(consumer: Consumer, topic: str, seconds: float = _ANSWER_SECONDS) -> set[int]:
    """The partitions of a topic that have no leader now."""
    return leaderless(_described(consumer, topic, seconds))


def _described(consumer: Consumer, topic: str, seconds: float = _ANSWER_SECONDS) -> dict[int, Any]:
    """Kafka's description of each partition, none if the topic does not exist. Raises
    `KafkaException` if no broker answers."""
    found: Any = consumer.list_topics(topic, timeout=seconds).topics[topic]
    return {} if found.error is not None else found.partitions


def _bounds(
    consumer: Consumer, topic: str, partition: int, seconds: float = _ANSWER_SECONDS
) -> tuple[int, int] | str:
    """The first offset of a partition and the offset behind its last record, or why they are not
    known."""
    try:
        return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=seconds)
    except KafkaException:
        return "does not answer"
