"""Plays scenarios without a server or a clock: every frame of a conversation in no time."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from simulator.ids import uuid_from
from simulator.ledger import Ledger, Truth, Witness
from simulator.model import Conversation
from simulator.org import Org, Staff
from simulator.quirks import Quirks
from simulator.scenarios import SCENARIOS, Script, Stage
from simulator.shapes import nested

START_MS = 1_790_000_000_000
MAX_STEPS = 1500
#: Makes something of the conversation at a frame, which leaves at that time.
Also = Callable[[Conversation, Org], Any]


@dataclass
class Performance:
    """What one conversation left behind."""

    conversation: Conversation
    org: Org
    ledger: Ledger
    #: The nested body at each frame, with the records that it showed first.
    frames: list[tuple[dict[str, Any], list[Truth]]] = field(default_factory=list)
    #: When each of them was sent, in Genesys milliseconds.
    sent_ms: list[int] = field(default_factory=list)
    #: What `also` made of the conversation then.
    other_shapes: list[Any] = field(default_factory=list)
    #: The conversations that began through this one.
    others: list[Performance] = field(default_factory=list)

    @property
    def records(self) -> list[Truth]:
        return self.ledger.read(limit=100_000)


def perform(
    scenario: str, seed: int, also: Also | None = None, quirks: Quirks | None = None
) -> Performance:
    """Play a scenario to its end, each pause in full Genesys time, and what it gives rise to.

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
    stage = Stage(conversation, org, Staff(org, rng), rng, quirks)
    first = _Playing(stage, write(stage), also)
    order = itertools.count()
    due = [(START_MS, next(order), first)]
    for _ in range(MAX_STEPS):
        if not due:
            return first.played
        now, _, playing = heapq.heappop(due)
        pause = playing.step(now)
        for other in playing.stage.offspring:
            child = _Playing(other.stage, other.script, also)
            first.played.others.append(child.played)
            heapq.heappush(due, (now, next(order), child))
        playing.stage.offspring = []
        if pause is not None:
            heapq.heappush(due, (now + pause, next(order), playing))
    raise AssertionError(f"{scenario} with seed {seed} does not end")


class _Playing:
    """One conversation under way."""

    def __init__(self, stage: Stage, script: Script, also: Also | None) -> None:
        self.stage = stage
        self.played = Performance(stage.conversation, stage.org, Ledger())
        self._script = script
        self._witness = Witness(stage.conversation)
        self._also = also

    def step(self, now: int) -> int | None:
        """Go on to the next beat; the pause after it in milliseconds, None at the end."""
        self.stage.now = now
        beat = next(self._script, None)
        if beat is None:
            return None
        if beat.frame:
            played, conversation = self.played, self.stage.conversation
            shown = self._witness.look(played.ledger)
            for record in shown:
                record.first_sent_ms = now
            played.frames.append((nested.conversation_body(conversation), shown))
            played.sent_ms.append(now)
            if self._also is not None:
                played.other_shapes.append(self._also(conversation, self.stage.org))
        return max(1, int(beat.wait * 1000))
