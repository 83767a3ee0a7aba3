"""Reads the interaction topic without a consumer group: for `mirror tail`, the demo, a page.

All partitions are assigned by hand, so any number of readers see every event and leave no state on
the brokers. Records that hold no event are counted and skipped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final, Generic, Literal, Self, TypeVar

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from mirror.base.errors import KafkaUnavailable
from mirror.conversation.agent_event import AgentEvent
from mirror.conversation.event import Event
from mirror.kafka.client import ClientLog, open_client
from mirror.kafka.config import committed_reader_config, consumer_config
from mirror.kafka.partition import partition
from mirror.kafka.record import UndecodableRecord, read_agent_event, read_event
from mirror.settings import Settings

Start = Literal["beginning", "end"]
T = TypeVar("T")

BATCH: Final = 500
_POLL_SECONDS: Final = 0.5
METADATA_TIMEOUT_SECONDS: Final = 10.0  # or MIRROR_STARTUP_TIMEOUT if that is less


class _Stream(Generic[T]):
    """All records of a topic, from now on, from the beginning, or from a time on.

    Use as a context manager. `unreadable` counts records that could not be decoded.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        decode: Callable[[bytes | None], T],
        start: Start,
        since_ms: int | None,
        *,
        committed: bool = False,
    ) -> None:
        self.unreadable = 0
        self._topic = topic
        self._decode = decode
        self._consumer, partitions = open_reader(settings, topic, "reader", committed=committed)
        try:
            self._consumer.assign(self._places(settings, partitions, start, since_ms))
        except BaseException:
            self._consumer.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def read(self, timeout: float) -> list[T]:
        """The records that arrive within `timeout` seconds, at most `BATCH`.

        Raises `KafkaUnavailable` for an error that reconnecting does not fix.
        """
        events: list[T] = []
        for message in take(self._consumer, BATCH, timeout):
            error = message.error()
            if error is not None:
                self._check(error)
                continue
            try:
                events.append(self._decode(message.value()))
            except UndecodableRecord:
                self.unreadable += 1
        return events

    def _check(self, error: KafkaError) -> None:
        if error.fatal() or error.code() in {
            KafkaError.UNKNOWN_TOPIC_OR_PART,
            KafkaError._UNKNOWN_TOPIC,
            KafkaError.TOPIC_AUTHORIZATION_FAILED,
        }:
            raise KafkaUnavailable(f"Kafka refuses to read {self._topic}: {error.str()}")

    def _places(
        self, settings: Settings, partitions: list[int], start: Start, since_ms: int | None
    ) -> list[TopicPartition]:
        if since_ms is None:
            offset = OFFSET_END if start == "end" else OFFSET_BEGINNING
            return [TopicPartition(self._topic, p, offset) for p in partitions]
        wanted = [TopicPartition(self._topic, p, since_ms) for p in partitions]
        with _explained(settings):
            return list(self._consumer.offsets_for_times(wanted, timeout=_timeout(settings)))


class EventStream(_Stream[Event]):
    """All events of the interaction topic."""

    def __init__(
        self,
        settings: Settings,
        start: Start = "end",
        since_ms: int | None = None,
        *,
        once: bool = False,
    ) -> None:
        """`since_ms` (epoch milliseconds of the record's timestamp) wins over `start`.

        With `once`, it reads committed records of the once topic.

        Raises `KafkaUnavailable` if no broker answers or the topic does not exist.
        """
        topic = settings.once_topic if once else settings.topic
        super().__init__(settings, topic, read_event, start, since_ms, committed=once)


class AgentStream(_Stream[AgentEvent]):
    """All states of agents, from their topic. Arguments and errors are those of `EventStream`."""

    def __init__(
        self, settings: Settings, start: Start = "end", since_ms: int | None = None
    ) -> None:
        super().__init__(settings, settings.agents_topic, read_agent_event, start, since_ms)


def latest_events(settings: Settings, most: int, seconds: float) -> Iterator[Event]:
    """The last events of the interaction topic, `most` over all partitions, in topic order.

    Stops at the end as it was at the start, or after `seconds`. Raises `KafkaUnavailable`.
    """
    consumer, partitions = open_reader(settings, settings.topic, "reader")
    try:
        kept = still_kept(consumer, settings, settings.topic, dict.fromkeys(partitions, 0))
        share = most // len(partitions)
        ends = {number: (max(low, high - share), high) for number, (low, high) in kept.items()}
        yield from _stretches(consumer, settings, ends, seconds)
    finally:
        consumer.close()


