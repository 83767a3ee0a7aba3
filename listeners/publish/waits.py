"""Explains why records wait in the spool, for health and status. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from listeners.publish.extent import Lost
from listeners.publish.lanes import Lane
from listeners.publish.line import Problem
from mirror.conversation.times import show_ms

MOST_REASONS: Final = 8
MOST_NAMED: Final = 5


def reasons(
    problems: Sequence[Problem],
    waiting: Mapping[Lane, int],
    losses: Sequence[Lost],
    *,
    kept_out: str,
) -> tuple[str, ...]:
    """One reason for each topic and cause; `kept_out` says why no producer can be made."""
    found = [
        f"the spool lost {'records' if lost.records is None else f'{lost.records} records'} of "
        f"{show_ms(lost.from_ms)} to {show_ms(lost.to_ms)} (see {lost.name}): "
        "a gap is to be filed for it"
        for lost in losses[:MOST_REASONS]
    ]
    if kept_out:
        found.append(f"no Kafka producer can be made, events are spooled: {kept_out}")
    groups: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    for problem in problems:
        groups[(problem.topic, problem.text, problem.step)].add(problem.partition)
    stalled = {(problem.topic, problem.partition) for problem in problems}
    if (
        waiting
        and all((lane.topic, lane.partition) in stalled for lane in waiting)
        and len(stalled) > 1
    ):
        texts = {text for _, text, _ in groups}
        if len(texts) == 1 and len({topic for topic, _, _ in groups}) > 1:
            (text,) = texts
            steps = {step for _, _, step in groups}
            return (*found, f"Kafka takes nothing, events are spooled: {text}; {min(steps)}")
    for (topic, text, step), partitions in sorted(groups.items())[:MOST_REASONS]:
        found.append(
            f"Kafka topic {topic}{_named(partitions)}: {text}; its records are spooled; {step}"
        )
    return tuple(found)


def _named(partitions: set[int]) -> str:
    known = sorted(partition for partition in partitions if partition >= 0)
    if not known:
        return ""
    names = ", ".join(map(str, known[:MOST_NAMED]))
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    return f" partition{'s' if len(known) > 1 else ''} {names}{more}"
