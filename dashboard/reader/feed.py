"""From floor, rates and ticker to the messages of the view "Floor". Pure.

One message a tick: the totals, the rows of queues that changed, and the events since the last tick.
Once a second it adds a point of each chart, and the conversations that need attention. A full
message has all rows and the charts' past. All parts are bounded, however many conversations live.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

from dashboard.reader.floor import Floor, Row
from dashboard.reader.presence import Presences
from dashboard.reader.rates import Point, Rates
from dashboard.reader.selection import PAGE, Choice, Chooser, latest, listed, select
from dashboard.reader.today import Figures, Today, day_of
from mirror.conversation.event import Event

TICKER_KEPT: Final = 60
TICKER_A_TICK: Final = 8  # as many as an eye can follow; the others are only counted
TICKER_SEARCHED: Final = 3_000  # events that are searched for those of chosen conversations
FOUND_KEPT: Final = 50

_NOTHING: Final = Figures().values()


class Finalized:
    """Conversations that janitors ended: the number since this page began to read, and the
    latest."""

    def __init__(self) -> None:
        self.count = 0
        self.latest: deque[dict[str, Any]] = deque(maxlen=FOUND_KEPT)

    def note(self, event: Event, at_ms: int) -> None:
        """Count a `finalize`."""
        self.count += 1
        self.latest.append(
            {"id": event.conversation_id, "at": at_ms, "reason": event.reason or "ended"}
        )


class Ticker:
    """The latest new events, and those since the last tick."""

    def __init__(self) -> None:
        self.latest: deque[tuple[Any, ...]] = deque(maxlen=TICKER_KEPT)
        self.past: deque[tuple[Any, ...]] = deque(maxlen=TICKER_SEARCHED)
        self._fresh: deque[tuple[Any, ...]] = deque(maxlen=TICKER_A_TICK)
        self._count = 0

    def note(self, event: Event, at_ms: int) -> None:
        """Take a new event."""
        self._count += 1
        line = (
            at_ms,
            event.event_type,
            event.media_type,
            event.purpose,
            event.queue_id,
            event.agent_id,
            event.conversation_id,
            event.origin,
        )
        self._fresh.append(line)
        self.past.append(line)

    def take(self) -> tuple[list[tuple[Any, ...]], int]:
        """The events to show since the last call, and how many there were in all."""
        shown, count = list(self._fresh), self._count
        self.latest.extend(shown)
        self._fresh.clear()
        self._count = 0
        return shown, count


class Feed:
    """Makes the messages of a floor. It remembers what it has sent."""

    def __init__(
        self, floor: Floor, rates: Rates, presences: Presences | None, today: Today
    ) -> None:
        self.floor = floor
        self.rates = rates
        self.today = today
        self.counts_from_ms = 0  # since when today's figures are complete; 0 while the past is read
        self.ticker = Ticker()
        self._names: Mapping[str, str] = {}
        self._people: Mapping[str, str] = {}
        self._presences = presences
        self._slow: dict[str, Any] = {}
        self._slow_second = -1

    def tick(self, now_ms: int, opening: float | None) -> tuple[dict[str, Any], dict[str, Any]]:
        """The full document, and the changes since the last tick.

        `opening` is the share of the past that was read (0 to 1), None once all of it was read.
        """
        changed = [self._queue(queue) for queue in self.floor.changed | self.today.changed]
        self.floor.changed.clear()
        self.today.changed.clear()
        points = self.rates.turn(now_ms)
        shown, count = self.ticker.take()
        base = self._base(now_ms, opening)
        change = {**base, "queues": changed, "points": points, "ticker": shown, "count": count}
        if now_ms // 1000 != self._slow_second or not self._slow:
            self._slow_second = now_ms // 1000
            self._slow = self._second(now_ms)
            change |= self._slow
        return {**base, **self._slow, "full": True}, change

    def rest(self, now_ms: int) -> None:
        """Go on without messages, because no browser listens."""
        self.rates.turn(now_ms)
        self.ticker.take()
        self._slow = {}  # the next browser must not get old events
        if now_ms // 1000 != self._slow_second:
            self._slow_second = now_ms // 1000
            self._forget(now_ms)

    def complete(self, full: dict[str, Any]) -> dict[str, Any]:
        """Add to a full document the parts that only new streams need. Call it only if one
        waits."""
        points: Iterable[Point] = self.rates.points
        return full | {
            "queues": [self._queue(queue) for queue in self._all_queues()],
            "points": list(points),
            "ticker": list(self.ticker.latest),
            "count": 0,
        }

    def chosen(self, choice: Choice, page: int) -> dict[str, Any]:
        """The chosen conversations, a page of them, with their figures and latest events."""
        chooser = Chooser(choice, self._people)
        found = select(self.floor, chooser, page, over=choice.beginning is not None)
        return {
            "rows": found.rows,
            "people": self.people(found.rows),
            "count": found.count,
            "live": found.live,
            "page": page,
            "page_size": PAGE,
            "media": dict(found.media),
            "agents": dict(found.agents),
            "queues": [
                (queue, row.oldest_ms, row.acw, row.counts()) for queue, row in found.queues.items()
            ],
            "ticker": latest(self.ticker.past, self.floor.known, chooser, TICKER_KEPT),
        }

    def call(self, queues: Mapping[str, str], people: Mapping[str, str]) -> None:
        """Set the names of queues and agents, by id. The row of a renamed queue is sent again."""
        before, self._names, self._people = self._names, queues, people
        self.floor.changed.update(
            queue
            for queue in self._all_queues()
            if queue and before.get(queue) != queues.get(queue)
        )

    def person(self, agent: str | None) -> str | None:
        """The name of an agent, if it is known."""
        return self._people.get(agent) if agent is not None else None

    def name(self, queue: str | None) -> str | None:
        """The name of a queue, if it is known."""
        return self._names.get(queue) if queue is not None else None

    def people(self, rows: Iterable[tuple[Any, ...]]) -> dict[str, str]:
        """The names of the agents in `rows`, by id."""
        agents = {agent for row in rows for agent, _ in row[-1]}
        return {agent: self._people[agent] for agent in sorted(agents) if agent in self._people}

    def _base(self, now_ms: int, opening: float | None) -> dict[str, Any]:
        total = self.floor.total()
        waits = (row.oldest_ms for row in self.floor.queues.values() if row.waiting)
        return {
            "now": now_ms,
            "live": self.floor.live,
            "total": total.counts(),
            "acw": total.acw,
            "oldest": min((wait for wait in waits if wait is not None), default=None),
            "events": self.rates.events,
            "opening": opening,
        }

    def _second(self, now_ms: int) -> dict[str, Any]:
        self._forget(now_ms)
        rows = listed(self.floor.conversations(), PAGE)
        return {
            "rows": rows,
            "people": self.people(rows),
            "agents": self.floor.agent_counts(),
            "presence": self._presences.counts() if self._presences is not None else None,
            "left_out": self.floor.left_out,
            "today": {
                "day": self.today.day_ms,
                "from": self.counts_from_ms,
                "within": self.today.within_ms,
                "left_out": self.today.left_out,
            },
        }

    def _forget(self, now_ms: int) -> None:
        self.floor.forget(now_ms)
        self.today.turn(day_of(now_ms), now_ms)

    def _all_queues(self) -> set[str | None]:
        return self.floor.queues.keys() | self.today.queues.keys()

    def _queue(self, queue: str | None) -> tuple[Any, ...]:
        row = self.floor.queues.get(queue) or Row()
        day = self.today.queues.get(queue) if queue is not None else None
        values = _NOTHING if day is None else day.values()
        return (queue, self.name(queue), row.oldest_ms, row.acw, row.counts(), values)
