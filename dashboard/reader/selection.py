"""The conversations that a page has chosen, and their figures. Pure.

A `Choice` selects conversations. All figures of a `Selection` are those of the selected
conversations. An ended conversation is selected by its after-call work, or by the beginning of its
id.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from dashboard.reader.floor import Floor, Known, Row
from dashboard.reader.floor_position import STATES, busiest, is_live

PAGE: Final = 50
MOST_PAGES: Final = 2_000
OVER: Final = "over"
STATES_TO_CHOOSE: Final = (*STATES, "acw")

# Waiting and ringing conversations first, then held ones. Within a state, the oldest first.
_ORDER: Final = {"waiting": 0, "ringing": 1, "held": 2, "talking": 3}
_LAST: Final = len(STATES)


class Choice(msgspec.Struct, frozen=True):
    """The chosen values. None selects all. The queue `""` selects conversations without a queue.

    `agent` is the beginning of an agent's id or a part of the name. `beginning` is the beginning of
    a conversation's id.
    """

    queue: str | None = None
    medium: str | None = None
    state: str | None = None
    agent: str | None = None
    beginning: str | None = None


class Selection(msgspec.Struct):
    """The chosen conversations: the `rows` of one page, their number, and their figures."""

    queues: dict[str | None, Row]
    agents: Counter[str]
    media: Counter[str]
    rows: list[tuple[Any, ...]]
    count: int
    live: int


class Chooser:
    """Decides whether a conversation fits a choice. `people` has the agents' names by id."""

    def __init__(self, choice: Choice, people: Mapping[str, str]) -> None:
        self._choice = choice
        self._people = people
        self._agents: dict[str, bool] = {}
        self._words = (choice.agent or "").casefold()
        self.asks_for_acw = choice.state == "acw"

    def fits(self, known: Known) -> bool:
        """Whether the conversation is chosen."""
        choice = self._choice
        if choice.beginning is not None and not known.view.id.startswith(choice.beginning):
            return False
        place, after = known.place, known.after
        if choice.queue is not None:
            queues = {work.queue for work in after} | ({place.queue} if place else set())
            if not (place or after):
                queues = {known.last_queue}
            if (choice.queue or None) not in queues:
                return False
        if choice.state == "acw":
            if not after:
                return False
        elif choice.state is not None and (place is None or place.state != choice.state):
            return False
        if choice.medium is not None and choice.medium not in media(known):
            return False
        return choice.agent is None or any(map(self.is_meant, people_of(known)))

    def is_meant(self, agent: str) -> bool:
        """Whether this agent is chosen, or no agent was chosen."""
        if self._choice.agent is None:
            return True
        found = self._agents.get(agent)
        if found is None:
            name = self._people.get(agent, "").casefold()
            found = agent.casefold().startswith(self._words) or self._words in name
            self._agents[agent] = found
        return found


def select(floor: Floor, chooser: Chooser, page: int, *, over: bool) -> Selection:
    """The chosen conversations. With `over`, ended conversations too."""
    found = Selection({}, Counter(), Counter(), [], 0, 0)
    doing: dict[str, list[str]] = {}
    listed: list[Known] = []
    for known in floor.everything():
        if not chooser.fits(known):
            continue
        _count(found, known)
        for agent, state in known.doing.items():
            if chooser.is_meant(agent):
                doing.setdefault(agent, []).append(state)
        if known.place is not None or (known.after and chooser.asks_for_acw) or over:
            listed.append(known)
    found.agents = Counter(busiest(states) for states in doing.values())
    found.count = len(listed)
    page = max(1, min(page, MOST_PAGES))
    chosen = heapq.nsmallest(page * PAGE, listed, key=rank)[(page - 1) * PAGE :]
    found.rows = [row(known) for known in chosen]
    return found


def listed(known: Iterable[Known], limit: int) -> list[tuple[Any, ...]]:
    """The first `limit` rows of conversations that have a place."""
    placed = (conversation for conversation in known if conversation.place is not None)
    return [row(conversation) for conversation in heapq.nsmallest(limit, placed, key=rank)]


def media(known: Known) -> set[str]:
    """The media of the legs that count, or of all legs if none counts."""
    return {leg.media_type for leg in known.moving.values() or known.view.legs.values()}


def people_of(known: Known) -> set[str]:
    """The agents of the legs that count."""
    legs = known.moving.values() or known.view.legs.values()
    return {leg.agent_id for leg in legs if leg.agent_id is not None}


def rank(known: Known) -> tuple[int, int, str]:
    """The sort key of a conversation in the list."""
    if known.place is None:
        return (_LAST + 1, 0, known.view.id)
    return (_ORDER.get(known.place.state, _LAST), known.place.since_ms, known.view.id)


def row(known: Known) -> tuple[Any, ...]:
    """A conversation as the page lists it: id, state, queue, since, medium, direction, agents.

    Each agent has a state, or the role: monitor, coach, barge, consulted.
    """
    legs = known.view.legs.values()
    open_legs = [leg for leg in legs if not leg.ended] or list(legs)[-1:]
    medium = next((leg.media_type for leg in open_legs), None)
    direction = next((leg.direction for leg in legs if leg.direction), None)
    agents = dict(known.doing)
    for leg in known.moving.values():
        if leg.role is not None and leg.agent_id is not None and is_live(leg):
            agents.setdefault(leg.agent_id, leg.role)
    if known.place is not None:
        state, queue, since_ms = known.place
    elif known.after:
        state, queue, since_ms = "acw", known.after[0].queue, known.after[0].since_ms
    else:
        state, queue, since_ms = OVER, known.last_queue, None
    return (known.view.id, state, queue, since_ms, medium, direction, list(agents.items())[:3])


def latest(
    events: Iterable[tuple[Any, ...]],
    find: Callable[[str], Known | None],
    chooser: Chooser,
    most: int,
) -> list[tuple[Any, ...]]:
    """The latest `most` events of chosen conversations, latest last. `events` are in that order."""
    found: list[tuple[Any, ...]] = []
    fitting: dict[str, bool] = {}
    for event in reversed(list(events)):
        name = event[6]
        if name not in fitting:
            known = find(name)
            fitting[name] = known is not None and chooser.fits(known)
        if fitting[name]:
            found.append(event)
            if len(found) >= most:
                break
    return found[::-1]


def _count(found: Selection, known: Known) -> None:
    for medium in media(known):
        found.media[medium] += 1
    if known.place is not None:
        state, queue, since_ms = known.place
        place = found.queues.setdefault(queue, Row())
        place.states[state] += 1
        found.live += 1
        if state == "waiting":
            place.waiting[known.view.id] = since_ms
    for work in known.after:
        found.queues.setdefault(work.queue, Row()).acw += 1
