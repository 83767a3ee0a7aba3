"""Events → Kafka, by the same records as the listeners', and acknowledged before it says so.

The janitor has no spool: what is not acknowledged was not done, and the work that it came from is
still claimed or due in Redis and will be done again, under the same ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from mirror.errors import KafkaUnavailable
from mirror.event import Event
from mirror.kafka.config import ClientLog, producer_config
from mirror.kafka.record import Recorder
from mirror.settings import Settings

ACK_SECONDS: Final = 10.0


class Outlet:
    """The janitor's way to Kafka. Not thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self.produced = 0
        self._settings = settings
        self._recorder = Recorder(settings.topic, settings.region, settings.encoding)
        self._producer: Producer | None = None
        self._failed: KafkaError | None = None

    def send(self, events: Sequence[Event], seconds: float = ACK_SECONDS) -> None:
        """Produce `events` in their order and return when Kafka has all of them.

        Raises `KafkaUnavailable` where it did not say so within `seconds`; some may be there.
        """
        if not events:
            return
        producer = self._producer or Producer(
            producer_config(self._settings, "janitor"), **ClientLog("janitor.kafka").options()
        )
        self._producer = producer
        self._failed = None
        try:
            for event in events:
                record = self._recorder.record(event)
                producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    on_delivery=self._report,
                    headers=record.headers,
                )
        except (BufferError, KafkaException) as error:
            self._give_up(producer, error)
        if producer.flush(seconds) or self._failed is not None:
            self._give_up(producer, self._failed)
        self.produced += len(events)

    def close(self) -> None:
        """Let go of the producer; nothing waits in it between two calls of `send`."""
        self._producer = None

    def _report(self, error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            self._failed = error

    def _give_up(self, producer: Producer, error: object) -> None:
        # A purged idempotent producer has a hole in its sequence: the next call makes a new one.
        producer.purge()
        producer.poll(0)
        self._producer = None
        cause = error.args[0] if isinstance(error, KafkaException) and error.args else error
        reason = cause.str() if isinstance(cause, KafkaError) else "no acknowledgement in time"
        servers = self._settings.kafka.properties["bootstrap.servers"]
        raise KafkaUnavailable(f"Kafka at {servers} does not take events: {reason}")