def conversation_events(
    settings: Settings,
    conversation_id: str,
    since_ms: int,
    seconds: float,
    partitions: Mapping[str, int],
) -> Iterator[Event]:
    """The events of one conversation in Kafka since `since_ms` (epoch milliseconds), in order.

    `partitions`: topic → partitions that keys are spread over (`mirror.fleet.pinned`); without an
    entry, all of them. Kafka may have more. Reads only the conversation's partition, up to its
    end as it was at the start. Raises `KafkaUnavailable`, also if `seconds` are not enough.
    """
    consumer, found = open_reader(settings, settings.topic, "reader")
    try:
        count = min(len(found), partitions.get(settings.topic, len(found)))
        number = partition(conversation_id, count)
        with _explained(settings):
            wanted = [TopicPartition(settings.topic, number, since_ms)]
            (start,) = consumer.offsets_for_times(wanted, timeout=_timeout(settings))
            _, high = consumer.get_watermark_offsets(
                TopicPartition(settings.topic, number), timeout=_timeout(settings)
            )
        if start.offset < 0 or start.offset >= high:
            return
        key = conversation_id.encode()
        yield from _stretches(consumer, settings, {number: (start.offset, high)}, seconds, key)
    finally:
        consumer.close()


def _stretches(
    consumer: Consumer,
    settings: Settings,
    ends: dict[int, tuple[int, int]],
    seconds: float,
    key: bytes | None = None,
) -> Iterator[Event]:
    """The events in ranges of offsets, by partition; with `key`, only events of that key."""
    topic = settings.topic
    deadline = time.monotonic() + seconds
    consumer.assign([TopicPartition(topic, number, start) for number, (start, _) in ends.items()])
    left = {number: high for number, (_, high) in ends.items()}
    while left:
        if time.monotonic() > deadline:
            raise KafkaUnavailable(
                f"{topic} was not read to its end within {seconds:.0f} s: ask for a shorter time"
            )
        for message in take(consumer, BATCH, _POLL_SECONDS):
            if message.error() is not None:
                continue
            at, offset = message.partition(), message.offset()
            if at is not None and offset is not None and offset + 1 >= left.get(at, offset + 2):
                del left[at]
            if key is not None and message.key() != key:
                continue
            with suppress(UndecodableRecord):
                yield read_event(message.value())
        # A transaction's marker at the end is no message, so ask for the position.
        for place in consumer.position([TopicPartition(topic, number) for number in left]):
            if place.offset >= left[place.partition]:
                del left[place.partition]


def still_kept(
    consumer: Consumer, settings: Settings, topic: str, offsets: Mapping[int, int]
) -> dict[int, tuple[int, int]]:
    """Partition → first offset and end, as they are now, of what Kafka keeps from `offsets` on.

    Partitions without anything are left out. Raises `KafkaUnavailable`.
    """
    found = {}
    with _explained(settings):
        for number, offset in offsets.items():
            place = TopicPartition(topic, number)
            low, high = consumer.get_watermark_offsets(place, timeout=_timeout(settings))
            if max(low, offset) < high:
                found[number] = (max(low, offset), high)
    return found


def open_reader(
    settings: Settings, topic: str, role: str, *, committed: bool = False
) -> tuple[Consumer, list[int]]:
    """A consumer of `role` without a group, and the partitions of `topic`. Assigns nothing.

    With `committed` it reads only committed records of transactions.

    Raises `KafkaUnavailable` if no broker answers or the topic does not exist.
    """
    log = ClientLog(f"kafka.{role.replace('-', '_')}")
    configuration = committed_reader_config if committed else consumer_config
    consumer = open_client(Consumer, configuration(settings, role), log)
    try:
        with _explained(settings, log):
            try:
                found = consumer.list_topics(topic, timeout=_timeout(settings)).topics[topic]
            except KafkaException:
                consumer.poll(0)  # librdkafka reports its errors only here
                raise
        if found.error is not None or not found.partitions:
            raise KafkaUnavailable(
                f"Kafka has no topic {topic}: `mirror init` makes what is missing"
            )
    except BaseException:
        consumer.close()
        raise
    return consumer, sorted(found.partitions)


def take(consumer: Consumer, most: int, timeout: float) -> list[Message]:
    """At most `most` messages, as soon as there is one; none after `timeout` seconds.

    `consume` waits for a whole batch. So wait for one message, then take the others that are there.
    """
    messages = consumer.consume(1, timeout=timeout)
    if messages:
        messages += consumer.consume(most - 1, timeout=0)
    return messages


def _timeout(settings: Settings) -> float:
    return min(settings.startup_timeout or METADATA_TIMEOUT_SECONDS, METADATA_TIMEOUT_SECONDS)


@contextmanager
def _explained(settings: Settings, log: ClientLog | None = None) -> Iterator[None]:
    """Turn librdkafka's exceptions into `KafkaUnavailable`. They often say only "timed out"; the
    reason is librdkafka's last log message."""
    try:
        yield
    except KafkaException as error:
        servers = settings.kafka.properties["bootstrap.servers"]
        reason = (log.last_error if log is not None else "") or error.args[0].str()
        raise KafkaUnavailable(
            f"Kafka at {servers} cannot be read: {reason} "
            "(see KAFKA_BOOTSTRAP_SERVERS and the KAFKA_* settings beside it)"
        ) from error
