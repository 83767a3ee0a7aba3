"""Polls producers, whose delivery reports and errors come only from a poll.

confluent-kafka raises librdkafka's fatal errors from a poll: one that no idempotent or
transactional producer outlives, for instance a refused producer id. Its `flush` should do so too,
but 2.16 raises the `KafkaError` itself there, which is no exception, so that no `except` clause
catches it.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Final

from confluent_kafka import KafkaException, Producer

LOOK_SECONDS: Final = 0.1


def serve(producer: Producer, seconds: float = 0.0) -> None:
    """Poll once, for at most `seconds`. Fatal errors are not raised: then all records fail, and the
    next polls report them."""
    with suppress(KafkaException):
        producer.poll(seconds)


def flush(producer: Producer, seconds: float) -> int:
    """Poll until Kafka has answered for all records, for at most `seconds`. Returns how many are
    left. Raises `KafkaException` after a fatal error."""
    deadline = time.monotonic() + seconds
    while len(producer) and (left := deadline - time.monotonic()) > 0:
        producer.poll(min(left, LOOK_SECONDS))
    return len(producer)
