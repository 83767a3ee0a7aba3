"""Waits until every broker knows newly created topics.

A topic is created at the controller; the other brokers learn of it a moment later. Until then they
answer clients that the topic does not exist.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from mirror.base.errors import KafkaUnavailable
from mirror.kafka.client import ClientLog, open_client
from mirror.kafka.config import admin_config
from mirror.kafka.partition import leaderless
from mirror.settings import Settings

_PAUSE_SECONDS: Final = 0.1
# A broker without an answer for this long cannot mislead a client either.
_ATTEMPT_SECONDS: Final = 3.0


def unknown(topics: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """The topics in `names` that a broker's answer lacks, or has without a leader everywhere."""
    return [
        name
        for name in names
        if name not in topics
        or topics[name].error is not None
        or not topics[name].partitions
        or leaderless(topics[name].partitions)
    ]


def await_spread(
    settings: Settings, brokers: Iterable[str], names: list[str], seconds: float
) -> None:
    """Ask each of `brokers` (`host:port`) until it knows all of `names`.

    Raises `KafkaUnavailable` if a broker that answers does not know them within `seconds`.
    """
    deadline = time.monotonic() + seconds
    for broker in brokers:
        # A fresh client knows no other broker yet, so it asks this one.
        config = {**admin_config(settings), "bootstrap.servers": broker}
        client = open_client(AdminClient, config, ClientLog("kafka.init"))
        await_one(broker, client.list_topics, names, deadline)


def await_one(
    broker: str,
    list_topics: Callable[..., Any],
    names: list[str],
    deadline: float,
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """Ask one broker until it knows all topics, does not answer, or `deadline` passes.

    `deadline` is monotonic seconds. Raises `KafkaUnavailable` at its end.
    """
    while True:
        try:
            missing = unknown(list_topics(timeout=_ATTEMPT_SECONDS).topics, names)
        except KafkaException:
            return
        if not missing:
            return
        if time.monotonic() >= deadline:
            raise KafkaUnavailable(
                f"the broker {broker} does not know {', '.join(missing)} yet: repeat `mirror init`"
            )
        pause(_PAUSE_SECONDS)
