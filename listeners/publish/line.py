"""A lane of the drain: its records in flight, and the reason why it waits."""

from __future__ import annotations

from typing import Final

import msgspec
from confluent_kafka import KafkaError

from listeners.publish.held import Source
from listeners.publish.lanes import Lane
from listeners.publish.rows import Numbered
from mirror.kafka.faults import Kind

PAUSE_FIRST_SECONDS: Final = 0.5
BEFORE_ALL: Final = -(1 << 62)


class Problem(msgspec.Struct, frozen=True):
    """Why a lane waits. `kind` is the extent of the problem, `step` the operator's next step."""

    topic: str
    partition: int
    kind: Kind
    text: str
    step: str


class Line(msgspec.Struct, kw_only=True):
    """A lane of the drain. `cursor` is the last sequence number that was sent."""

    lane: Lane
    source: Source | None = None
    cursor: int = BEFORE_ALL
    sent: set[int] = msgspec.field(default_factory=set)
    reports: list[tuple[int, KafkaError | None]] = msgspec.field(default_factory=list)
    acked: list[int] = msgspec.field(default_factory=list)
    sample: Numbered | None = None  # the last record of a batch in flight, for `told`
    sample_of: int = 0
    failed: dict[int, KafkaError] = msgspec.field(default_factory=dict)
    alone: int = 0  # records to send one by one
    proven: bool = False
    pause: float = PAUSE_FIRST_SECONDS
    resume_at: float = 0.0
    moved_at: float = 0.0
    problem: Problem | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no record of the lane is in flight."""
        return not (self.sent or self.reports or self.acked or self.failed)
