"""Plays scenarios without a server or a clock: every frame of a conversation in no time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from simulator.ids import uuid_from
from simulator.ledger import Ledger, Record, Witness
from simulator.model import Conversation
from simulator.org import Org, Staff
from simulator.scenarios import SCENARIOS, Stage
from simulator.shapes import nested

START_MS = 1_790_000_000_000
MAX_STEPS = 500


@dataclass
class Performance:
    """What one conversation left behind."""

    conversation: Conversation
    org: Org
    ledger: Ledger
    #: The nested body at each frame, with the records that it showed first.
    frames: list[tuple[dict[str, Any], list[Record]]] = field(default_factory=list)
    #: When each of them was sent, in Genesys milliseconds.
    sent_ms: list[int] = field(default_factory=list)
    #: What `also` made of the conversation then.
    other_shapes: list[Any] = field(default_factory=list)

    @property
    def records(self) -> list[Record]:
        return self.ledger.read(limit=100_000)


def perform(
    scenario: str, seed: int, also: Callable[[Conversation, Org], Any] | None = None
) -> Performance:
    """Play a scenario to its end, each pause in full Genesys time.

    `also` is called at each frame, for those who want other shapes than the nested one.
    """
    org = Org(users=12, queues=3, seed=seed)
    media, direction, _, write = SCENARIOS[scenario]
    rng = random.Random(f"{scenario}-{seed}")
    conversation = Conversation(
        id=uuid_from(rng),
        media=media,
        direction=direction,
        started_ms=START_MS,
        division_id=org.division_id,
    )
    stage = Stage(conversation, org, Staff(org, rng), rng)
    witness = Witness(conversation)
    played = Performance(conversation, org, Ledger())
    for step, beat in enumerate(write(stage)):
        assert step < MAX_STEPS, f"{scenario} with seed {seed} does not end"
        if beat.frame:
            shown = witness.look(played.ledger)
            for record in shown:
                record.first_sent_ms = stage.now
            played.frames.append((nested.conversation_body(conversation), shown))
            played.sent_ms.append(stage.now)
            if also is not None:
                played.other_shapes.append(also(conversation, org))
        stage.now += max(1, int(beat.wait * 1000))
    return played
