"""Topics that grow while processes run, and brokers that do not know a topic yet."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaException

from mirror.base.errors import KafkaUnavailable, RedisUnavailable
from mirror.checks.growth import Growth
from mirror.kafka.spread import await_one, unknown
from mirror.settings import load


def test_growth_is_told_from_then_on() -> None:
    """Each topic by itself, against what keys go to; nothing while Kafka is away."""
    away: dict[str, int] | None = None
    answers = [
        away,
        {"genesys-interactions": 12},
        {"genesys-interactions": 12, "genesys-agents": 3},
        {"genesys-interactions": 16, "genesys-agents": 3, "other": 9},
        away,
        {"genesys-interactions": 16, "genesys-agents": 4, "other": 12},
    ]
    asked = 0

    def count() -> dict[str, int]:
        answer = answers.pop(0)
        if answer is None:
            raise KafkaUnavailable("away")
        return answer

    def known() -> dict[str, int]:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise RedisUnavailable("what was read last counts")
        return {"genesys-interactions": 12, "genesys-agents": 3}

    growth = Growth(load({"MIRROR_SUBSCRIBE": "queues,agents"}), count, known)
    told = [[finding.subject for finding in growth.findings()] for _ in range(len(answers))]
    interactions, agents = "topic genesys-interactions", "topic genesys-agents"
    assert told == [[], [], [], [interactions], [], [interactions, agents]]


def topic(*leaders: int, error: str | None = None) -> Any:
    """What a broker says of a topic."""
    partitions = {number: SimpleNamespace(leader=leader) for number, leader in enumerate(leaders)}
    return SimpleNamespace(error=error, partitions=partitions)


@pytest.mark.parametrize(
    ("found", "knows"),
    [
        ({"t": topic(1, 2)}, True),
        ({}, False),
        ({"t": topic()}, False),
        ({"t": topic(1, -1)}, False),
        ({"t": topic(1, error="unknown")}, False),
    ],
)
def test_a_broker_knows_a_topic_whose_partitions_all_have_leaders(
    found: dict[str, Any], knows: bool
) -> None:
    """Before that a producer would wait for it."""
    assert unknown(found, ["t"]) == ([] if knows else ["t"])


def test_a_broker_is_asked_until_it_knows() -> None:
    """One that answers no more is one that a client cannot ask either."""
    answers = [{}, {"t": topic(-1)}, {"t": topic(1)}]
    pauses: list[float] = []

    def list_topics(timeout: float) -> Any:
        assert timeout > 0
        return SimpleNamespace(topics=answers.pop(0))

    def away(timeout: float) -> Any:
        raise KafkaException(timeout)

    await_one("broker:9092", list_topics, ["t"], math.inf, pauses.append)
    assert (answers, len(pauses)) == ([], 2)
    await_one("broker:9092", away, ["t"], math.inf, pauses.append)
    assert len(pauses) == 2


def test_a_broker_that_never_learns_is_told() -> None:
    """By its address, with the cure."""
    with pytest.raises(KafkaUnavailable, match="broker:9092 does not know t yet: repeat"):
        await_one("broker:9092", lambda timeout: SimpleNamespace(topics={}), ["t"], 0.0)  # noqa: ARG005 - as librdkafka's
