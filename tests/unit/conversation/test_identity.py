"""Identity and convergence: whatever two replicas see in whatever order, the story is one.

Histories are generated: of one medium, or of callbacks that dial calls. Their snapshots reach one
replica or both, over user topics, queue topics, flat topics of either and REST, repeated, late, or
after a restart; or, where a test says so, nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from mirror.conversation.event import Event, identity
from mirror.conversation.fold import ConversationView
from mirror.conversation.normaliser import Normaliser
from tests.unit.conversation.build import World, at, folded

STAFF = ("agent", "user")
MEDIA = ("call", "chat", "email", "message", "callback")
DISCONNECTS = ("client", "peer", "transfer", "transfer.dnd", "endpoint.dnd", "system")
UNDATED_OR_WITNESSED = {"resume", "unpark"}


History = list[World]  # snapshots of one conversation in their true order


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A conversation in which up to 16 things happen, each shown by a snapshot."""
    medium = draw(st.sampled_from(MEDIA))
    world = World()
    world.join("customer", medium, draw(st.sampled_from(("connected", "offering", "alerting"))))
    snapshots = [world.snapshot()]
    for _ in range(draw(st.integers(1, 16))):
        now = world.tick(draw(st.integers(1, 5_000)))
        happens = draw(st.sampled_from(_possible(world)))
        happens(now)
        snapshots.append(world.snapshot())
    return snapshots


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
        if _may_dial(world, person):
            things.append(partial(_dial, world, person))
    return things or [lambda _now: None]


def _of_person(person: dict[str, Any]) -> list[Callable[[str], None]]:
    """What can happen to a participant next."""
    leg = person["leg"]
    staff = person["purpose"] in STAFF and "dialled" not in person
    possible: list[Callable[[dict[str, Any], str], None]]
    if leg["state"] in {"disconnected", "terminated"}:
        possible = [_terminate] if person["medium"] == "call" else []
        if staff and "connectedTime" in leg and "wrapup" not in person:
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


def _may_dial(world: World, person: dict[str, Any]) -> bool:
    """Whether this is a callback whose agent has not called yet."""
    ids = [other["id"] for other in world.participants]
    talks = person["leg"]["state"] == "connected" and person["purpose"] in STAFF
    return person["medium"] == "callback" and talks and ids.count(person["id"]) == 1


def _dial(world: World, person: dict[str, Any], _now: str) -> None:
    world.join(person["purpose"], "call", "contacting", of=person["id"])
    world.participants[-1]["dialled"] = True  # its after-call work is the callback's


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


USER = "v2.users.u-1.conversations"
QUEUE = "v2.routing.queues.q-1.conversations"
SHAPES = ("user", "queue", "flat user", "flat queue", "rest")
LATE_SHAPES = ("user", "queue", "rest")


def rendered(world: World, shape: str) -> list[tuple[str, bytes]]:
    """A snapshot in a shape, and how it is read. Flat topics have a frame for each medium."""
    if shape == "rest":
        return [("rest", world.rest())]
    topic = QUEUE if "queue" in shape else USER
    if "flat" in shape:
        return [("frame", world.flat(medium, topic)) for medium in sorted(world.media)]
    return [("frame", world.nested(topic))]


class Delivery(NamedTuple):
    """A snapshot (by its number) that reaches a replica; it may restart before."""

    replica: str
    number: int
    shape: str
    restart: bool


@st.composite
def deliveries(draw: st.DrawFn, history: History, *, lossy: bool = False) -> list[Delivery]:
    """Who gets which snapshot in which shape, in the order of arrival.

    Each snapshot reaches somebody, unless `lossy`; it may come again, and up to four snapshots
    late. Both replicas see the last snapshot last.
    """
    receivers: tuple[tuple[str, ...], ...] = (("a",), ("b",), ("a", "b"), ("a", "a", "b"))
    if lossy:
        receivers = ((), (), *receivers)
    arrivals: list[tuple[int, int, Delivery]] = []
    for index in range(len(history)):
        for receiver in draw(st.sampled_from(receivers)):
            late = draw(st.integers(0, 4)) if draw(st.booleans()) else 0
            # A flat frame lacks the legs of other media, so a late one cannot tell an end.
            shape = draw(st.sampled_from(SHAPES if not late else LATE_SHAPES))
            restart = draw(st.integers(0, 9)) == 0
            delivery = Delivery(receiver, index, shape, restart)
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
        if delivery.shape == "rest":
            doubting = {"a", "b"}
        elif delivery.replica in doubting:
            doubting.remove(delivery.replica)
            if _answered(history[delivery.number]) < _answered(history[newest]):
                yield delivery._replace(number=newest, shape="user")
                delivery = delivery._replace(restart=False)
        yield delivery


def _answered(world: World) -> set[str]:
    return {p["leg"]["id"] for p in world.participants if "connectedTime" in p["leg"]}


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
    for number, world in enumerate(history):
        events += replica.read("frame", world.nested(), 10_000_000 + number)
    return events


def received(history: History, order: list[Delivery]) -> list[Event]:
    """The log of two replicas."""
    replicas = {"a": Replica(), "b": Replica()}
    log: list[Event] = []
    for number, delivery in enumerate(order):
        if delivery.restart:
            replicas[delivery.replica] = Replica()
        for kind, raw in rendered(history[delivery.number], delivery.shape):
            log += replicas[delivery.replica].read(kind, raw, 20_000_000 + number)
        if delivery.shape == "rest":
            # There is back-fill because there was a gap, which both replicas know of.
            for replica in replicas.values():
                replica.normaliser.interrupted()
    return log


