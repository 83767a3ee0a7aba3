"""Identity and convergence: whatever two replicas see in whatever order, the story is one.

`histories.py` draws what happens and who gets to see it; `world.py` knows the truth of it.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from mirror.conversation.event import Event, identity
from mirror.conversation.fold import ConversationView, LegView
from mirror.conversation.legs import LegKey, end_id, transition_id
from tests.unit.conversation.build import at, folded
from tests.unit.conversation.histories import (
    Delivery,
    History,
    Replica,
    deliveries,
    histories,
    received,
    told,
)
from tests.unit.conversation.world import STAFF, Leg, Person, World

# What needs two snapshots to be seen, of which a replica may have got one: that a hold or park is
# over, and a code that another replaced before the leg ended.
WITNESSED = {"resume", "unpark"}


def true_ids(events: list[Event]) -> dict[str, Event]:
    """Transitions by id; snapshot readings are none."""
    return {event.event_id: event for event in events if event.origin != "snapshot"}


def invented(history: History, seen: dict[str, Event]) -> list[Event]:
    """What was told and never happened.

    A resume or unpark that is told of a late frame is of a hold or park that was; which of them
    ends with its leg, frames do not say. Where frames show a participant's latest communication
    alone, analytics, which has all, names another `end`.
    """
    truth = true_ids(told(history))
    over = set()
    for past in truth.values():
        if past.event_type in {"hold", "park"}:
            key = LegKey(past.participant_id or "", past.communication_id or "")
            kind = "resume" if past.event_type == "hold" else "unpark"
            over.add(transition_id(past.conversation_id, key, kind, past.occurred_at))
    replaced = history[0].order == "replace"
    return [
        event
        for event_id, event in seen.items()
        if event_id not in truth
        and event_id not in over
        and not (replaced and event.event_type == "end" and event.origin == "backfill")
    ]


@given(st.data())
def test_two_replicas_tell_the_same_transitions(data: st.DataObject) -> None:
    """Repetition, lateness, restarts and shapes change neither the set nor the ids nor the legs.

    What one replica loses the other has.
    """
    history = data.draw(histories())
    log = received(history, data.draw(deliveries(history)), resting=data.draw(st.booleans()))
    truth, seen = true_ids(told(history)), true_ids(log)
    missing = [event for event_id, event in truth.items() if event_id not in seen]
    assert [event for event in missing if not _needs_two(event)] == []
    assert invented(history, seen) == []
    for event_id, event in seen.items():
        if event.event_type == "wrapup":
            continue  # a code that came back has several times, of which each has seen one
        if event_id in truth and not event.estimated and not truth[event_id].estimated:
            assert event.occurred_at == truth[event_id].occurred_at
    agrees(folded(log), history[-1])


def _needs_two(event: Event) -> bool:
    return event.event_type in WITNESSED or (event.event_type == "wrapup" and event.estimated)


@given(st.data())
def test_views_converge_after_any_loss(data: st.DataObject) -> None:
    """What nobody saw is not told, nothing is invented, and the last snapshot makes the view true.

    Dated events of lost snapshots come with later ones, under the ids they would have had.
    """
    history = data.draw(histories())
    order = data.draw(deliveries(history, lossy=True))
    log = received(history, order, resting=data.draw(st.booleans()))
    assert invented(history, true_ids(log)) == []
    agrees(folded(log), history[-1], lossy=True)


@given(st.data())
def test_back_fill_alone_tells_what_lasts(data: st.DataObject) -> None:
    """REST, and analytics where it does not answer, invent nothing and find every leg's end."""
    history = data.draw(histories())
    for shape in ("rest", "analytics"):
        log = received(history, [Delivery("a", len(history) - 1, shape, False)])
        assert invented(history, true_ids(log)) == []
        assert not any(event.origin == "snapshot" and event.estimated is False for event in log)
        view = folded(log)
        for person in history[-1].people:
            for leg in history[-1].shown(person):
                seen = view.legs[f"{person.id} {leg.id}"]
                assert (seen.ended, seen.answered_at) == (leg.over, leg.connected)
                assert seen.ended_at == leg.ended_at
                assert seen.acw == ("none" if leg.acw == "skipped" else leg.acw)


@given(st.data())
def test_what_is_recognised_by_its_bytes_tells_what_reading_it_would(data: st.DataObject) -> None:
    """The same frames, spaced differently each time so that none is recognised: the same events."""
    history = data.draw(histories())
    recognising, reading = Replica(), Replica()
    for number, delivery in enumerate(data.draw(deliveries(history, lossy=True))):
        if delivery.shape in {"user", "queue"}:
            world, clock = history[delivery.number], 20_000_000 + number
            raw = msgspec.json.format(world.frame(), indent=1 + number % 9)
            spaced = reading.normaliser.frame(raw, at(clock), clock / 1000)
            assert recognising.read(world, "user", clock) == spaced.events


