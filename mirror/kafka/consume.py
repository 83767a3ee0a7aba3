"""Reads the interaction topic without a consumer group: for `mirror tail`, the demo, a page.

All partitions are assigned by hand, so any number of readers see every event and leave nothing
behind on the brokers. Records that hold no event are counted and passed over.
"""

from __future__ import annotations

from typing import Final, Literal

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from mirror.errors import KafkaUnavailable
from mirror.event import Event
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
        config = consumer_config(settings, "reader")
        self._consumer = open_client(Consumer, config, ClientLog("kafka.reader"))
        try:
            self._consumer.assign(self._partitions(settings, start, since_ms))
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
        # `consume` waits for a whole batch; so wait for one record, and take what else is there.
        messages = self._consumer.consume(1, timeout=timeout)
        if messages:
            messages += self._consumer.consume(BATCH - 1, timeout=0)
        for message in messages:
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

    def _partitions(
        self, settings: Settings, start: Start, since_ms: int | None
    ) -> list[TopicPartition]:
        timeout = min(settings.startup_timeout or METADATA_TIMEOUT, METADATA_TIMEOUT)
        try:
            metadata = self._consumer.list_topics(self._topic, timeout=timeout)
            topic = metadata.topics[self._topic]
            if topic.error is not None or not topic.partitions:
                raise KafkaUnavailable(
                    f"Kafka has no topic {self._topic}: `mirror init` makes what is missing"
                )
            if since_ms is not None:
                wanted = [TopicPartition(self._topic, p, since_ms) for p in topic.partitions]
                return list(self._consumer.offsets_for_times(wanted, timeout=timeout))
        except KafkaException as error:
            servers = settings.kafka.properties["bootstrap.servers"]
            raise KafkaUnavailable(
                f"Kafka at {servers} cannot be read: {error.args[0].str()} "
                "(see KAFKA_BOOTSTRAP_SERVERS and the KAFKA_* settings beside it)"
            ) from error
        offset = OFFSET_END if start == "end" else OFFSET_BEGINNING
        return [TopicPartition(self._topic, p, offset) for p in topic.partitions]
