"""Scripts of conversations by medium, and which one is played next.

`pick` walks through the media by weight without chance (so that a short run shows all of them) and
chooses among a medium's scripts by weight.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from simulator.scenarios.digital import callback, chat, email, message
from simulator.scenarios.stage import Beat, Script, Stage
from simulator.scenarios.voice import inbound_call, outbound_call

__all__ = ["DEFAULT_WEIGHTS", "SCENARIOS", "Beat", "Playbill", "Script", "Stage"]

Scenario = Callable[[Stage], Script]

#: By name: the medium, the direction, the weight within the medium, the script.
SCENARIOS: dict[str, tuple[str, str, float, Scenario]] = {
    "inbound_call": ("call", "inbound", 4, inbound_call),
    "outbound_call": ("call", "outbound", 1, outbound_call),
    "chat": ("chat", "inbound", 1, chat),
    "email": ("email", "inbound", 1, email),
    "message": ("message", "inbound", 1, message),
    "callback": ("callback", "outbound", 1, callback),
}
DEFAULT_WEIGHTS: dict[str, float] = {"call": 4, "chat": 2, "email": 2, "message": 2, "callback": 1}


class Playbill:
    """Gives scenario names so that the media come in the proportion of their weights."""

    def __init__(self, weights: dict[str, float], rng: random.Random) -> None:
        media = {facts[0] for facts in SCENARIOS.values()}
        unknown = sorted(set(weights) - media)
        if unknown:
            raise ValueError(f"no scenario for {', '.join(unknown)}; there are {sorted(media)}")
        self._rng = rng
        self._weights = {medium: weight for medium, weight in weights.items() if weight > 0}
        if not self._weights:
            raise ValueError("at least one medium needs a weight above 0")
        self._played = dict.fromkeys(self._weights, 0.0)

    def next(self) -> str:
        """The name of the scenario to play next."""
        medium = min(self._weights, key=lambda m: (self._played[m] + 1) / self._weights[m])
        self._played[medium] += 1
        names = [name for name, facts in SCENARIOS.items() if facts[0] == medium]
        return self._rng.choices(names, [SCENARIOS[name][2] for name in names])[0]
