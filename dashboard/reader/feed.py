"""From floor, pulse and ticker to the messages of the view "Floor". Pure.

One message a tick: the totals, the rows of queues that changed, the events since, and once a second
a point of each chart and the conversations that deserve a look. A full message has all rows and the
charts' past. Everything in it is bounded, however many conversations live.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from dashboard.reader.floor import Floor, Known
from dashboard.reader.place import STATES
from dashboard.reader.presence import Presences
from dashboard.reader.rates import Point, Pulse
from mirror.conversation.event import Event

TICKER_KEPT: Final = 60
TICKER_A_TICK: Final = 8  # what an eye can follow; the rest is counted, not shown
NOTABLE: Final = 50
MOST_LISTED: Final = 500
FOUND_KEPT: Final = 50

# Those who wait come first, then those on hold; the rest by how long they have been there.
_NOTABLE_ORDER: Final = {"waiting": 0, "ringing": 1, "held": 2, "talking": 3}


class Finalized:
    """What janitors ended: how many since this page began to read, and the latest."""

    def __init__(self) -> None:
        self.count = 0
        self.latest: deque[dict[str, Any]] = deque(maxlen=FOUND_KEPT)

    def note(self, event: Event, at_ms: int) -> None:
        """One `finalize` was read."""
        self.count += 1
        self.latest.append(
            {"id": event.conversation_id, "at": at_ms, "reason": event.reason or "ended"}
        )


class Ticker:
    """The latest new events, and those since the last tick."""

    def __init__(self) -> None:
        self.latest: deque[tuple[Any, ...]] = deque(maxlen=TICKER_KEPT)
        self._fresh: deque[tuple[Any, ...]] = deque(maxlen=TICKER_A_TICK)
        self._count = 0

    def note(self, event: Event, at_ms: int) -> None:
        """One new event."""
        self._count += 1
        self._fresh.append(
            (
                at_ms,
                event.event_type,
                event.media_type,
                event.purpose,
                event.queue_id,
                event.agent_id,
                event.conversation_id,
                event.origin,
            )
        )

    def take(self) -> tuple[list[tuple[Any, ...]], int]:
        """What to show of the events since the last call, and how many there were in all."""
        shown, count = list(self._fresh), self._count
        self.latest.extend(shown)
        self._fresh.clear()
        self._count = 0
        return shown, count


class Feed:
    """Makes the messages of one floor; remembers what it has sent."""

    def __init__(self, floor: Floor, pulse: Pulse, presences: Presences | None) -> None:
        self.floor = floor
        self.pulse = pulse
        self.ticker = Ticker()
        self._names: Mapping[str, str] = {}
        self._people: Mapping[str, str] = {}
        self._presences = presences
        self._slow: dict[str, Any] = {}
        self._slow_second = -1

    def tick(self, now_ms: int, opening: float | None) -> tuple[dict[str, Any], dict[str, Any]]:
        """The full document and the one of what changed since the last tick.

        `opening` is how much of the past has been read (0 to 1), None where all has.
        """
        changed = [self._queue(queue) for queue in self.floor.changed]
        self.floor.changed.clear()
        points = self.pulse.turn(now_ms)
        shown, count = self.ticker.take()
        base = self._base(now_ms, opening)
        change = {**base, "queues": changed, "points": points, "ticker": shown, "count": count}
        if now_ms // 1000 != self._slow_second:
            self._slow_second = now_ms // 1000
            self._slow = self._second(now_ms)
            change |= self._slow
        return {**base, **self._slow, "full": True}, change

    def rest(self, now_ms: int) -> None:
        """Go on without making messages: nobody listens."""
        self.pulse.turn(now_ms)
        self.ticker.take()
        if now_ms // 1000 != self._slow_second:
            self._slow_second = now_ms // 1000
            self.floor.forget(now_ms)

    def complete(self, full: dict[str, Any]) -> dict[str, Any]:
        """Add to a full document what only newcomers need; call it only where one waits."""
        points: Iterable[Point] = self.pulse.points
        return full | {
            "queues": [self._queue(queue) for queue in self.floor.queues],
            "points": list(points),
            "ticker": list(self.ticker.latest),
            "count": 0,
        }

    def rows(self, queue: str | None, state: str | None, limit: int) -> list[tuple[Any, ...]]:
        """The conversations of a queue (None: of all) in a state (None: in any), longest first."""
        found = (
            known
            for known in self.floor.conversations()
            if known.place is not None
            and (queue is None or (known.place.queue or "") == queue)
            and (state is None or known.place.state == state)
        )
        return self._listed(found, min(limit, MOST_LISTED))

    def call(self, queues: Mapping[str, str], people: Mapping[str, str]) -> None:
        """What queues and agents are called from now on, by id; a renamed queue's row is sent."""
        before, self._names, self._people = self._names, queues, people
        self.floor.changed.update(
            one for one in self.floor.queues if one and before.get(one) != queues.get(one)
        )

    def person(self, agent: str | None) -> str | None:
        """What an agent is called, where that is known."""
        return self._people.get(agent) if agent is not None else None

    def name(self, queue: str | None) -> str | None:
        """What a queue is called, where that is known."""
        return self._names.get(queue) if queue is not None else None

    def people(self, rows: Iterable[tuple[Any, ...]]) -> dict[str, str]:
        """The names of the agents in `rows`, by id."""
        agents = {agent for row in rows for agent in row[-1]}
        return {one: self._people[one] for one in sorted(agents) if one in self._people}

    def _base(self, now_ms: int, opening: float | None) -> dict[str, Any]:
        total = self.floor.total()
        waits = (row.oldest_ms for row in self.floor.queues.values() if row.waiting)
        return {
            "now": now_ms,
            "live": self.floor.live,
            "total": total.counts(),
            "acw": total.acw,
            "oldest": min((wait for wait in waits if wait is not None), default=None),
            "events": self.pulse.events,
            "opening": opening,
        }

    def _second(self, now_ms: int) -> dict[str, Any]:
        self.floor.forget(now_ms)
        rows = self._listed(self.floor.conversations(), NOTABLE)
        return {
            "rows": rows,
            "people": self.people(rows),
            "agents": self.floor.agent_counts(),
            "presence": self._presences.counts() if self._presences is not None else None,
            "left_out": self.floor.left_out,
        }

    def _queue(self, queue: str | None) -> tuple[Any, ...]:
        row = self.floor.queues[queue]
        return (queue, self.name(queue), row.oldest_ms, row.acw, row.counts())

    def _listed(self, known: Iterable[Known], limit: int) -> list[tuple[Any, ...]]:
        return [_row(one) for one in heapq.nsmallest(limit, _placed(known), key=_rank)]


def _placed(known: Iterable[Known]) -> Iterator[Known]:
    return (one for one in known if one.place is not None)


def _rank(known: Known) -> tuple[int, int, str]:
    assert known.place is not None
    order = _NOTABLE_ORDER.get(known.place.state, len(STATES))
    return (order, known.place.since_ms, known.view.id)


def _row(known: Known) -> tuple[Any, ...]:
    assert known.place is not None
    state, queue, since_ms = known.place
    media = next((leg.media_type for leg in known.view.legs.values() if not leg.ended), None)
    direction = next((leg.direction for leg in known.view.legs.values() if leg.direction), None)
    return (known.view.id, state, queue, since_ms, media, direction, list(known.doing)[:3])
