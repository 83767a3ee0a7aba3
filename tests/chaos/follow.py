"""Reads a topic from its beginning, in a thread of its own and without a group."""

from __future__ import annotations

import threading
import time
from typing import Any, Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from mirror.base.errors import KafkaUnavailable
from mirror.kafka.consume import open_reader, take
from mirror.settings import Settings

BATCH = 1_000
PAUSE_SECONDS = 0.2
OPEN_SECONDS = 20.0


class Follower:
    """A context manager; what it reads goes to `take_record`, under `lock`."""

    def __init__(self, settings: Settings, topic: str, *, committed: bool = False) -> None:
        """With `committed` it sees what a transaction wrote once that is committed."""
        self.lock = threading.Lock()
        self._settings = settings
        self._topic = topic
        self._committed = committed
        self._stop = threading.Event()
        self._crash: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=topic, daemon=True)

    def take_record(self, message: Any) -> None:
        """One record of the topic."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise `AssertionError` where the reader has ended. To be called under `lock`."""
        if self._crash is not None:
            raise AssertionError(f"the reader of {self._topic} has ended") from self._crash

    def _run(self) -> None:
        try:
            consumer, partitions = self._open()
            try:
                consumer.assign(
                    [TopicPartition(self._topic, p, OFFSET_BEGINNING) for p in partitions]
                )
                while not self._stop.is_set():
                    self._take(take(consumer, BATCH, PAUSE_SECONDS))
            finally:
                consumer.close()
        except Exception as error:  # noqa: BLE001 - raised where the follower is asked
            self._crash = error

    def _open(self) -> tuple[Consumer, list[int]]:
        """A reader; a topic that was just made is not known to all brokers at once."""
        deadline = time.monotonic() + OPEN_SECONDS
        while True:
            try:
                return open_reader(self._settings, self._topic, "chaos", committed=self._committed)
            except KafkaUnavailable:
                if time.monotonic() > deadline:
                    raise
            time.sleep(PAUSE_SECONDS)

    def _take(self, messages: list[Message]) -> None:
        with self.lock:
            for message in messages:
                if message.error() is None:  # else a broker is away, and comes back
                    self.take_record(message)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10.0)
