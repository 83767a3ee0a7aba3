"""Finds a conversation's place on the floor, and what its agents do, from its view.

A conversation with a live leg has one place: the first of `STATES` that applies.

    talking   an agent is connected and neither holds nor has parked it
    held      an agent holds it
    parked    an agent has parked it (e-mails, messages)
    waiting   it is in a queue; an agent may be ringing
    ringing   an agent's leg rings or dials, without a queue
    ivr       it is in a menu or bot
    other     anything else that lives, such as voicemail

After-call work is not a place. It follows the conversation or runs beside it, and is counted by
agent. If its end was lost, it counts for at most `ACW_LONGEST_MS`.

A leg that monitors, coaches, barges or is consulted does not serve: it is not counted as an agent's
work, and does not decide the place. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from mirror.conversation.event import RANK, STAFF, Role
from mirror.conversation.fold import LegView
from mirror.conversation.times import epoch_ms

STATES: Final = ("talking", "held", "parked", "waiting", "ringing", "ivr", "other")
AGENT_STATES: Final = ("talking", "held", "ringing", "acw", "parked")
ACW_LONGEST_MS: Final = 15 * 60_000

# The roles that do not serve.
DOING: Final[dict[Role, str]] = {
    "monitor": "monitoring",
    "coach": "coaching",
    "barge": "barging",
    "consult": "consulted",
}
_MENUS: Final = frozenset({"ivr", "workflow", "bot", "botflow"})
_ANSWERED: Final = RANK["answer"]
_OVER: Final = RANK["disconnect"]
_PARKED: Final = "parked"
_ORDER: Final = {state: number for number, state in enumerate(STATES)}
_AGENT_ORDER: Final = {state: number for number, state in enumerate(AGENT_STATES)}


class FloorPosition(NamedTuple):
    """The place of a conversation: its state, its queue, and since when (epoch milliseconds)."""

    state: str
    queue: str | None
    since_ms: int


class AfterCall(NamedTuple):
    """An agent's after-call work. `queue` is the queue of the leg that it follows."""

    agent: str | None
    queue: str | None
    since_ms: int


def is_live(leg: LegView) -> bool:
    """Whether a leg has not ended. A leg with only after-call work has ended."""
    return not leg.ended and leg.rank < _OVER


def leg_state(leg: LegView) -> str:
    """What a live leg does, in the words of `STATES` and `DOING`."""
    if leg.role is not None:
        return DOING[leg.role]
    if leg.purpose in STAFF:
        if leg.held:
            return "held"
        if leg.state == _PARKED:
            return "parked"
        return "talking" if leg.rank >= _ANSWERED else "ringing"
    if leg.purpose == "acd":
        return "waiting"
    return "ivr" if leg.purpose in _MENUS else "other"


def counts(leg: LegView, now_ms: int) -> bool:
    """Whether a leg counts for the place or for its agent: it lives, or is in after-call work."""
    if is_live(leg):
        return True
    began = leg.acw_started_at
    return began is not None and leg.acw == "working" and now_ms - epoch_ms(began) < ACW_LONGEST_MS


def position_of(
    legs: Iterable[LegView], first_seen: list[int], last_queue: str | None
) -> FloorPosition | None:
    """The place of the conversation, None without a live leg.

    `legs` are the legs that count, in their order. `first_seen` has the time of each leg's first
    event, by the leg's number (epoch milliseconds).
    """
    best: tuple[int, int, LegView] | None = None
    for leg in legs:
        if is_live(leg):
            state = "other" if leg.role is not None else leg_state(leg)
            found = (_ORDER[state], _since(leg, state, first_seen[leg.number]), leg)
            if best is None or found[:2] < best[:2]:
                best = found
    if best is None:
        return None
    order, since_ms, leg = best
    return FloorPosition(STATES[order], leg.queue_id or last_queue, since_ms)


def agents(
    legs: Iterable[LegView], now_ms: int
) -> tuple[dict[str, str], list[AfterCall], int | None]:
    """What each agent of a conversation does, the after-call work, and when it lapses.

    `legs` are the legs that count.
    """
    doing: dict[str, str] = {}
    after: list[AfterCall] = []
    lapses: int | None = None
    for leg in legs:
        if leg.acw_started_at is not None and leg.acw == "working":
            began = epoch_ms(leg.acw_started_at)
            if now_ms - began < ACW_LONGEST_MS:
                after.append(AfterCall(leg.agent_id, leg.queue_id, began))
                lapses = min(lapses or began + ACW_LONGEST_MS, began + ACW_LONGEST_MS)
                _does(doing, leg.agent_id, "acw")
        if leg.serves and is_live(leg):
            _does(doing, leg.agent_id, leg_state(leg))
    return doing, after, lapses


def busiest(states: list[str]) -> str:
    """The state of an agent who does several things at once."""
    return min(states, key=_AGENT_ORDER.__getitem__)


def _does(doing: dict[str, str], agent: str | None, state: str) -> None:
    if agent is not None and state in _AGENT_ORDER:
        doing[agent] = busiest([state, doing.get(agent, state)])


def _since(leg: LegView, state: str, seen_ms: int) -> int:
    if state == "held" and leg.hold_started_at:
        return epoch_ms(leg.hold_started_at)
    if state == "parked" and leg.parked_at:
        return epoch_ms(leg.parked_at)
    if state == "talking" and leg.answered_at:
        return epoch_ms(leg.answered_at)
    return seen_ms
