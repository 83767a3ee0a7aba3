"""The projector's three topics, whose partitions must be as many: else a conversation has two.

`uneven` says what is wrong with them, in a line; empty where nothing is. They are compared at the
start and while the process runs.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from mirror.base.errors import KafkaUnavailable
from mirror.base.log import logger
from mirror.kafka.admin import check
from mirror.settings import Settings

ANSWER_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 1.0


def uneven(settings: Settings, counts: Mapping[str, int], first: int | None = None) -> str:
    """What is wrong with the topics, given topic → partitions.

    `first` is how many the interaction topic had when this process started.
    """
    wanted = (settings.topic, settings.once_topic, settings.conversations_topic)
    missing = [name for name in wanted if name not in counts]
    if missing:
        return f"Kafka has no topic {' and no '.join(missing)}: `mirror init` makes what is missing"
    source = counts[settings.topic]
    if first is not None and source != first:
        return (
            f"{settings.topic} had {first} partitions when this process started and has {source}: "
            "stop all projectors, `mirror projector rebuild`, and start them"
        )
    for name in wanted[1:]:
        if counts[name] != source:
            return (
                f"{settings.topic} has {source} partitions and {name} {counts[name]}: a "
                "conversation would be in two partitions; stop all projectors, `mirror projector "
                "rebuild`, and start them"
            )
    return ""


def count_partitions(settings: Settings, timeout: float = ANSWER_SECONDS) -> dict[str, int]:
    """Topic → partitions. Raises `KafkaUnavailable`."""
    return {name: found[0] for name, found in check(settings, timeout).topics.items()}


def await_even(settings: Settings, timeout: float) -> int:
    """Wait until the topics are there and even; how many partitions each has.

    Raises `KafkaUnavailable` after `timeout` seconds (0: waits for ever).
    """
    deadline = time.monotonic() + timeout if timeout else None
    told = ""
    while True:
        left = 0.0 if deadline is None else max(PAUSE_SECONDS, deadline - time.monotonic())
        counts = count_partitions(settings, left)
        why = uneven(settings, counts)
        if not why:
            return counts[settings.topic]
        if deadline is not None and time.monotonic() + PAUSE_SECONDS >= deadline:
            raise KafkaUnavailable(why)
        if why != told:
            told = why
            logger("projector").warning("waiting_for_topics", why=why)
        time.sleep(PAUSE_SECONDS)
