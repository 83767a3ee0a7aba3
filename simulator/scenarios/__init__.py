"""Scripts of conversations by medium, and the choice of the next one.

`pick` takes the media in turn by weight, without chance, so that a short run shows all of them. It
draws one of the medium's scripts by weight. Each kind of script has its own module. `stage` is what
the scripts act on, `routing` the way to an agent that all media share.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable

from simulator.scenarios.apart import consult_apart, merge_call
from simulator.scenarios.automata import bot_message, campaign_call
from simulator.scenarios.consult import consult_call, consult_outside, internal_call
from simulator.scenarios.digital import callback, chat, email, message
from simulator.scenarios.lasting import (
    callback_in_two_days,
    email_parked_for_days,
    endless_call,
    message_again,
    message_for_days,
)
from simulator.scenarios.manners import MANNERS
from simulator.scenarios.other_media import (
    cobrowse,
    internal_message,
    screen_monitoring,
    screenshare,
    social_expression,
    video,
)
from simulator.scenarios.reassign import message_reassigned
from simulator.scenarios.stage import Beat, Script, Stage
from simulator.scenarios.supervision import supervised_call
from simulator.scenarios.unanswered import abandoned_call, flowed_out_call
from simulator.scenarios.voice import inbound_call, outbound_call
from simulator.scenarios.voicemail import voicemail

__all__ = ["DEFAULT_WEIGHTS", "SCENARIOS", "Beat", "Playbill", "Script", "Stage"]

Scenario = Callable[[Stage], Script]


def _with_manner(name: str, stage: Stage) -> Script:
    """An inbound call with one manner of after-call work."""
    stage.manner = MANNERS[name]
    return inbound_call(stage)


#: Name → medium, direction, weight within the medium, script.
SCENARIOS: dict[str, tuple[str, str, float, Scenario]] = {
    "inbound_call": ("call", "inbound", 4, inbound_call),
    "outbound_call": ("call", "outbound", 1, outbound_call),
    "chat": ("chat", "inbound", 1, chat),
    "email": ("email", "inbound", 1, email),
    "message": ("message", "inbound", 1, message),
    "callback": ("callback", "outbound", 1, callback),
    "consult_call": ("call", "inbound", 1, consult_call),
    "internal_call": ("call", "outbound", 0.5, internal_call),
    "video": ("video", "inbound", 1, video),
    "screenshare": ("screenshare", "inbound", 1, screenshare),
    "cobrowse": ("cobrowse", "inbound", 1, cobrowse),
    "social_expression": ("social_expression", "inbound", 1, social_expression),
    "internal_message": ("internal_message", "inbound", 1, internal_message),
    "screen_monitoring": ("screen_monitoring", "inbound", 1, screen_monitoring),
    "message_for_days": ("message", "inbound", 0, message_for_days),
    "callback_in_two_days": ("callback", "outbound", 0, callback_in_two_days),
    "email_parked_for_days": ("email", "inbound", 0, email_parked_for_days),
    "endless_call": ("call", "outbound", 0, endless_call),
    "message_again": ("message", "inbound", 0, message_again),
    "message_reassigned": ("message", "inbound", 0.5, message_reassigned),
    "supervised_call": ("call", "inbound", 0.5, supervised_call),
    "consult_outside": ("call", "inbound", 0, consult_outside),
    "consult_apart": ("call", "inbound", 0.4, consult_apart),
    "merge_call": ("call", "inbound", 0.3, merge_call),
    "bot_message": ("message", "inbound", 0.3, bot_message),
    "campaign_call": ("call", "outbound", 0.3, campaign_call),
    "voicemail": ("callback", "inbound", 0.3, voicemail),
    "abandoned_call": ("call", "inbound", 0.3, abandoned_call),
    "flowed_out_call": ("call", "inbound", 0.2, flowed_out_call),
    **{
        f"acw_{name}": ("call", "inbound", 0, functools.partial(_with_manner, name))
        for name in MANNERS
        if name != "mandatory"
    },
}
DEFAULT_WEIGHTS: dict[str, float] = {
    "call": 6,
    "chat": 0.2,
    "email": 3,
    "message": 5,
    "callback": 2,
    "video": 0.2,
    "screenshare": 0.2,
    "cobrowse": 0.2,
    "social_expression": 0.2,
    "internal_message": 0.2,
    "screen_monitoring": 0.2,
}


class Playbill:
    """Chooses scenarios so that the media come in the proportion of their weights."""

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
