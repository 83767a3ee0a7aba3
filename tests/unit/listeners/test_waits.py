"""What waits in the spool, in words."""

from __future__ import annotations

from listeners.publish.extent import Lost
from listeners.publish.lanes import Lane, lane_of, places
from listeners.publish.line import Problem
from listeners.publish.waits import MOST_NAMED, reasons

DENIED = "TOPIC_AUTHORIZATION_FAILED: Broker: Topic authorization failed"


def problem(topic: str, partition: int, text: str = DENIED, step: str = "give it") -> Problem:
    """A lane that waits."""
    return Problem(topic, partition, "topic", text, step)


def waiting(topic: str, count: int) -> dict[Lane, int]:
    """Each partition of a topic has something."""
    first, end = places(count)
    return {Lane(topic, place): 1 for place in range(first, end)}


def test_a_reason_names_topic_partitions_error_and_step() -> None:
    """One for each topic and cause, however many partitions it concerns."""
    problems = [problem("letters", number) for number in (2, 0, 1)]
    lanes = waiting("letters", 3) | waiting("events", 2)
    (reason,) = reasons(problems, lanes, (), kept_out="")
    assert "Kafka topic letters partitions 0, 1, 2: TOPIC_AUTHORIZATION_FAILED" in reason
    assert reason.endswith("give it")


def test_many_partitions_are_counted() -> None:
    """A reason stays one line."""
    problems = [problem("events", number, "no acknowledgement for 5s") for number in range(40)]
    (reason,) = reasons(problems, waiting("events", 40), (), kept_out="")
    assert f"and {40 - MOST_NAMED} more" in reason


def test_when_nothing_is_taken_kafka_is_named() -> None:
    """Every lane of every topic waits for the same cause."""
    problems = [problem("events", 0, "away"), problem("letters", 0, "away")]
    lanes = waiting("events", 1) | waiting("letters", 1)
    (reason,) = reasons(problems, lanes, (), kept_out="")
    assert reason.startswith("Kafka takes nothing, events are spooled: away")


def test_a_producer_that_cannot_be_made_and_a_loss_are_told() -> None:
    """Both at once; an unknown number of records is told as such."""
    losses = [Lost("a.broken-1", 0, 60_000, 7), Lost("b.broken-1", 0, 60_000, None)]
    first, second, third = reasons([], {}, losses, kept_out="no CA")
    assert "lost 7 records of 1970-01-01T00:00:00.000Z to 1970-01-01T00:01:00.000Z" in first
    assert "lost records of" in second
    assert "no CA" in third


def test_without_trouble_there_is_no_reason() -> None:
    """What drains is no reason to worry."""
    assert reasons([], {lane_of("events", "k", 1, 3): 5}, (), kept_out="") == ()
