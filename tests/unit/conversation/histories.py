"""Histories of conversations and their deliveries, drawn by hypothesis.

A history is what happens to one conversation, each step shown by a snapshot. A delivery brings a
snapshot to one of two replicas: by user topic, queue topic, REST or analytics, once or again, late,
or after a restart; or, where a test says so, to nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from hypothesis import strategies as st

from mirror.conversation.event import Event
from mirror.conversation.normaliser import Normaliser
from tests.unit.conversation.build import at
from tests.unit.conversation.world import QUEUE, STAFF, Leg, Person, RoleName, World

MEDIA = ("call", "chat", "email", "message", "callback")
DISCONNECTS = ("client", "peer", "transfer", "transfer.dnd", "endpoint.dnd", "system")
MOST_PEOPLE = 6
MOST_LEGS = 9
MOST_CODES = 4
NEXT_ROLE: dict[RoleName, RoleName] = {"monitor": "coach", "coach": "barge", "barge": "monitor"}

History = list[World]  # snapshots of one conversation in their true order
Step = Callable[[str], None]  # happens at a time


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A conversation in which up to 16 things happen, each shown by a snapshot."""
    world = World(
        medium=draw(st.sampled_from(MEDIA)),
        order=draw(st.sampled_from(("append", "newest first", "replace"))),
        keys=draw(st.sampled_from(("kept", "gone"))),
        work=draw(st.sampled_from(("communication", "participant", "both"))),
        lingers=draw(st.booleans()),
        marked=draw(st.booleans()),
    )
    world.join("customer", draw(st.sampled_from(("connected", "offering", "alerting"))))
    snapshots = [world.snapshot()]
    for _ in range(draw(st.integers(1, 16))):
        now = world.tick(draw(st.integers(1, 5_000)))
        happens = draw(st.sampled_from(_possible(world)))
        happens(now)
        snapshots.append(world.snapshot())
    return snapshots


# --- what can happen ------------------------------------------------------------------------------


def _possible(world: World) -> list[Step]:
    """What can happen next."""
    steps: list[Step] = []
    if len(world.people) < MOST_PEOPLE:
        steps += [
            lambda _now: _hide(world.join("agent", "alerting", "q-1")),
            lambda _now: _hide(world.join("acd", "connected", "q-1")),
            lambda _now: _hide(world.join("user", "dialing")),
            lambda _now: _hide(world.join("voicemail", "connected")),
        ]
        serving = [person for person in world.people if _serves(person) and person.leg.talks]
        if serving:
            steps.append(partial(_supervise, world, serving[0]))
            if not any(person.consults or person.role == "consult" for person in world.people):
                steps.append(partial(_consult, world, serving[-1]))
    for person in world.people:
        steps += [partial(happens, person) for happens in _of_person(world, person)]
    return steps or [lambda _now: None]


def _hide(_person: Person) -> None:
    """Nothing: things that happen give nothing back."""


def _serves(person: Person) -> bool:
    return person.purpose in STAFF and person.role is None and not person.consults


def _of_person(world: World, person: Person) -> list[Callable[[Person, str], None]]:
    """What can happen to a participant next."""
    if person.over:
        return [*_of_who_left(world, person), *_after_call(person)]
    leg = _live(person)
    staff = person.purpose in STAFF
    end = partial(_end, world)
    if leg.state == "parked":
        return [_unpark, end]
    if leg.state != "connected":
        return [_answer, end]
    possible: list[Callable[[Person, str], None]] = [end]
    if not staff:
        return possible
    possible.append(_resume if leg.held_since else _hold)
    if leg.medium in {"email", "message"} and not leg.held_since:
        possible.append(_park)
    if person.role in NEXT_ROLE:
        possible.append(_turn)
    elif len(person.legs) == 1 and leg.medium == "callback" and leg.talks:
        possible.append(partial(_ring, world, "call", "contacting"))
    if person.role is None and len(person.legs) == 1 and len(leg.codes) < MOST_CODES:
        possible += [partial(_choose, code) for code in sorted(_other_codes(leg))]
    return possible


def _of_who_left(world: World, person: Person) -> list[Callable[[Person, str], None]]:
    """How somebody whose communications ended comes back."""
    possible: list[Callable[[Person, str], None]] = []
    if person.leg.medium == "call" and person.leg.state == "disconnected":
        possible.append(_terminate)
    if sum(len(person.legs) for person in world.people) >= MOST_LEGS:
        return possible
    if person is world.customer and world.over:
        possible.append(partial(_ring, world, world.medium, "connected"))
    if (
        person.purpose == "agent"
        and world.work != "participant"
        and world.medium != "callback"
        and all(saved for leg in person.legs for _, saved in leg.codes)
    ):
        possible.append(partial(_ring, world, world.medium, "alerting"))
    return possible


