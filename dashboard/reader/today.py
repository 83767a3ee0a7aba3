"""Today, queue by queue: offered, answered, abandoned, service level, waits and handle times. Pure.

The figures are Genesys' own, computed from events alone (docs/dashboard.md, "Today"). Events may
come in any order and any number of times. A conversation is a set of facts (when a leg was first
seen, answered, over). Each new fact computes its figures again.

A figure counts on the day on which it is complete: an answer when an agent answers, an abandonment
when the customer leaves, a handle time when the agent's leg is over.

Bounded: at most `MOST_KEPT` conversations keep their facts. A conversation that ended `QUIET_MS`
ago keeps its figures and loses its facts. Later events of it are ignored.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Final

import msgspec

from dashboard.reader.floor_position import epoch_ms
from mirror.conversation.event import STAFF, Event
from mirror.conversation.legs import leg_key

MOST_KEPT: Final = 100_000
MOST_CLOSED: Final = 1_000_000
QUIET_MS: Final = 3_600_000
# The queue's leg and the customer's leg end in one frame, or in two frames in a row.
LEAVES_WITH_MS: Final = 3_000

_CUSTOMERS: Final = frozenset({"customer", "external"})
_BEGINS: Final = frozenset({"dial", "alert", "answer"})
_ENDS: Final = frozenset({"disconnect", "transfer"})


class Figures(msgspec.Struct):
    """One queue's day. Waits and handle times are sums in milliseconds."""

    offered: int = 0
    answered: int = 0
    in_time: int = 0  # of the answered
    abandoned: int = 0
    flowed_out: int = 0
    wait_ms: int = 0  # of the answered
    handled: int = 0
    handle_ms: int = 0

    def add(self, other: Figures, sign: int = 1) -> None:
        """Add other figures, or subtract them."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + sign * getattr(other, name))

    def values(self) -> tuple[int, ...]:
        """The figures for the page, in the order of the fields."""
        return msgspec.structs.astuple(self)

    @property
    def service_level(self) -> float | None:
        """The part of answered and abandoned conversations that was answered in time."""
        out_of = self.answered + self.abandoned
        return self.in_time / out_of if out_of else None


class LegFacts(msgspec.Struct):
    """The facts of a leg. Times are epoch milliseconds."""

    purpose: str
    queue: str | None = None
    has_role: bool = False
    began: int | None = None
    answered: int | None = None
    ended: int | None = None
    acw_began: int | None = None
    acw_ended: int | None = None


class Course(msgspec.Struct):
    """A conversation: its legs, and its figures that were counted, by queue."""

    legs: dict[str, LegFacts] = msgspec.field(default_factory=dict)
    counted: dict[str, Figures] = msgspec.field(default_factory=dict)
    touched_ms: int = 0


class Today:
    """The figures of the day that began at `day_ms`. Answers within `within_ms` are in time."""

    def __init__(self, day_ms: int, within_ms: int) -> None:
        self.queues: dict[str, Figures] = {}
        self.changed: set[str] = set()  # queues whose figures changed since this set was cleared
        self.left_out = 0
        self.day_ms = day_ms
        self.within_ms = within_ms
        self._kept: OrderedDict[str, Course] = OrderedDict()
        self._closed: set[int] = set()

    def note(self, event: Event, now_ms: int) -> None:
        """Take an event. Raises `ValueError` for an invalid time."""
        if event.origin == "snapshot":  # its time is that of the reading
            return
        course = self._kept.get(event.conversation_id)
        if course is None:
            if hash(event.conversation_id) in self._closed:
                return
            course = self._kept[event.conversation_id] = Course()
        course.touched_ms = now_ms
        self._kept.move_to_end(event.conversation_id)
        if _learn(course, event):
            self._count(course)

    def turn(self, day_ms: int, now_ms: int) -> None:
        """Begin a new day if one has begun, and drop facts that are no longer needed. Call it now
        and then."""
        if day_ms != self.day_ms:
            self.day_ms, self.left_out = day_ms, 0
            self._closed.clear()
            self.changed.update(self.queues)
            self.queues.clear()
            for course in self._kept.values():
                course.counted = {}
                self._count(course)
        while self._kept:
            name, course = next(iter(self._kept.items()))
            is_full = len(self._kept) > MOST_KEPT
            if not is_full and now_ms - course.touched_ms < QUIET_MS:
                return
            if not is_full and any(leg.ended is None for leg in course.legs.values()):
                course.touched_ms = now_ms
                self._kept.move_to_end(name)
                continue
            self._close(name)

    def _close(self, name: str) -> None:
        del self._kept[name]
        if len(self._closed) < MOST_CLOSED:
            self._closed.add(hash(name))
        else:
            self.left_out += 1

    def _count(self, course: Course) -> None:
        now = figures(course, self.day_ms, self.within_ms)
        if now == course.counted:
            return
        for queue, before in course.counted.items():
            self.queues[queue].add(before, -1)
        for queue, after in now.items():
            self.queues.setdefault(queue, Figures()).add(after)
        self.changed.update(course.counted, now)
        course.counted = now


def day_of(now_ms: int) -> int:
    """When this moment's day began, in the time zone of this process (`TZ`)."""
    moment = datetime.fromtimestamp(now_ms / 1000).astimezone()
    begin = moment.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    return round(begin.astimezone().timestamp() * 1000)