def true_ids(events: list[Event]) -> dict[str, Event]:
    """Transitions by id; snapshot readings are none."""
    return {event.event_id: event for event in events if event.origin != "snapshot"}


def invented(truth: dict[str, Event], seen: dict[str, Event]) -> list[Event]:
    """What was told and never happened.

    A resume that is told of a late frame is of a hold that was; which resume ends it, frames do not
    say.
    """
    holds = {
        (e.participant_id, e.hold_started_at) for e in truth.values() if e.event_type == "hold"
    }
    return [
        event
        for event_id, event in seen.items()
        if event_id not in truth
        and not (
            event.event_type == "resume" and (event.participant_id, event.hold_started_at) in holds
        )
    ]


@given(st.data())
def test_two_replicas_tell_the_same_transitions(data: st.DataObject) -> None:
    """Repetition, lateness, restarts and shapes change neither the set nor the ids nor the legs.

    What one replica loses the other has. Only a resume can need two snapshots to be seen, of which
    a replica may have got one.
    """
    history = data.draw(histories())
    log = received(history, data.draw(deliveries(history)))
    truth, seen = true_ids(told(history)), true_ids(log)
    missing = {e.event_type for event_id, e in truth.items() if event_id not in seen}
    assert missing <= UNDATED_OR_WITNESSED
    assert invented(truth, seen) == []
    for event_id, event in seen.items():
        if event_id in truth and not event.estimated and not truth[event_id].estimated:
            assert event.event_type == "start" or event.occurred_at == truth[event_id].occurred_at
    _agrees(folded(log), history[-1])


@given(st.data())
def test_views_converge_after_any_loss(data: st.DataObject) -> None:
    """What nobody saw is not told, nothing is invented, and the last snapshot makes the view true.

    Dated events of lost snapshots come with later ones, under the ids they would have had.

    A flat frame may tell an `end` too early: that a leg of another medium has begun, where others
    of that medium are over, says only a frame that was lost. The leg's next one takes it back.
    """
    history = data.draw(histories())
    log = received(history, data.draw(deliveries(history, lossy=True)))
    made_up = invented(true_ids(told(history)), true_ids(log))
    assert [event for event in made_up if not _is_flat_end(event)] == []
    _agrees(folded(log), history[-1])


def _is_flat_end(event: Event) -> bool:
    topic = event.source_topic or ""
    return event.event_type == "end" and not topic.endswith(".conversations")


@given(st.data())
def test_views_of_flat_topics_converge(data: st.DataObject) -> None:
    """Also where no nested frame ever comes: the flat frames of all media together tell all."""
    history = data.draw(histories())
    log = received(history, [Delivery("a", n, "flat user", False) for n in range(len(history))])
    assert invented(true_ids(told(history)), true_ids(log)) == []
    _agrees(folded(log), history[-1])


@given(st.data())
def test_what_is_recognised_by_its_bytes_tells_what_reading_it_would(data: st.DataObject) -> None:
    """The same frames, spaced differently each time so that none is recognised: the same events."""
    history = data.draw(histories())
    recognising, reading = Replica(), Replica()
    for number, delivery in enumerate(data.draw(deliveries(history, lossy=True))):
        for kind, raw in rendered(history[delivery.number], delivery.shape):
            if kind == "frame":
                told = recognising.read(kind, raw, 20_000_000 + number)
                spaced = msgspec.json.format(raw, indent=1 + number % 9)
                assert told == reading.read(kind, spaced, 20_000_000 + number)


@given(st.data())
def test_repeats_change_nothing(data: st.DataObject) -> None:
    """A log that is read twice, as after a lost offset, folds to what it folded to before."""
    history = data.draw(histories())
    log = told(history)
    _agrees(folded(log), history[-1])
    _agrees(folded([*log, *log]), history[-1])


def _agrees(view: ConversationView, world: World) -> None:
    """Whether the view is the truth, for all that frames can show of it."""
    assert view.state == ("ended" if world.over else "active")
    legs = {(leg.participant_id, leg.media_type): leg for leg in view.legs}
    for person in world.participants:
        truth = person["leg"]
        over = truth["state"] in {"disconnected", "terminated"}
        leg = legs[person["id"], person["medium"]]
        assert leg.ended == over
        assert leg.held == truth["held"]
        assert leg.hold_started_at == truth.get("startHoldTime")
        assert leg.answered_at == truth.get("connectedTime")
        if over:
            assert leg.ended_at == truth["disconnectedTime"]
        else:
            assert leg.state == truth["state"]
        # Flat frames of the call that a callback dialled do not know that it was a callback.
        own = [leg for (participant_id, _), leg in legs.items() if participant_id == person["id"]]
        if "startAcwTime" in person:
            assert person["startAcwTime"] in {leg.acw_started_at for leg in own}
        if "wrapup" in person:
            assert "w-1" in {leg.wrapup_code for leg in own}


def test_an_id_is_a_hash_of_content() -> None:
    """The same words give the same id, in every version of this mirror."""
    assert identity("c-1", "p-1", "call", "answer", "") == "b9bbff4053385ed383ee9b5c49ca96f0"
    assert identity("c-1", "p-1", "call", "answer") != identity("c-1", "p-1", "callanswer")
