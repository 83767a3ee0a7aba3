"""Identity and convergence: whatever two replicas see in whatever order, the story is one.

Histories are generated; every snapshot of them reaches one replica or both, in one of the shapes,
repeated, late, or after a restart.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mirror.event import Event, identity
from mirror.fold import ConversationView, fold
from mirror.normaliser import Normaliser
from tests.unit.normaliser.build import World, at

STAFF = ("agent", "user")
MEDIA = ("call", "chat", "email", "message", "callback")
DISCONNECTS = ("client", "peer", "transfer", "transfer.dnd", "endpoint.dnd", "system")
UNDATED_OR_WITNESSED = {"resume", "unpark"}


class History:
    """Snapshots of one conversation in their true order; the world at the end of it."""

    def __init__(self, snapshots: list[World], medium: str) -> None:
        self.snapshots = snapshots
        self.medium = medium


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A conversation of one medium in which up to 16 things happen, each shown by a snapshot."""
    medium = draw(st.sampled_from(MEDIA))
    world = World()
    world.join("customer", medium, draw(st.sampled_from(("connected", "offering", "alerting"))))
    snapshots = [world.snapshot()]
    for _ in range(draw(st.integers(1, 16))):
        now = world.tick(draw(st.integers(1, 5_000)))
        happens = draw(st.sampled_from(_possible(world)))
        happens(now)
        snapshots.append(world.snapshot())
    return History(snapshots, medium)


def _possible(world: World) -> list[Callable[[str], None]]:
    """What can happen next."""
    medium = world.participants[0]["medium"]
    things: list[Callable[[str], None]] = []
    if len(world.participants) < 6:
        things += [
            lambda _now: world.join("agent", medium, "alerting"),
            lambda _now: world.join("acd", medium, "connected"),
            lambda _now: world.join("user", medium, "dialing"),
        ]
    for person in world.participants:
        things += _of_person(person)
    return things or [lambda _now: None]


def _of_person(person: dict[str, Any]) -> list[Callable[[str], None]]:
    """What can happen to a participant next."""
    leg, staff = person["leg"], person["purpose"] in STAFF
    possible: list[Callable[[dict[str, Any], str], None]]
    if leg["state"] in {"disconnected", "terminated"}:
        possible = [_terminate] if person["medium"] == "call" else []
        if staff and "connectedTime" in leg:
            possible.append(_wrap_up if "startAcwTime" in person else _after_call)
    elif leg["state"] == "parked":
        possible = [_unpark, _end]
    elif leg["state"] != "connected":
        possible = [_answer, _end]
    else:
        possible = [_end]
        if staff:
            possible.append(_resume if leg["held"] else _hold)
        if staff and person["medium"] in {"email", "message"} and not leg["held"]:
            possible.append(_park)
    return [partial(happens, person) for happens in possible]


def _answer(person: dict[str, Any], now: str) -> None:
    person["leg"].update(state="connected", connectedTime=now)


def _hold(person: dict[str, Any], now: str) -> None:
    person["leg"].update(held=True, startHoldTime=now)


def _resume(person: dict[str, Any], _now: str) -> None:
    person["leg"].update(held=False)
    del person["leg"]["startHoldTime"]


def _park(person: dict[str, Any], now: str) -> None:
    person["leg"].update(state="parked", parkTime=now)


def _unpark(person: dict[str, Any], now: str) -> None:
    person["leg"].update(state="connected", resumeTime=now)


def _end(person: dict[str, Any], now: str) -> None:
    kind = DISCONNECTS[int(now[-4:-1]) % len(DISCONNECTS)]
    person["leg"].update(
        state="disconnected", disconnectedTime=now, disconnectType=kind, held=False
    )
    person["leg"].pop("startHoldTime", None)


def _terminate(person: dict[str, Any], _now: str) -> None:
    person["leg"].update(state="terminated")


def _after_call(person: dict[str, Any], now: str) -> None:
    person["startAcwTime"] = now


def _wrap_up(person: dict[str, Any], now: str) -> None:
    person["wrapup"] = {"code": "w-1", "endTime": now, "notes": "secret"}


def rendered(world: World, medium: str, shape: str) -> tuple[str, bytes]:
    """A snapshot in a shape, and how it is read."""
    if shape == "rest":
        return "rest", world.rest()
    if shape == "flat":
        return "frame", world.flat(medium)
    topic = "v2.routing.queues.q-1.conversations" if shape == "queue" else None
    return "frame", world.nested(topic) if topic else world.nested()


SHAPES = ("user", "queue", "flat", "rest")
LATE_SHAPES = ("user", "queue", "rest")


@st.composite
def deliveries(draw: st.DrawFn, history: History) -> list[tuple[str, int, str, bool]]:
    """Who gets which snapshot in which shape, in the order of arrival, and before which restart.

    Each snapshot reaches somebody; it may come again, and up to four snapshots late. Both replicas
    see the last snapshot last.
    """
    arrivals: list[tuple[int, int, str, int, str, bool]] = []
    for index in range(len(history.snapshots)):
        receivers = draw(st.sampled_from((("a",), ("b",), ("a", "b"), ("a", "a", "b"))))
        for receiver in receivers:
            late = draw(st.integers(0, 4)) if draw(st.booleans()) else 0
            # A flat frame lacks the legs of other media, so a late one cannot tell an end.
            shape = draw(st.sampled_from(SHAPES if not late else LATE_SHAPES))
            restart = draw(st.integers(0, 9)) == 0
            arrivals.append((index + late, len(arrivals), receiver, index, shape, restart))
    arrivals.sort()
    last = len(history.snapshots) - 1
    order = [(who, index, shape, restart) for _, _, who, index, shape, restart in arrivals]
    return [*order, ("a", last, "user", False), ("b", last, "queue", False)]


