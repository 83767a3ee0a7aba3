"""Reads the interaction topic without a consumer group: for `mirror tail`, the demo, a page.

All partitions are assigned by hand, so any number of readers see every event and leave nothing
behind on the brokers. Records that hold no event are counted and passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

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
from mirror.conversation.event import Event
from mirror.kafka.config import ClientLog, consumer_config, open_client
from mirror.kafka.record import EventReader, UndecodableRecord
from mirror.settings import Settings

Start = Literal["beginning", "end"]

BATCH: Final = 500
METADATA_TIMEOUT: Final = 10.0  # seconds, or MIRROR_STARTUP_TIMEOUT where that is less


class EventStream:
    """All events of the interaction topic, from now, from the beginning, or from a time on.

    Use as a context manager. `unreadable` counts records that hold no event.
    """

    def __init__(
        self, settings: Settings, start: Start = "end", since_ms: int | None = None
    ) -> None:
        """`since_ms` (epoch milliseconds of the record's timestamp) wins over `start`.

        Raises `KafkaUnavailable` where no broker answers or the topic does not exist.
        """
        self.unreadable = 0
        self._topic = settings.topic
        self._reader = EventReader()
        self._consumer, partitions = open_reader(settings, self._topic, "reader")
        try:
            self._consumer.assign(self._places(settings, partitions, start, since_ms))
        except BaseException:
            self._consumer.close()
            raise

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def read(self, timeout: float) -> list[Event]:
        """What arrives within `timeout` seconds: empty where nothing does, at most `BATCH`.

        Raises `KafkaUnavailable` for an error that reconnecting does not mend.
        """
        events: list[Event] = []
        for message in take(self._consumer, BATCH, timeout):
            error = message.error()
            if error is not None:
                self._check(error)
                continue
            try:
                events.append(self._reader.decode(message.value(), message.headers()))
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


def open_reader(settings: Settings, topic: str, role: str) -> tuple[Consumer, list[int]]:
    """A consumer of `role` without a group, and the partitions of `topic`; nothing is assigned.

    Raises `KafkaUnavailable` where no broker answers or the topic does not exist.
    """
    log = ClientLog(f"kafka.{role.replace('-', '_')}")
    consumer = open_client(Consumer, consumer_config(settings, role), log)
    try:
        with _explained(settings):
            found = consumer.list_topics(topic, timeout=_timeout(settings)).topics[topic]
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

    `consume` waits for a whole batch; so wait for one message, and take what else is there.
    """
    messages = consumer.consume(1, timeout=timeout)
    if messages:
        messages += consumer.consume(most - 1, timeout=0)
    return messages


def _timeout(settings: Settings) -> float:
    return min(settings.startup_timeout or METADATA_TIMEOUT, METADATA_TIMEOUT)


@contextmanager
def _explained(settings: Settings) -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        servers = settings.kafka.properties["bootstrap.servers"]
        raise KafkaUnavailable(
            f"Kafka at {servers} cannot be read: {error.args[0].str()} "
            "(see KAFKA_BOOTSTRAP_SERVERS and the KAFKA_* settings beside it)"
        ) from error