@given(st.data())
def test_repeats_change_nothing(data: st.DataObject) -> None:
    """A log that is read twice, as after a lost offset, folds to what it folded to before."""
    history = data.draw(histories())
    log = told(history)
    agrees(folded(log), history[-1])
    agrees(folded([*log, *log]), history[-1])


@given(st.data())
def test_a_leg_goes_forward_in_one_view_of_the_log(data: st.DataObject) -> None:
    """Of what one process saw in order: alert, answer, holds, disconnect, then after-call work."""
    history = data.draw(histories())
    last: dict[str, int] = {}
    ranks = {"dial": 1, "alert": 1, "answer": 2, "hold": 3, "resume": 3, "park": 3, "unpark": 3}
    ranks |= {"disconnect": 4, "transfer": 4, "acw": 5, "acw_end": 6, "wrapup": 6}
    for event in told(history):
        if event.communication_id is None or event.origin == "snapshot":
            continue
        # Who transferred, shows only when all legs of a frame are known: behind its end.
        if event.event_type == "transfer":
            assert last[event.communication_id] >= ranks["disconnect"]
            continue
        # A code may be saved before after-call work begins, or while it lasts.
        if event.event_type == "wrapup":
            assert last[event.communication_id] >= ranks["disconnect"]
            continue
        assert ranks[event.event_type] >= last.get(event.communication_id, 0)
        last[event.communication_id] = ranks[event.event_type]


# --- the truth ------------------------------------------------------------------------------------


def agrees(view: ConversationView, world: World, *, lossy: bool = False) -> None:
    """Whether the view is the truth, for all that the last frames can show of it.

    Where frames were lost, what they alone showed cannot be known: the end of a communication that
    its successor replaced, and the queue of one that somebody else's took over.
    """
    hidden = sum(len(person.legs) - len(world.shown(person)) for person in world.people)
    if not (lossy and hidden):
        assert view.state == ("ended" if world.over else "active")
    for person in world.people:
        for leg in world.shown(person) if lossy else person.legs:
            _leg_agrees(view.legs[f"{person.id} {leg.id}"], world, person, leg, lossy=lossy)


def _leg_agrees(seen: LegView, world: World, person: Person, leg: Leg, *, lossy: bool) -> None:
    assert (seen.participant_id, seen.communication_id) == (person.id, leg.id)
    assert (seen.media_type, seen.purpose) == (leg.medium, person.purpose)
    assert seen.agent_id == (None if person.purpose == "voicemail" else "u-1")
    assert seen.queue_id == leg.queue_id or (lossy and leg is not person.leg and not seen.queue_id)
    assert seen.ended == leg.over
    assert seen.answered_at == leg.connected
    if leg.over:
        assert seen.ended_at == leg.ended_at
        assert not seen.held
        assert seen.parked_at is None
    else:
        assert seen.state == leg.state
        assert seen.held == (leg.held_since is not None)
        assert seen.hold_started_at == leg.held_since
        assert seen.parked_at == leg.parked_at
        if person.purpose in STAFF and leg.connected:
            assert seen.role == person.role
            assert seen.role_participant_id == (person.on if person.role else None)
    # The work of a communication that no frame showed: a leg that was never connected looks as if
    # it were its own.
    if lossy and leg.connected is None and leg.over and len(person.legs) > 1:
        return
    assert seen.acw == ("none" if leg.acw == "skipped" else leg.acw)
    if leg.over:
        assert seen.wrapup_code == (leg.codes[-1][0] if leg.codes else None)
    if leg.acw != "skipped":
        assert (seen.acw_started_at, seen.acw_ended_at) == (leg.acw_from, leg.acw_until)


def test_an_id_can_be_made_by_anybody() -> None:
    """As docs/decisions/0002-identity.md says."""
    text = "c-1\x1fp-1\x1fl-1\x1funpark\x1f2026-11-23T10:00:00.123Z"
    expected = blake2b(text.encode(), digest_size=16).hexdigest()
    made = transition_id("c-1", LegKey("p-1", "l-1"), "unpark", "2026-11-23T10:00:00.123Z")
    assert made == expected
    over = blake2b(b"c-1\x1fend\x1fp-1 l-1\x1fp-2 l-2", digest_size=16).hexdigest()
    assert end_id("c-1", ["p-2 l-2", "p-1 l-1"]) == over


def test_an_id_is_a_hash_of_content() -> None:
    """The same words give the same id, in every version of this mirror."""
    assert identity("c-1", "p-1", "call", "answer", "") == "b9bbff4053385ed383ee9b5c49ca96f0"
    assert identity("c-1", "p-1", "call", "answer") != identity("c-1", "p-1", "callanswer")
    assert transition_id("c-1", LegKey("p-1", "call"), "answer") == identity(
        "c-1", "p-1", "call", "answer", ""
    )