def _after_call(person: Person) -> list[Callable[[Person, str], None]]:
    """After-call work of the communication that was handled: of a callback that dialled, itself."""
    if person.purpose not in STAFF or person.role is not None:
        return []
    leg = handled(person)
    if leg.connected is None:
        return []
    if leg.acw == "none":
        return [_work, _skip]
    possible: list[Callable[[Person, str], None]] = []
    if leg.acw == "working":
        possible.append(_done)
    if leg.acw != "skipped" and len(leg.codes) < MOST_CODES:
        possible += [partial(_save, code) for code in sorted(_other_codes(leg))]
    return possible


def _other_codes(leg: Leg) -> set[str]:
    return {"A", "B"} - ({leg.codes[-1][0]} if leg.codes else set())


def handled(person: Person) -> Leg:
    """The communication that a participant's after-call work is of."""
    return person.legs[0] if person.legs[0].medium == "callback" else person.leg


def _supervise(world: World, whom: Person, _now: str) -> None:
    person = world.join("user", "dialing")
    person.role, person.on = "monitor", whom.id


def _consult(world: World, who: Person, _now: str) -> None:
    person = world.join("user", "alerting")
    person.role, who.consults = "consult", True
    person.on = who.on = world.customer.on = world.customer.id


def _turn(person: Person, _now: str) -> None:
    if person.role is not None:
        person.role = NEXT_ROLE[person.role]


def _ring(world: World, medium: str, state: str, person: Person, _now: str) -> None:
    queue_id = None if person.purpose == "customer" else f"q-{1 + len(person.legs) % 2}"
    if medium != world.medium:
        queue_id = person.leg.queue_id  # a call that a callback dials has the callback's
    world.ring(person, medium, state, queue_id)


def _live(person: Person) -> Leg:
    """The communication that lives: the call that a callback dialled before the callback."""
    return next(leg for leg in reversed(person.legs) if not leg.over)


def _answer(person: Person, now: str) -> None:
    leg = _live(person)
    leg.state, leg.connected = "connected", now


def _hold(person: Person, now: str) -> None:
    _live(person).holds.append((now, None))


def _resume(person: Person, now: str) -> None:
    holds = _live(person).holds
    holds[-1] = (holds[-1][0], now)


def _park(person: Person, now: str) -> None:
    leg = _live(person)
    leg.state = "parked"
    leg.parks.append((now, None))


def _unpark(person: Person, now: str) -> None:
    leg = _live(person)
    leg.state = "connected"
    leg.parks[-1] = (leg.parks[-1][0], now)


def _end(world: World, person: Person, now: str) -> None:
    """The latest live communication ends; with it a consultation that it is a part of."""
    leg = _live(person)
    leg.kind = DISCONNECTS[int(now[-4:-1]) % len(DISCONNECTS)]
    if person.role == "consult" and leg.connected:
        leg.kind = "transfer.consult" if leg.kind.startswith("transfer") else leg.kind
    elif person.consults:
        consulted = next(person for person in world.people if person.role == "consult")
        leg.kind = "transfer.consult" if consulted.leg.connected else "client"
    if person.role == "consult" or person.consults:
        for other in (*(person for person in world.people if person.consults), world.customer):
            other.consults, other.on = False, None
        for other in (person for person in world.people if person.role == "consult"):
            other.role = other.on = None
    for spells in (leg.holds, leg.parks):
        if spells and spells[-1][1] is None:
            spells[-1] = (spells[-1][0], now)
    leg.state, leg.ended_at = "disconnected", now


def _terminate(person: Person, _now: str) -> None:
    person.leg.state = "terminated"


def _work(person: Person, now: str) -> None:
    leg = handled(person)
    leg.acw, leg.acw_from = "working", now


def _skip(person: Person, now: str) -> None:
    leg = handled(person)
    leg.acw, leg.acw_from, leg.acw_until = "skipped", now, now


def _done(person: Person, now: str) -> None:
    leg = handled(person)
    leg.acw, leg.acw_until = "done", now


def _choose(code: str, person: Person, _now: str) -> None:
    """While somebody talks, a code is provisional: it has no time."""
    person.leg.codes.append((code, None))


def _save(code: str, person: Person, now: str) -> None:
    handled(person).codes.append((code, now))


