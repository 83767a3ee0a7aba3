"""Today, queue by queue: offered, answered, abandoned, service level, waits and handle times. Pure.

The figures are Genesys' own, computed from events alone (docs/dashboard.md, "Today"). Events may
come in any order and any number of times. A conversation is a set of facts (when a leg was first
seen, answered, over). After each new fact, the figures of the conversation are computed again.

A figure counts on the day on which it is complete: an answer when an agent answers, an abandonment
when the customer leaves, a handle time when the agent's leg is over.

Bounded: at most `MOST_KEPT` conversations keep their facts. A conversation that ended `QUIET_MS`
ago keeps its figures and loses its facts. Later events of it are ignored. At most `MOST_LEGS` legs
of a conversation count. Further legs are ignored.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from datetime import datetime
from itertools import accumulate
from typing import Final

import msgspec

from mirror.conversation.event import STAFF, Event
from mirror.conversation.legs import leg_name
from mirror.conversation.times import epoch_ms

MOST_KEPT: Final = 100_000
MOST_CLOSED: Final = 1_000_000
# Each new fact costs as much as there are legs: about a millisecond for this many.
MOST_LEGS: Final = 500
QUIET_MS: Final = 3_600_000
# The queue's leg and the customer's leg end in one frame, or in two frames in a row.
LEAVES_WITH_MS: Final = 3_000

_NEVER: Final = -1
_FOREVER: Final = 1 << 62
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
    is_cut: bool = False  # it has legs that are not counted


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
        was_cut = course.is_cut
        if _learn(course, event):
            self._count(course)
        self.left_out += course.is_cut and not was_cut

    def turn(self, day_ms: int, now_ms: int) -> None:
        """Begin a new day if one has begun, and drop facts that are no longer needed. Call it now
        and then."""
        if day_ms != self.day_ms:
            self.day_ms = day_ms
            self.left_out = sum(course.is_cut for course in self._kept.values())
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
    flow = _Flow(legs)
    for leg in legs:
        if leg.queue is None or not _serves(leg):
            continue
        if leg.answered is not None and leg.ended is not None and leg.ended >= day_ms:
            row = of(leg.queue)
            row.handled += 1
            row.handle_ms += max(0, leg.ended - leg.answered) + _after(leg)
    for leg in legs:
        if leg.purpose != "acd" or not leg.queue or leg.began is None:
            continue
        answered = flow.answer(leg.queue, leg.began)
        if leg.began >= day_ms:
            of(leg.queue).offered += 1
        if answered is not None:
            if answered >= day_ms:
                row = of(leg.queue)
                row.answered += 1
                row.wait_ms += answered - leg.began
                row.in_time += answered - leg.began <= within_ms
        elif leg.ended is not None and leg.ended >= day_ms:
            if flow.has_left(leg.ended) and not flow.goes_on(leg.began, leg.ended):
                of(leg.queue).abandoned += 1
            else:
                of(leg.queue).flowed_out += 1
    return found


class _Flow:
    """The waits and answers of a conversation in order, so that no lookup searches them all."""

    def __init__(self, legs: Iterable[LegFacts]) -> None:
        self._waits: defaultdict[str, list[int]] = defaultdict(list)  # by queue: when they began
        self._answers: defaultdict[str, list[int]] = defaultdict(list)  # by queue
        self._last_answer = _NEVER
        # When the customer had left; None if the customer is still there, or has no known leg.
        self._left: int | None = None
        stretches: list[tuple[int, int]] = []
        is_there = False
        for leg in legs:
            if leg.purpose == "acd" and leg.began is not None:
                stretches.append((leg.began, _FOREVER if leg.ended is None else leg.ended))
                if leg.queue:
                    self._waits[leg.queue].append(leg.began)
            elif leg.answered is not None and _serves(leg):
                self._last_answer = max(self._last_answer, leg.answered)
                if leg.queue:
                    self._answers[leg.queue].append(leg.answered)
            elif leg.purpose in _CUSTOMERS:
                is_there = is_there or leg.ended is None
                self._left = max(self._left or 0, leg.ended or 0)
        if is_there:
            self._left = None
        for times in (*self._waits.values(), *self._answers.values()):
            times.sort()
        stretches.sort()
        self._begins = [began for began, _ in stretches]
        # For each wait in any queue: the latest end of it and of all later waits.
        self._ends = list(accumulate((ended for _, ended in reversed(stretches)), max))[::-1]

    def answer(self, queue: str, began: int) -> int | None:
        """The first answer by an agent of the queue before the next wait in that queue."""
        answers, waits = self._answers[queue], self._waits[queue]
        first, after = bisect_left(answers, began), bisect_right(waits, began)
        until = waits[after] if after < len(waits) else _FOREVER
        return answers[first] if first < len(answers) and answers[first] < until else None

    def has_left(self, ended: int) -> bool:
        """Whether the customer had left when the wait ended."""
        return self._left is not None and self._left <= ended + LEAVES_WITH_MS

    def goes_on(self, began: int, ended: int) -> bool:
        """Whether a wait went on to another queue or an agent, however shortly."""
        later = bisect_right(self._begins, began)
        return self._last_answer >= ended or (later < len(self._ends) and self._ends[later] > ended)


def _serves(leg: LegFacts) -> bool:
    return leg.purpose in STAFF and not leg.has_role


def _after(leg: LegFacts) -> int:
    if leg.acw_began is None or leg.acw_ended is None:
        return 0
    return max(0, leg.acw_ended - leg.acw_began)


def _learn(course: Course, event: Event) -> bool:
    """Take an event of a leg. Returns whether it had a new fact."""
    kind = event.event_type
    if kind == "finalize":
        return _all_over(course, epoch_ms(event.occurred_at))
    name = leg_name(event)
    if not name or event.purpose is None:
        return False
    leg = course.legs.get(name)
    if leg is None:
        if len(course.legs) >= MOST_LEGS:
            course.is_cut = True
            return False
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