def figures(course: Course, day_ms: int, within_ms: int) -> dict[str, Figures]:
    """The figures that a conversation adds to its queues on the day that began at `day_ms`."""
    found: dict[str, Figures] = {}

    def of(queue: str) -> Figures:
        return found.setdefault(queue, Figures())

    legs = course.legs.values()
    waits = [leg for leg in legs if leg.purpose == "acd" and leg.queue and leg.began is not None]
    for leg in legs:
        if leg.purpose not in STAFF or leg.queue is None or leg.has_role:
            continue
        if leg.answered is not None and leg.ended is not None and leg.ended >= day_ms:
            row = of(leg.queue)
            row.handled += 1
            row.handle_ms += max(0, leg.ended - leg.answered) + _after(leg)
    for wait, answered in _answers(waits, course):
        assert wait.queue is not None
        assert wait.began is not None
        if wait.began >= day_ms:
            of(wait.queue).offered += 1
        if answered is not None:
            if answered >= day_ms:
                row = of(wait.queue)
                row.answered += 1
                row.wait_ms += answered - wait.began
                row.in_time += answered - wait.began <= within_ms
        elif wait.ended is not None and wait.ended >= day_ms:
            if _has_left(course, wait.ended) and not _goes_on(course, wait):
                of(wait.queue).abandoned += 1
            else:
                of(wait.queue).flowed_out += 1
    return found


def _answers(waits: list[LegFacts], course: Course) -> list[tuple[LegFacts, int | None]]:
    """Each wait, with the first answer by an agent of its queue before the next wait in that
    queue."""
    staff = [
        leg
        for leg in course.legs.values()
        if leg.purpose in STAFF and leg.answered is not None and not leg.has_role
    ]
    found: list[tuple[LegFacts, int | None]] = []
    for wait in waits:
        began = wait.began or 0
        later = [w.began or 0 for w in waits if w.queue == wait.queue and (w.began or 0) > began]
        until = min(later, default=None)
        answers = [
            leg.answered
            for leg in staff
            if leg.queue == wait.queue
            and leg.answered is not None
            and leg.answered >= began
            and (until is None or leg.answered < until)
        ]
        found.append((wait, min(answers, default=None)))
    return found


def _has_left(course: Course, ended_ms: int) -> bool:
    """Whether the customer had left when the wait ended."""
    ends = [leg.ended for leg in course.legs.values() if leg.purpose in _CUSTOMERS]
    known = [end for end in ends if end is not None]
    return bool(ends) and len(known) == len(ends) and max(known) <= ended_ms + LEAVES_WITH_MS


def _goes_on(course: Course, wait: LegFacts) -> bool:
    """Whether the conversation went on to another queue or an agent, however shortly."""
    began, ended = wait.began or 0, wait.ended or 0
    return any(
        (leg.began or 0) > began and (leg.ended is None or leg.ended > ended)
        if leg.purpose == "acd"
        else leg.purpose in STAFF and not leg.has_role and (leg.answered or 0) >= ended
        for leg in course.legs.values()
    )


def _after(leg: LegFacts) -> int:
    if leg.acw_began is None or leg.acw_ended is None:
        return 0
    return max(0, leg.acw_ended - leg.acw_began)


def _learn(course: Course, event: Event) -> bool:
    """Take an event of a leg. Returns whether it had a new fact."""
    kind = event.event_type
    if kind == "finalize":
        return _all_over(course, epoch_ms(event.occurred_at))
    if event.participant_id is None or event.media_type is None or event.purpose is None:
        return False
    name = leg_key(event.participant_id, event.communication_id, event.media_type).name
    leg = course.legs.get(name)
    if leg is None:
        leg = course.legs[name] = LegFacts(event.purpose)
    before = msgspec.structs.astuple(leg)
    at_ms = epoch_ms(event.occurred_at)
    leg.purpose = event.purpose
    leg.queue = event.queue_id or leg.queue
    leg.has_role = leg.has_role or event.role is not None
    if kind in _BEGINS:
        leg.began = _first(leg.began, at_ms)
    if kind == "answer":
        leg.answered = _first(leg.answered, at_ms)
    elif kind in _ENDS:
        leg.ended = _first(leg.ended, at_ms)
    elif kind == "acw":
        leg.acw_began = _first(leg.acw_began, at_ms)
    elif kind == "acw_end":
        leg.acw_ended = _first(leg.acw_ended, at_ms)
    return msgspec.structs.astuple(leg) != before


def _all_over(course: Course, at_ms: int) -> bool:
    """A janitor found the conversation ended: end its open legs."""
    for leg in course.legs.values():
        leg.ended = at_ms if leg.ended is None else leg.ended
    return True


def _first(known: int | None, at_ms: int) -> int:
    return at_ms if known is None else min(known, at_ms)