class Replica:
    """A listener's normaliser, which may die and come back knowing nothing."""

    def __init__(self) -> None:
        self.normaliser = Normaliser()

    def read(self, kind: str, raw: bytes, clock: int) -> list[Event]:
        if kind == "rest":
            # Back-fill has a memory of its own, which lives for one conversation.
            reading = Normaliser().conversation(raw, at(clock), clock / 1000)
        else:
            reading = self.normaliser.frame(raw, at(clock), clock / 1000)
        assert reading.problem is None
        return reading.events


def told(history: History) -> list[Event]:
    """The events of somebody who sees everything in order, once, in the nested shape."""
    replica = Replica()
    events: list[Event] = []
    for number, world in enumerate(history.snapshots):
        events += replica.read("frame", world.nested(), 10_000_000 + number)
    return events


def received(history: History, order: list[tuple[str, int, str, bool]]) -> list[Event]:
    """The log of two replicas."""
    replicas = {"a": Replica(), "b": Replica()}
    log: list[Event] = []
    for number, (who, index, shape, restart) in enumerate(order):
        if restart:
            replicas[who] = Replica()
        kind, raw = rendered(history.snapshots[index], history.medium, shape)
        log += replicas[who].read(kind, raw, 20_000_000 + number)
        if kind == "rest":
            # There is back-fill because there was a gap, which both replicas know of.
            for replica in replicas.values():
                replica.normaliser.interrupted()
    return log


def true_ids(events: list[Event]) -> dict[str, Event]:
    """Transitions by id; snapshot readings are none."""
    return {event.event_id: event for event in events if event.origin != "snapshot"}


@given(st.data())
def test_two_replicas_tell_the_same_transitions(data: st.DataObject) -> None:
    """Loss, repetition, lateness, restarts and shapes change neither the set nor the ids.

    Only a resume can need two snapshots to be seen, of which a replica may have got one; and one
    that is told of a late frame is of a hold that was.
    """
    history = data.draw(histories())
    log = received(history, data.draw(deliveries(history)))
    truth, seen = true_ids(told(history)), true_ids(log)
    missing = {e.event_type for event_id, e in truth.items() if event_id not in seen}
    assert missing <= UNDATED_OR_WITNESSED
    holds = {
        (e.participant_id, e.hold_started_at) for e in truth.values() if e.event_type == "hold"
    }
    for event_id, event in seen.items():
        if event.event_type == "resume":
            assert (event.participant_id, event.hold_started_at) in holds
        else:
            assert event_id in truth, event


@given(st.data())
def test_views_converge_with_the_last_snapshot(data: st.DataObject) -> None:
    """After any loss, the snapshot that both replicas read last makes the view true again."""
    history = data.draw(histories())
    log = received(history, data.draw(deliveries(history)))
    view: ConversationView | None = None
    for event in log:
        view = fold(view, event)
    assert view is not None
    _agrees(view, history.snapshots[-1])


@given(st.data())
def test_repeats_change_nothing(data: st.DataObject) -> None:
    """A log that is read twice, as after a lost offset, folds to what it folded to before."""
    history = data.draw(histories())
    log = told(history)
    once: ConversationView | None = None
    for event in log:
        once = fold(once, event)
    twice: ConversationView | None = None
    for event in [*log, *log]:
        twice = fold(twice, event)
    assert once is not None
    assert twice is not None
    _agrees(once, history.snapshots[-1])
    _agrees(twice, history.snapshots[-1])


def _agrees(view: ConversationView, world: World) -> None:
    """Whether the view is the truth, for all that frames can show of it."""
    assert view.state == ("ended" if world.over else "active")
    legs = {leg.participant_id: leg for leg in view.legs}
    for person in world.participants:
        truth = person["leg"]
        over = truth["state"] in {"disconnected", "terminated"}
        leg = legs[person["id"]]
        assert leg.ended == over
        assert leg.held == truth["held"]
        assert leg.hold_started_at == truth.get("startHoldTime")
        assert leg.answered_at == truth.get("connectedTime")
        if over:
            assert leg.ended_at == truth["disconnectedTime"]
        else:
            assert leg.state == truth["state"]
        if "startAcwTime" in person:
            assert leg.acw_started_at == person["startAcwTime"]
        if "wrapup" in person:
            assert leg.wrapup_code == "w-1"


def test_an_id_is_a_hash_of_content() -> None:
    """The same words give the same id, in every version of this mirror."""
    assert identity("c-1", "p-1", "call", "answer", "") == "b9bbff4053385ed383ee9b5c49ca96f0"
    assert identity("c-1", "p-1", "call", "answer") != identity("c-1", "p-1", "callanswer")