# --- who gets it ----------------------------------------------------------------------------------

SHAPES = ("user", "queue", "rest", "analytics")


class Delivery(NamedTuple):
    """A snapshot on its way to a replica."""

    replica: str
    number: int
    shape: str
    restart: bool


@st.composite
def deliveries(draw: st.DrawFn, history: History, *, lossy: bool = False) -> list[Delivery]:
    """Who gets which snapshot in which shape, in the order of arrival.

    Each snapshot reaches somebody, unless `lossy`; it may come again, and up to four snapshots
    late. Both replicas see the last snapshot last. Analytics does not show all that a snapshot
    does, so it never is the only one.
    """
    receivers: tuple[tuple[str, ...], ...] = (("a",), ("b",), ("a", "b"), ("a", "a", "b"))
    if lossy:
        receivers = ((), (), *receivers)
    arrivals: list[tuple[int, int, Delivery]] = []
    for index in range(len(history)):
        for receiver in draw(st.sampled_from(receivers)):
            late = draw(st.integers(0, 4)) if draw(st.booleans()) else 0
            shape = draw(st.sampled_from(SHAPES))
            restart = draw(st.integers(0, 9)) == 0
            for source in ("user", shape) if shape == "analytics" else (shape,):
                delivery = Delivery(receiver, index, source, restart)
                arrivals.append((index + late, len(arrivals), delivery))
    arrivals.sort()
    last = len(history) - 1
    order = list(_undeceived(history, [delivery for _, _, delivery in arrivals]))
    return [*order, Delivery("a", last, "user", False), Delivery("b", last, "queue", False)]


def _undeceived(history: History, order: list[Delivery]) -> Iterator[Delivery]:
    """The deliveries, and a frame in time before each late one that nothing could give away.

    A process that starts, or lost frames, believes the first one it gets. If that one is from
    before an answer, the answer is news, and a hold that others told of and that ended unseen
    stays: whoever sees a leg answered cannot know that there is something to take back.
    """
    newest, doubting = 0, set[str]()
    for delivery in order:
        newest = max(newest, delivery.number)
        if delivery.restart:
            doubting.add(delivery.replica)
        if delivery.shape in {"rest", "analytics"}:
            doubting = {"a", "b"}
        elif delivery.replica in doubting:
            doubting.remove(delivery.replica)
            if _answered(history[delivery.number]) < _answered(history[newest]):
                yield delivery._replace(number=newest, shape="user")
                delivery = delivery._replace(restart=False)
        yield delivery


def _answered(world: World) -> set[str]:
    return {leg.id for person in world.people for leg in person.legs if leg.connected}


# --- what they tell -------------------------------------------------------------------------------


class Replica:
    """A listener's normaliser, which may die and come back knowing nothing, or be put to rest."""

    def __init__(self, *, resting: bool = False) -> None:
        self.normaliser = Normaliser()
        self._resting = resting

    def read(self, world: World, shape: str, clock: int) -> list[Event]:
        """The events of a snapshot in a shape."""
        received_at, now = at(clock), clock / 1000
        if shape == "rest":
            # Back-fill has a memory of its own, which lives for one conversation.
            reading = Normaliser().conversation(world.rest(), received_at, now)
        elif shape == "analytics":
            reading = Normaliser().analytics(world.analytics(), received_at, now)
        else:
            if self._resting:
                self.normaliser.memory.rest_after = 0.0
            raw = world.frame(QUEUE) if shape == "queue" else world.frame()
            reading = self.normaliser.frame(raw, received_at, now)
        assert reading.problem is None
        return reading.events


def told(history: History) -> list[Event]:
    """The events of somebody who sees everything in order, once."""
    replica = Replica()
    events: list[Event] = []
    for number, world in enumerate(history):
        events += replica.read(world, "user", 10_000_000 + number)
    return events


def received(history: History, order: list[Delivery], *, resting: bool = False) -> list[Event]:
    """The log of two replicas, whose conversations rest between two frames where a test says so."""
    replicas = {name: Replica(resting=resting) for name in "ab"}
    log: list[Event] = []
    for number, delivery in enumerate(order):
        if delivery.restart:
            replicas[delivery.replica] = Replica(resting=resting)
        clock = 20_000_000 + number * (2_000 if resting else 1)
        log += replicas[delivery.replica].read(history[delivery.number], delivery.shape, clock)
        if delivery.shape in {"rest", "analytics"}:
            # There is back-fill because there was a gap, which both replicas know of.
            for replica in replicas.values():
                replica.normaliser.interrupted()
    return log
