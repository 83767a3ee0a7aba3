"""The contact centre's floor: events in, counts by queue and state out.

`Floor.fold` takes events in the order of their partitions, repeats included. For each conversation,
it keeps the view of `mirror.conversation.fold`, the times at which its legs were first seen, and
its place (`dashboard.reader.floor_position`). Counts change with each event, so reading them is
cheap however many conversations live. `Floor.restore` takes conversations from the projector,
before the events that follow. If a conversation began before the part of the log that was read,
`Floor.adopt` adds what the tracker knows of it, and `Floor.recall` adds the times of its earlier
events.

Bounded: at most `MOST_LIVE` live conversations and `MOST_OVER` ended ones, each with at most
`MOST_MARKS` marks. `left_out` counts the others. Pure: no clock, no I/O.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Final

import msgspec

from dashboard.reader.floor_position import (
    STATES,
    AfterCall,
    FloorPosition,
    agents,
    busiest,
    counts,
    is_live,
    position_of,
)
from dashboard.reader.timeline import MOST_MARKS, Mark
from dashboard.reader.views import Restored
from mirror.conversation.event import RANK, Event
from mirror.conversation.fold import ConversationView, LegView, find_leg, fold, is_repeat
from mirror.conversation.legs import leg_name
from mirror.conversation.times import epoch_ms, show_ms
from mirror.fleet.tracked import Tracked

MOST_LIVE: Final = 100_000
MOST_OVER: Final = 5_000  # for after-call work, late repeats, and the list of ended ones
OVER_KEPT_MS: Final = 20 * 60_000  # longer than after-call work counts

_OF_CONVERSATION: Final = -1


class Known(msgspec.Struct):
    """One conversation as the floor knows it; `first_seen` has an entry for each leg.

    `moving` has the legs that count, by number: a handful, even in a thread of thousands.
    `last_queue` is the queue of the leg `queued`, the latest leg that has a queue.
    """

    view: ConversationView
    first_seen: list[int] = msgspec.field(default_factory=list)
    marks: list[Mark] = msgspec.field(default_factory=list)
    moving: dict[int, LegView] = msgspec.field(default_factory=dict)
    queued: int = -1
    last_queue: str | None = None
    place: FloorPosition | None = None
    after: list[AfterCall] = msgspec.field(default_factory=list)
    doing: dict[str, str] = msgspec.field(default_factory=dict)
    lapses_ms: int | None = None
    adopted: bool = False


class Row(msgspec.Struct):
    """One queue: its conversations by state, and since when each waiting conversation waits.

    `acw` counts agents in after-call work of this queue.
    """

    states: Counter[str] = msgspec.field(default_factory=Counter)
    waiting: dict[str, int] = msgspec.field(default_factory=dict)
    acw: int = 0

    @property
    def live(self) -> int:
        """The number of conversations of the queue."""
        return sum(self.states.values())

    @property
    def oldest_ms(self) -> int | None:
        """Since when the longest wait lasts."""
        return min(self.waiting.values(), default=None)

    def counts(self) -> list[int]:
        """The number of conversations in each of `STATES`."""
        return [self.states[state] for state in STATES]


class Floor:
    """Live conversations, and those that ended lately."""

    def __init__(self) -> None:
        self.queues: dict[str | None, Row] = {}
        self.changed: set[str | None] = set()  # queues whose row changed since this set was cleared
        self.left_out = 0
        self._live: dict[str, Known] = {}
        self._over: OrderedDict[str, tuple[int, Known]] = OrderedDict()
        self._agents: dict[str, dict[str, str]] = {}  # agent → conversation → state
        self._lapsing: dict[str, int] = {}

    # --- in ------------------------------------------------------------------------------------

    def fold(self, event: Event, now_ms: int) -> bool:
        """Take an event. Returns whether it was new. Raises `ValueError` for an invalid time."""
        at_ms = epoch_ms(event.occurred_at)
        known = self._find(event.conversation_id)
        if known is None:
            if len(self._live) >= MOST_LIVE:
                self.left_out += 1
                return False
            known = Known(ConversationView(id=event.conversation_id))
        fresh = event.origin == "snapshot" or not is_repeat(known.view, event)
        fold(known.view, event)
        self._mark(known, event, at_ms, fresh)
        self._settle(known, now_ms)
        return fresh

    def restore(self, restored: Restored, now_ms: int) -> None:
        """Take a conversation from the projector. Ended ones must come in the order of their
        ends."""
        view = restored.view
        if self._find(view.id) is not None:
            return
        if restored.ended_ms is None and len(self._live) >= MOST_LIVE:
            self.left_out += 1
            return
        known = Known(view, restored.first_seen, restored.marks)
        for leg in view.legs.values():
            _touch(known, leg)
        self._settle(known, now_ms)
        if view.id in self._over and restored.ended_ms is not None:
            self._over[view.id] = (restored.ended_ms, known)

    def recall(self, event: Event, now_ms: int) -> None:
        """Take only the time of an event that the view already contains. Raises `ValueError`."""
        known = self._find(event.conversation_id)
        if known is None or event.origin == "snapshot":
            return
        at_ms, number = epoch_ms(event.occurred_at), _OF_CONVERSATION
        if name := leg_name(event):
            leg = known.view.legs.get(name)
            if leg is None:
                return
            number = leg.number
            if at_ms < known.first_seen[number]:
                known.first_seen[number] = at_ms
                self._settle(known, now_ms)
        mark = Mark(at_ms, event.event_type, number)
        if len(known.marks) < MOST_MARKS and mark not in known.marks:
            known.marks.append(mark)

    def adopt(self, conversation_id: str, tracked: Tracked, now_ms: int) -> None:
        """Add open legs that the tracker knows but that were not in the part of the log that was
        read."""
        if conversation_id in self._over:
            return
        known = self._live.get(conversation_id)
        if known is None:
            if len(self._live) >= MOST_LIVE:
                self.left_out += 1
                return
            known = Known(ConversationView(id=conversation_id), adopted=True)
            known.view.started_at = show_ms(tracked.since_ms)
        for leg in tracked.legs:
            if leg.key.name in known.view.legs:
                continue
            known.adopted = True
            known.first_seen.append(tracked.since_ms)
            added = find_leg(known.view, leg.participant_id, leg.communication_id, leg.medium)
            added.purpose, added.direction = leg.purpose, leg.direction
            added.agent_id, added.queue_id = leg.agent_id, leg.queue_id
            added.role, added.role_participant_id = leg.role, leg.role_participant_id
            added.state, added.held = leg.state, leg.held
            added.rank = RANK["answer"] if leg.answered else RANK["alert"]
            _touch(known, added)
        self._settle(known, now_ms)

    def forget(self, now_ms: int) -> None:
        """End after-call work that lasts too long, and forget conversations that ended long ago.
        Call it now and then."""
        for conversation_id, lapses_ms in list(self._lapsing.items()):
            if now_ms >= lapses_ms and (known := self._find(conversation_id)) is not None:
                self._settle(known, now_ms)
        while self._over:
            conversation_id, (over_ms, known) = next(iter(self._over.items()))
            if len(self._over) <= MOST_OVER and now_ms - over_ms < OVER_KEPT_MS:
                return
            del self._over[conversation_id]
            self._take_out(known)

    # --- out -----------------------------------------------------------------------------------

    @property
    def live(self) -> int:
        """The number of conversations with a live leg."""
        return len(self._live)

    def known(self, conversation_id: str) -> Known | None:
        """A conversation that lives or ended lately."""
        return self._find(conversation_id)

    def conversations(self) -> Iterator[Known]:
        """All live conversations."""
        return iter(self._live.values())

    def everything(self) -> Iterator[Known]:
        """Live conversations, then those that ended lately, latest first."""
        yield from self._live.values()
        yield from (known for _, known in reversed(self._over.values()))

    def agent_counts(self) -> Counter[str]:
        """The number of agents in each state. An agent counts in one state, the most important."""
        return Counter(busiest(list(doing.values())) for doing in self._agents.values())

    def total(self) -> Row:
        """The sums of all queues, without the waits."""
        total = Row()
        for row in self.queues.values():
            total.states.update(row.states)
            total.acw += row.acw
        return total

    # --- inside --------------------------------------------------------------------------------

    def _find(self, conversation_id: str) -> Known | None:
        known = self._live.get(conversation_id)
        if known is None and (over := self._over.get(conversation_id)) is not None:
            return over[1]
        return known

    def _mark(self, known: Known, event: Event, at_ms: int, fresh: bool) -> None:
        number = _OF_CONVERSATION
        if event.participant_id is not None and event.media_type is not None:
            leg = find_leg(
                known.view, event.participant_id, event.communication_id, event.media_type
            )
            number = leg.number
            _touch(known, leg)
            known.first_seen += [at_ms] * (len(known.view.legs) - len(known.first_seen))
            # A leg's history may come late, and a reading does not say when the leg began.
            if event.origin != "snapshot":
                known.first_seen[number] = min(known.first_seen[number], at_ms)
        if fresh and event.origin != "snapshot":
            known.marks.append(Mark(at_ms, event.event_type, number))
            if len(known.marks) > MOST_MARKS:
                del known.marks[0]

    def _settle(self, known: Known, now_ms: int) -> None:
        """Move a conversation in the counts from its old place to its present place."""
        self._take_out(known)
        view = known.view
        moving = sorted(known.moving.items())
        known.moving = {number: leg for number, leg in moving if counts(leg, now_ms)}
        legs = known.moving.values()
        known.place = position_of(legs, known.first_seen, known.last_queue)
        known.doing, known.after, known.lapses_ms = agents(legs, now_ms)
        self._put_in(known)
        if any(is_live(leg) for leg in legs):
            self._over.pop(view.id, None)
            self._live[view.id] = known
        else:
            self._live.pop(view.id, None)
            if view.id not in self._over:
                self._over[view.id] = (now_ms, known)

    def _take_out(self, known: Known) -> None:
        view_id = known.view.id
        if known.place is not None:
            row = self._row(known.place.queue)
            row.states[known.place.state] -= 1
            row.waiting.pop(view_id, None)
        for work in known.after:
            self._row(work.queue).acw -= 1
        for agent in known.doing:
            doing = self._agents[agent]
            doing.pop(view_id, None)
            if not doing:
                del self._agents[agent]
        self._lapsing.pop(view_id, None)
        known.place, known.after, known.doing, known.lapses_ms = None, [], {}, None

    def _put_in(self, known: Known) -> None:
        view_id = known.view.id
        if known.place is not None:
            state, queue, since_ms = known.place
            row = self._row(queue)
            row.states[state] += 1
            if state == "waiting":
                row.waiting[view_id] = since_ms
        for work in known.after:
            self._row(work.queue).acw += 1
        for agent, state in known.doing.items():
            self._agents.setdefault(agent, {})[view_id] = state
        if known.lapses_ms is not None:
            self._lapsing[view_id] = known.lapses_ms

    def _row(self, queue: str | None) -> Row:
        self.changed.add(queue)
        return self.queues.setdefault(queue, Row())


def _touch(known: Known, leg: LegView) -> None:
    """Note a changed leg. It may count now, and it sets the latest queue if no later leg has a
    queue."""
    known.moving[leg.number] = leg
    if leg.queue_id is not None and leg.number >= known.queued:
        known.queued, known.last_queue = leg.number, leg.queue_id
