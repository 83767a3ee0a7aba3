"""The manners of a leg's after-call work (docs/protocol.md, "After-call work"). Pure data."""

from __future__ import annotations

import random

import msgspec


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """The queue's rule (`prompt`), and the agent's behaviour."""

    prompt: str
    #: How often this manner is drawn.
    weight: float
    #: Whether there is after-call work at all.
    applies: bool = True
    skipped: bool = False
    #: It ends by itself after a time.
    timed: bool = False
    #: The probability of a code before the end.
    code: float = 1.0
    #: The work goes on after the code. The code is saved for good when the time is over.
    lingers: bool = False
    #: A provisional code while still talking, the final one in after-call work.
    early: bool = False
    #: A further code after the work, which replaces the first.
    corrected: bool = False


MANNERS: dict[str, Manner] = {
    "mandatory": Manner(prompt="mandatory", weight=5),
    "optional": Manner(prompt="optional", weight=2, code=0.3),
    "timed_out": Manner(prompt="timeout", weight=2, timed=True, code=0.0),
    "forced": Manner(prompt="forcedTimeout", weight=1, timed=True, lingers=True),
    "requested": Manner(prompt="agentRequested", weight=1, code=0.7),
    "skipped": Manner(prompt="agentRequested", weight=2, skipped=True),
    "corrected": Manner(prompt="mandatory", weight=1, corrected=True),
    "provisional": Manner(prompt="optional", weight=2, early=True),
    "not_applicable": Manner(prompt="optional", weight=0.5, applies=False),
}
_ALL = tuple(MANNERS.values())
_WEIGHTS = tuple(manner.weight for manner in _ALL)


def draw(rng: random.Random) -> Manner:
    """Draw a manner by weight."""
    return rng.choices(_ALL, _WEIGHTS)[0]
